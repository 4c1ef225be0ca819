"""Remove de-identification marks and identifiers from free text, counting what each rule removed.

De-identification marks are the strongest trigger of memorisation in report-conditioned models
("The Devil is in the Prompts", arXiv:2502.07516), so they never reach a prompt.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|"
    r"sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_NAME = r"(?-i:[A-Z][A-Za-z'’\-]+)"
_NAMES = rf"{_NAME}(?:,?[ \t]+(?:{_NAME}|(?-i:[A-Z])\.?(?=[\s,.;]))){{0,2}}"

_SIGNED = (
    r"(?:electronically[ \t]+)?(?:signed|dictated|transcribed|approved|reported|interpreted)"
    r"[ \t]+by\b"
)
_ON = r"(?:\b(?:on|dated)[ \t]+)?"

# Surnames and institutions that are also words of every report; alone they identify nobody.
_REPORT_WORDS = """
    small large moderate mild severe left right upper lower middle base apex chest lung heart
    normal clear view white black brown gray long short young strong rose wall field hospital
    general unit clinic center centre radiology imaging department emergency the and with for not
    new old
"""
_VOCABULARY = frozenset(_REPORT_WORDS.split())

# (rule, pattern, replacement), applied in this order: wider marks before their parts.
_RULES: tuple[tuple[str, str, str], ...] = (
    ("bracket_mark", r"\[\*\*.*?\*\*\]", " "),
    ("underscore_mark", r"_{3,}", " "),
    ("x_mark", r"\b(?-i:X{3,})\b", " "),
    ("email_or_url", r"\b[\w.+-]+@[\w-]+\.[\w.]+\b|\bhttps?://\S+", " "),
    (
        "header_field",
        r"^[ \t]*(?:patient(?:'s)?(?:[ \t]+name)?|name|mrn|medical record (?:number|no\.?)|"
        r"patient[ \t]+id|accession(?:[ \t]+(?:number|no\.?))?|dob|date of birth|"
        r"referring (?:physician|doctor)|institution|(?:exam|study)[ \t]+date|date)"
        r"[ \t]*[:#][^\n]*$",
        "",
    ),
    (
        "signature",
        rf"^[ \t]*(?:{_SIGNED}|(?:electronically[ \t]+signed|dictated|transcribed)\b)[^\n]*$",
        "",
    ),
    (
        "signature",
        rf"\b{_SIGNED}[: \t]+(?:dr\.?[ \t]+)?{_NAMES}"
        r"(?:,?[ \t]*(?:m\.?d\.?|d\.?o\.?|ph\.?d\.?))*",
        " ",
    ),
    ("physician_name", rf"\b(?:dr|doctor|prof|professor)\b\.?[ \t]+{_NAMES}", "the physician"),
    ("person_name", rf"\b(?:mr|mrs|ms|miss)\b\.?[ \t]+{_NAMES}", "the patient"),
    (
        "record_number",
        r"\b(?:mrn|medical record (?:number|no\.?)|accession(?: (?:number|no\.?))?|patient id)"
        r"[ \t]*(?:is[ \t]*)?[:#]*[ \t]*(?=[\w\-]*\d)[\w\-]+",
        " ",
    ),
    ("date", rf"{_ON}\b(?:19|20)\d\d[-/.](?:0?[1-9]|1[0-2])[-/.](?:[0-2]?\d|3[01])\b", " "),
    ("date", rf"{_ON}\b[0-3]?\d[-/.][0-3]?\d[-/.](?:19|20)?\d\d\b", " "),
    ("date", rf"{_ON}\b[0-3]?\d(?:st|nd|rd|th)?[ \t]+{_MONTH}\.?,?[ \t]+(?:19|20)\d\d\b", " "),
    ("date", rf"{_ON}\b{_MONTH}\.?[ \t]+[0-3]?\d(?:st|nd|rd|th)?(?:,?[ \t]+(?:19|20)\d\d)\b", " "),
    (
        "date",
        r"\b(?:on|dated|since|from|exam of)[ \t]+(?:0?[1-9]|1[0-2])/(?:[0-2]?\d|3[01])\b",
        " ",
    ),
    ("time", r"\b(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d)?(?:[ \t]*(?:[ap]m\b|[ap]\.m\.))?", " "),
    ("phone", r"\b(?:phone|tel|telephone|fax|pager|ext)\b\.?[: \t]*[\d(][\d() \-]*\d", " "),
    ("phone", r"(?:\+?\d{1,2}[ \-.])?\(?\b\d{3}\)?[ \-.]\d{3}[\-. ]\d{4}\b", " "),
    ("long_number", r"\b[A-Z]{0,6}-?(?=\d(?:-?\d){5})[\d\-]*\d\b", " "),
    ("age_over_89", r"\b(?:9\d|1[0-4]\d)(?=[ \t-]+(?:years?|y\.?o\b|yrs?))", "over 89"),
)
_COMPILED = tuple(
    (name, re.compile(pattern, re.IGNORECASE | re.MULTILINE), replacement)
    for name, pattern, replacement in _RULES
)
# What a removal leaves behind: double spaces, brackets around nothing, orphaned punctuation.
_TIDY: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\([ \t]*[,;.]*[ \t]*\)|\[[ \t]*\]"), " "),
    (re.compile(r"[ \t]{2,}"), " "),
    (re.compile(r"[ \t]+(?=[,.;:)\]])"), ""),
    (re.compile(r"(?<=[,;])(?:[,;])+|,(?=\.)"), ""),
    (re.compile(r"(?<!\.)\.(?:[ \t]*\.)+(?!\.)"), "."),
    (re.compile(r"[ \t]+$", re.MULTILINE), ""),
)

# Two-letter surnames that are words (never removed alone) or abbreviations (removed as "Ng" only).
_WORDS_OF_TWO = """
    ah am an as at be by do et go he if in is it me my no of oh on or so to up us vs we
