"""Where the sections of a report open: header wordings that cannot be part of a sentence.

A wording of :mod:`synth.text.headers` counts with a colon at a line start, alone on its line,
inline after a sentence, or by its capitals. Time is linear in the text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Literal, NamedTuple

from synth.text.headers import CLINICAL, EVERYDAY, HEADERS, INLINE

# How sure a rule is that it saw a header (or, for the last four, a place where one is missing).
CONFIDENCE: dict[str, float] = {
    "line": 1.0,  # "Findings: Clear" at a line start
    "alone": 0.9,  # "Findings" alone on its line
    "inline": 0.9,  # "No effusion. Impression: Normal"
    "dash": 0.8,  # "FINDINGS - Clear"
    "upper": 0.8,  # "FINDINGS Clear" at a line start
    "mid_sentence": 0.7,  # "lungs clear IMPRESSION: Normal", no full stop before
    "title": 0.6,  # "Findings Clear" at a line start
    "upper_inline": 0.6,  # "No effusion. IMPRESSION Normal"
    "ruler": 0.6,  # text after "______" that closes an addendum
    "field_end": 0.6,  # text on the line after a one-line field such as "MRN: 1"
    "paragraph": 0.5,  # a paragraph after "INDICATION: …" in a report without findings
    "none": 0.3,  # text before any header
}


class Opening(NamedTuple):
    """A header: the section it opens, its span, and the rule (a key of ``CONFIDENCE``)."""

    name: str
    start: int
    body: int
    rule: str


def openings(report: str, folded: str) -> Iterator[Opening]:
    """All headers of a report in order; ``folded`` is ``fold(report)``."""
    for match in _CANDIDATE.finditer(folded):
        wording = " ".join(match["wording"].replace("/", " / ").split()).replace(" / ", "/")
        name = _CANONICAL[wording]
        line_start, lead = _line_start(folded, match.start())
        rule = (
            _rule_at_line_start(report, folded, match, wording)
            if line_start
            else _rule_inside_line(report, folded, match, wording, name)
        )
        if rule:
            body = match.end() if match["mark"] or rule != "upper" else match.end("wording")
            yield Opening(name, lead if line_start else match.start(), body, rule)


def fold(report: str) -> str:
    """Lower case without accents, line ends as line feeds; every offset stays what it was."""
    lower = report.lower()
    if len(lower) != len(report):  # a few capitals grow when they are lowered
        lower = "".join(low if len(low := char.lower()) == 1 else char for char in report)
    return lower.replace("\r\n", " \n").translate(_FOLD)


def _trie(wordings: tuple[str, ...]) -> str:
    """One pattern for all wordings, longest first, that looks at each letter once or twice."""
    by_letter: dict[str, list[str]] = {}
    for wording in sorted(wordings, key=len, reverse=True):
        by_letter.setdefault(wording[0], []).append(_spaced(wording[1:]))
    return "|".join(f"{letter}(?:{'|'.join(rest)})" for letter, rest in sorted(by_letter.items()))


def _spaced(wording: str) -> str:
    pattern = re.escape(wording).replace(r"\ ", r"[ ]{1,4}")
    return pattern.replace("/", "[ ]?/[ ]?")


def _fold_table() -> dict[int, str]:
    table = {ord(char): " " for char in "\t\u00a0\u2009\u202f\u200b\ufeff"}
    table |= {ord(char): "\n" for char in "\r\f\v\x85\u2028\u2029"}
    table |= {ord("："): ":", ord("–"): "-", ord("—"): "-", ord("’"): "'"}
    for code in range(0xC0, 0x180):
        plain = unicodedata.normalize("NFD", chr(code))[0]
        if plain.isascii() and plain.islower():
            table[code] = plain
    return table


_FOLD = _fold_table()
_CANONICAL = {wording: name for name, wordings in reversed(HEADERS.items()) for wording in wordings}
_CANDIDATE = re.compile(
    rf"(?<![^\W_])(?<![/'])(?<!\w-)(?P<wording>{_trie(tuple(_CANONICAL))})(?![\w/])"
    r"(?P<after>[ ]{0,8}[*=#_]{0,4}[ ]{0,8}(?P<mark>:[*_]{0,4}|-[ ]|$)?)",
    re.MULTILINE,
)
_LEAD = 80  # a centred header is indented by less
_LAST_WORD = re.compile(r"([^\W\d_]+)[ ]*\n?[ ]*\Z")
# After these words a wording is part of the sentence: "the findings: …", "clinical impression: …".
_DETERMINERS = """
    the a an of and or with without these those this that above below following other additional
    significant our my his her your their no any some for to in on by from see per as such main key
    pertinent positive negative incidental relevant clinical overall under prior previous first same
    el la los las un una de del y con sin der die das den dem des ein eine und mit o os um uma e com
    le les du et il lo gli di
