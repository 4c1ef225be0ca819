"""Remove de-identification marks and identifiers from free text, counting what each rule removed.

Rules find what has the shape of an identifier. A name without a title, that no table or header
gave away, has no shape: this is a net under the allow-list of tags, not proof of anonymity.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from synth.text.characters import plain_characters
from synth.text.identifiers import DANGLING, LEFTOVER, MARKS, RULES

# Surnames and institutions that are also words of every report; alone they identify nobody.
_REPORT_WORDS = """
    small large moderate mild severe left right upper lower middle base apex chest lung heart
    normal clear view white black brown gray long short young strong rose wall field hospital
    general unit clinic center centre radiology imaging department emergency the and with for not
    new old
"""
_VOCABULARY = frozenset(_REPORT_WORDS.split())

_RULER = re.compile(r"^[ ]*_{5,}[ ]*$", re.MULTILINE)
_DIGIT = re.compile(r"\d")
# What a removal leaves behind: double spaces, brackets around nothing, orphaned punctuation.
_TIDY: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\([ \t]*[,;.]*[ \t]*\)|\[[ \t]*\]"), " "),
    (re.compile(r"[ \t]{2,}"), " "),
    (
        re.compile(
            r"(?:,?[ ](?:of|in|to|with|and|from|by|for|at|on|or))?[ ](?:the|an)(?=[ ]?[.;](?:\s|$))"
        ),
        "",
    ),
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

    @property
    def suspected(self) -> bool:
        """Whether an identifier was there or may still be; marks of a past scrubbing are none."""
        return bool(self.counts.keys() - MARKS) or LEFTOVER.search(self.text) is not None


def scrub(text: str, *, known: Iterable[str] = ()) -> Scrubbed:
    r"""Remove marks, dates, numbers and names.

    Args:
        text: a report. Characters come back as in :func:`plain_characters`.
        known: identifiers known from elsewhere (a DICOM header's patient name, an accession
            number); each is removed wherever it stands as a whole word, in any case; names of
            two letters only as ``Li`` or ``LI``.

    >>> scrub("Compared to ___, seen by Dr. Smith.").counts
    {'underscore_mark': 1, 'physician_name': 1}
    """
    # A line of underscores separates, it hides nothing; the sections need it.
    text = _RULER.sub("-----", plain_characters(text))
    counts: dict[str, int] = {}
    folded = text.casefold()
    for value in sorted(
        {plain_characters(item).strip() for item in known}, key=lambda item: (-len(item), item)
    ):
        if value.casefold() not in folded:  # most are not: compiling a pattern for each is slow
            continue
        pattern = _known_pattern(value)
        if pattern is not None:
            text = _apply(counts, "known_identifier", pattern, " ", text)
    text = DANGLING.sub("", text)
    has_digit = _DIGIT.search(text) is not None
    for name, pattern, replacement, needs in RULES:
        if not needs or (has_digit if needs == "0" else any(char in text for char in needs)):
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