"""
_CODES_OF_TWO = """
    ap ca cc cm cp cr ct cv dx fb fx gi gu hr hx ij iv kg kv la ll lv md mg ml mm mr mv ng ni
    og pa pe ra rl rv rx sp st sx tb tx vp
"""
_SHORT_WORDS, _SHORT_CODES = frozenset(_WORDS_OF_TWO.split()), frozenset(_CODES_OF_TWO.split())


@dataclass(frozen=True)
class Scrubbed:
    """Text without identifiers, and how often each rule fired."""

    text: str
    counts: dict[str, int]


def scrub(text: str, *, known: Iterable[str] = ()) -> Scrubbed:
    r"""Remove marks, dates, numbers and names.

    Args:
        text: a report. Line ends become ``\n``.
        known: identifiers known from elsewhere (a DICOM header's patient name, an accession
            number); each is removed wherever it stands as a whole word, in any case; names of
            two letters only as ``Li`` or ``LI``.

    >>> scrub("Compared to ___, seen by Dr. Smith.").counts
    {'underscore_mark': 1, 'physician_name': 1}
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "").lstrip("\ufeff")
    counts: dict[str, int] = {}
    for value in sorted({item.strip() for item in known}, key=lambda item: (-len(item), item)):
        pattern = _known_pattern(value)
        if pattern is not None:
            text = _apply(counts, "known_identifier", pattern, " ", text)
    for name, pattern, replacement in _COMPILED:
        text = _apply(counts, name, pattern, replacement, text)
    if counts:
        for pattern, replacement in _TIDY:
            text = pattern.sub(replacement, text)
    return Scrubbed(text, counts)


def _known_pattern(value: str) -> re.Pattern[str] | None:
    """What to look for; ``None`` for words that alone identify nobody."""
    lower = value.lower()
    if len(value) >= 3 and lower not in _VOCABULARY:
        return re.compile(rf"(?<!\w){re.escape(value)}(?!\w)", re.IGNORECASE)
    if len(value) != 2 or not value.isalpha() or lower in _SHORT_WORDS:
        return None
    forms = {value.capitalize()} if lower in _SHORT_CODES else {value.capitalize(), value.upper()}
    return re.compile(rf"(?<!\w)(?:{'|'.join(sorted(forms))})(?!\w)")


def _apply(
    counts: dict[str, int], name: str, pattern: re.Pattern[str], replacement: str, text: str
) -> str:
    text, hits = pattern.subn(replacement, text)
    if hits:
        counts[name] = counts.get(name, 0) + hits
    return text
