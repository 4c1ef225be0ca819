"""Radiology report -> sections with spans, losslessly: the sections joined are the report.

Each section says which rule of :mod:`synth.text.openings` opened it and how sure that is. Text that
a section of another kind would swallow (what follows a form field, an addendum's closing ruler, or
an indication in a report without findings) is ``untitled``. Never raises; linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from synth.text.headers import CLINICAL, ONE_LINE
from synth.text.openings import CONFIDENCE, Opening, fold, openings

_WITH_FINDINGS = ("findings", "findings_and_impression")
# Sections whose text may end before the next header: _closed says how.
_BRIEF = ("indication", "history", "comparison", "technique", "examination")
_AFTER_RULER = ("addendum", "wet_read", "notification")
_NOT_OF_THE_IMAGE = (*_BRIEF, "notification", "header", "signature")

_WORD = re.compile(r"[^\W\d_]{3}")
_RULER = re.compile(r"^[ ]*[_=*-]{5,}[ ]*$", re.MULTILINE)
_BLANK = re.compile(r"\n[ ]*(?=\n)")


@dataclass(frozen=True)
class Section:
    """A stretch of the report: ``report[start:end]``; its text proper begins at ``body``.

    Attributes:
        name: a key of :data:`synth.text.headers.HEADERS`, or ``preamble`` (before any header) or
            ``untitled`` (after one, but not of it).
        start: offset of the header.
        body: offset behind the header.
        end: offset behind the text.
        rule: what opened it, a key of :data:`CONFIDENCE`.
        study: 0, or the number of examinations reported before this one in the same text.
    """

    name: str
    start: int
    body: int
    end: int
    rule: str
    study: int = 0

    @property
    def confidence(self) -> float:
        """How sure the rule is, from 0 to 1."""
        return CONFIDENCE[self.rule]

    def text(self, report: str) -> str:
        """The section without its header, unstripped."""
        return report[self.body : self.end]


def split_sections(report: str) -> tuple[Section, ...]:
    """Cut a report into sections that cover it without gap or overlap.

    Text before the first header is a ``preamble`` section; a report without headers is one
    ``preamble``. An empty report has no sections.

    >>> [s.name for s in split_sections("FINDINGS: Clear lungs. IMPRESSION: Normal.")]
    ['findings', 'impression']
    """
    if not report:
        return ()
    folded = fold(report)
    found = list(openings(report, folded))
    has_findings = any(opening.name in _WITH_FINDINGS for opening in found)
    if not found or found[0].start > 0:
        found.insert(0, Opening("preamble", 0, 0, "none"))
    sections = []
    ends = [*(opening.start for opening in found[1:]), len(report)]
    for opening, end in zip(found, ends, strict=True):
        section = Section(opening.name, opening.start, opening.body, end, opening.rule)
        sections += _closed(section, folded, has_findings)
    return tuple(_numbered(sections))


def last_paragraph(report: str) -> tuple[int, int]:
    """Span of the last stretch between blank lines that can be findings; the whole if none.

    Headers are left out, and sections that speak of anything but this image are passed over.
    """
    folded = fold(report)
    for section in reversed(split_sections(report)):
        if section.name in _NOT_OF_THE_IMAGE:
            continue
        blanks = [match.start() for match in _BLANK.finditer(folded, section.body, section.end)]
        starts = [section.body, *blanks]
        for start, end in zip(reversed(starts), reversed([*blanks, section.end]), strict=True):
            text = folded[start:end]
            if _WORD.search(text):
                return end - len(text.lstrip()), start + len(text.rstrip())
    return 0, len(report)


def _closed(section: Section, folded: str, has_findings: bool) -> list[Section]:
    """The section, cut in two where its text ends before the next header."""
    cut, rule = -1, ""
    if section.name in ONE_LINE:
        cut, rule = folded.find("\n", section.body, section.end), "field_end"
    elif section.name in _AFTER_RULER:
        ruler = _RULER.search(folded, section.body, section.end)
        cut, rule = (ruler.start() if ruler else -1), "ruler"
    elif section.name in _BRIEF and not has_findings:
        text = _WORD.search(folded, section.body, section.end)
        blank = _BLANK.search(folded, text.end(), section.end) if text else None
        cut, rule = (blank.start() if blank else -1), "paragraph"
    if cut < 0 or not _WORD.search(folded, cut, section.end):
        return [section]
    rest = Section("untitled", cut, cut, section.end, rule)
    return [replace(section, end=cut), rest]


def _numbered(sections: list[Section]) -> Iterator[Section]:
    """Count up the study at each examination header that follows clinical text."""
    study, reported = 0, False
    for section in sections:
        if section.name == "examination" and reported:
            study, reported = study + 1, False
        reported = reported or section.name in CLINICAL
        yield replace(section, study=study) if study else section