"""
_SENTENCE_BEFORE = frozenset(_DETERMINERS.split())
# Before these words it is one too: "FINDINGS SUGGEST", "Impression of a mass".
_SENTENCE_AFTER = re.compile(
    r"(?:and|or|of|is|are|was|were|be|has|have|had|may|might|could|can|should|would|will|remains?|"
    r"suggest\w*|consistent|compatible|likely|most|represent\w*|concerning|suspicious|worrisome|"
    r"discussed|communicated|conveyed|described|above|below|on|in|at|to|for|from|with|as|that|"
    r"which|this|these|appear\w*|indicates?|indicating|indicative|correspond\w*|favor\w*|made|"
    r"given|reported|by|than|noted|seen|possibly|probably|y|de|del|und|der|e|do|da|sugieren|"
    r"sugerem)\b"
)


def _line_start(folded: str, start: int) -> tuple[bool, int]:
    """Whether only indentation and decoration stand before ``start``, and where its line begins."""
    floor = max(0, start - _LEAD)
    newline = folded.rfind("\n", floor, start)
    if newline < 0 and floor > 0:
        return False, start
    return not folded[newline + 1 if newline >= 0 else 0 : start].strip(" *#=_>|"), max(
        newline + 1, 0
    )


def _rule_at_line_start(report: str, folded: str, match: re.Match[str], wording: str) -> str | None:
    start, end = match.span("wording")
    mark, shape = match["mark"], _shape(report[start:end])
    if shape == "lower" and _continues(folded, start):
        return None
    if mark and mark[0] == ":":
        return "line"
    follows = _next_word(folded, end)
    runs_on = _runs_on(report, folded, follows, shape)
    if mark == "":  # the line ends here
        return None if shape == "lower" and runs_on and not _fresh(folded, start) else "alone"
    if wording in EVERYDAY or _CANONICAL[wording] not in INLINE:
        return "dash" if mark and shape == "upper" else None
    if mark:
        return "dash"
    if runs_on or shape == "lower" or not _speaks(report, follows):
        return None
    if shape == "upper":
        return "upper"
    return None if report[follows].islower() else "title"


def _rule_inside_line(
    report: str, folded: str, match: re.Match[str], wording: str, name: str
) -> str | None:
    start, end = match.span("wording")
    if name not in INLINE or wording in EVERYDAY:
        return None
    before = folded[max(0, start - 8) : start].rstrip(" *#")[-1:]
    after_sentence = before in tuple(".;!?)]_:")
    shape = _shape(report[start:end])
    if match["mark"] and match["mark"][0] == ":":
        if after_sentence:
            return "inline"
        stands_out = shape == "upper" or (shape == "title" and name in CLINICAL)
        return "mid_sentence" if stands_out and not _continues(folded, start) else None
    follows = _next_word(folded, end)
    plain = shape == "upper" and after_sentence and not _runs_on(report, folded, follows, shape)
    return "upper_inline" if plain and _speaks(report, follows) else None


def _shape(words: str) -> Literal["upper", "title", "lower"]:
    if words.isupper():
        return "upper"
    return "title" if words[0].isupper() else "lower"


def _runs_on(report: str, folded: str, follows: int, shape: str) -> bool:
    """Whether the word at ``follows`` goes on with the wording's sentence."""
    word = report[follows : follows + 2]
    if shape != "lower" and word[:1].isupper() and word[1:].islower():
        return False  # "IMPRESSION Likely edema": a sentence of its own
    return _SENTENCE_AFTER.match(folded, follows) is not None


def _continues(folded: str, start: int) -> bool:
    """Whether the word before ``start``, on this line or the one above, asks for a noun."""
    word = _LAST_WORD.search(folded[max(0, start - 24) : start])
    return word is not None and word[1] in _SENTENCE_BEFORE


def _fresh(folded: str, start: int) -> bool:
    """Whether the text before ``start`` has ended: a full stop, a blank line, or nothing."""
    before = folded[max(0, start - 24) : start].rstrip(" ")
    return before == "" or before.endswith("\n\n") or before.rstrip()[-1:] in tuple(".;:!?)]")


def _next_word(folded: str, end: int) -> int:
    """Offset of the first character behind ``end`` that is no space, within reach."""
    gap = folded[end : end + _LEAD]
    return end + len(gap) - len(gap.lstrip())


def _speaks(report: str, position: int) -> bool:
    """Whether a sentence can begin here."""
    return position < len(report) and (report[position].isalnum() or report[position] in "(\"'")
