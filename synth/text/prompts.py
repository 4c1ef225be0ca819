"""Which part of a report conditions the model, and how it is cleaned.

The chain of sources is configurable; the cleaning strips list numbers, rulers and line breaks and,
unless told otherwise, comparisons with earlier images (:mod:`synth.text.comparisons`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from synth.text.comparisons import drop_prior_comparisons
from synth.text.sections import Section, last_paragraph, split_sections

Source = Literal["impression", "findings", "last_paragraph", "full"]
DEFAULT_POLICY: tuple[Source, ...] = ("impression", "findings", "last_paragraph", "full")

# An impression that only points elsewhere says nothing of the image.
_POINTER = re.compile(
    r"(?:(?:please )?(?:see|as|refer to)(?: the)? )?(?:above|below|findings|report|described above|"
    r"discussed above|body of (?:the )?report|full report|addendum)(?: section| above)?[. ]*",
    re.IGNORECASE,
)
_CHEST = re.compile(r"\b(?:chest|thora|t[oó]rax|cxr|lung)", re.IGNORECASE)
_RULER = re.compile(r"^[ ]*[-=_*]{3,}[ ]*$", re.MULTILINE)
_ITEM = re.compile(
    r"(?P<before>^|[.;,:]|\w)(?P<gap>\s+|(?<!.))(?P<number>\d{1,2})[.)]\s+(?=\S)", re.DOTALL
)
_BULLET = re.compile(r"^[ ]*[-*•·][ ]+", re.MULTILINE)


def conditioning_text(
    report: str, policy: Sequence[Source] = DEFAULT_POLICY, *, drop_comparisons: bool = True
) -> str:
    """The prompt of a report: the first non-empty source of the policy, cleaned.

    Args:
        report: scrubbed report.
        policy: sources in order of preference.
        drop_comparisons: remove statements relative to earlier examinations.

    Returns:
        One line; empty only if the report holds no words.
    """
    for source in policy:
        text = clean(_source_text(report, source), drop_comparisons=drop_comparisons)
        if re.search(r"[^\W\d_]{2}", text) and not _POINTER.fullmatch(text):
            return text
    return ""


def _source_text(report: str, source: Source) -> str:
    if source == "full":
        return report
    if source == "last_paragraph":
        return report[slice(*last_paragraph(report))]
    wanted = (source, "findings_and_impression")
    sections = _of_the_chest(report, split_sections(report))
    return "\n".join(s.text(report).strip() for s in sections if s.name in wanted)


def _of_the_chest(report: str, sections: Sequence[Section]) -> Sequence[Section]:
    """Of several studies reported in one text, those of the chest if any says so; else all."""
    chest = {
        section.study
        for section in sections
        if section.name == "examination" and _CHEST.search(report, section.body, section.end)
    }
    several = sections and sections[-1].study > 0
    return (
        [section for section in sections if section.study in chest]
        if several and chest
        else sections
    )


def clean(text: str, *, drop_comparisons: bool = True) -> str:
    """Strip list numbers and rulers, put the text on one line, optionally drop comparisons."""
    text = _RULER.sub("", text.replace("\r", "\n"))
    line = re.sub(r"\s+", " ", _without_numbers(_BULLET.sub("", text))).strip()
    if drop_comparisons:
        line = drop_prior_comparisons(line)
    # What scrubbing leaves: "no ___ of effusion", a full stop twice or at the start.
    line = re.sub(r"\b([Nn]o) of (?:an? |the )?", r"\1 ", line)
    line = re.sub(r"(?<=[.;])(?: ?[.;,])+|^[ .;,]+(?=\w)", "", line)
    return re.sub(r"(^|[.] )([a-z])", lambda match: match[1] + match[2].upper(), line)


def _without_numbers(text: str) -> str:
    """The text without the numbers of its list; measurements and rib numbers stay.

    A number opens an item at a line start, after a full stop, or, where the full stop is missing,
    if it is the one that follows the item before.
    """
    expected = 1

    def opened(match: re.Match[str]) -> str:
        nonlocal expected
        number, before, gap = int(match["number"]), match["before"], match["gap"]
        at_start = not before or "\n" in gap
        starts_sentence = match.string[match.end()].isupper()
        if not (at_start or before in ".;:" or (number == expected > 1 and starts_sentence)):
            return match[0]
        expected = number + 1
        return f"{before} " if at_start or before in ".;:" else f"{before}. "

    return _ITEM.sub(opened, text)
