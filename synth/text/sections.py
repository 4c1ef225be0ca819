"""Radiology report -> sections with spans, losslessly: the sections joined are the report.

Headers are recognised in any case with a colon, at a line start or inline after a sentence, and
without a colon when they stand alone on a line or are upper-case at a line start. Never raises.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# Canonical name -> the wordings that open such a section; longer wordings are tried first.
HEADERS: dict[str, tuple[str, ...]] = {
    "findings_and_impression": (
        "findings and impression",
        "findings/impression",
        "findings & impression",
        "findings and impressions",
        "impression and findings",
    ),
    "findings": ("findings", "finding", "report", "description", "observations"),
    "impression": (
        "impression",
        "impressions",
        "conclusion",
        "conclusions",
        "summary",
        "opinion",
        "final impression",
        "interpretation",
    ),
    "indication": (
        "indication",
        "indications",
        "clinical indication",
        "reason for exam",
        "reason for examination",
        "reason for study",
        "reason for this examination",
        "clinical information",
        "clinical question",
    ),
    "history": ("history", "clinical history", "medical history"),
    "comparison": ("comparison", "comparisons", "comparison studies", "prior studies"),
    "technique": ("technique", "procedure", "views", "method"),
    "examination": ("examination", "exam", "study", "type of exam", "procedure name"),
    "recommendation": ("recommendation", "recommendations"),
    "notification": ("notification", "notifications", "communication"),
    "addendum": ("addendum", "final addendum"),
    "wet_read": ("wet read",),
    "header": (
        "final report",
        "patient",
        "patient name",
        "name",
        "patient id",
        "mrn",
        "medical record number",
        "accession",
        "accession number",
        "dob",
        "date of birth",
        "date",
        "exam date",
        "study date",
        "referring physician",
        "institution",
        "sex",
        "age",
    ),
    "signature": (
        "signed by",
        "electronically signed by",
        "dictated by",
        "attending",
        "radiologist",
    ),
}
CLINICAL = ("findings", "impression", "findings_and_impression")

_CANONICAL = {wording: name for name, wordings in HEADERS.items() for wording in wordings}
_WORDINGS = "|".join(
    re.escape(wording).replace(r"\ ", r"[ \t]+")
    for wording in sorted(_CANONICAL, key=len, reverse=True)
)
# Inline headers must be unmistakable: "The report: …" inside a sentence is not a section.
_INLINE = "|".join(
    re.escape(wording).replace(r"\ ", r"[ \t]+")
    for name in (*CLINICAL, "comparison", "technique", "indication", "history", "recommendation")
    for wording in sorted(HEADERS[name], key=len, reverse=True)
    if wording not in ("report", "description", "views", "method", "summary", "history", "finding")
)
_HEADER = re.compile(
    rf"""
    ^[ \t]*(?P<line>{_WORDINGS})[ \t]*(?::|：)              # at a line start, any case, colon
    | ^[ \t]*(?P<alone>{_WORDINGS})[ \t]*(?=\r?$)            # alone on its line
    | ^[ \t]*(?P<upper>(?-i:FINDINGS|IMPRESSION|CONCLUSION|COMPARISON|INDICATION|TECHNIQUE))
      [ \t]+(?:-[ \t]+)?(?=\S)(?!(?:AND|OF|IS|ARE|WAS|WERE)\b)  # upper-case, no colon
    | (?<=[.;)\]_][ \t])[ \t]*(?P<inline>{_INLINE})[ \t]*(?::|：)   # after a sentence, colon
    | (?<=[.;)\]_])(?P<tight>{_INLINE})[ \t]*(?::|：)
    """,
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)


@dataclass(frozen=True)
class Section:
    """A stretch of the report: ``report[start:end]``; its text proper begins at ``body``."""

    name: str
    start: int
    body: int
    end: int
    rule: str  # which header form opened it: line, alone, upper, inline, tight, none

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
    # Carriage returns are line ends too; replacing them one for one keeps every offset.
    lined = report.replace("\r\n", " \n").replace("\r", "\n")
    matches = list(_HEADER.finditer(lined))
    sections = []
    if not matches or matches[0].start() > 0:
        end = matches[0].start() if matches else len(report)
        sections.append(Section("preamble", 0, 0, end, "none"))
    ends = [match.start() for match in matches[1:]] + [len(report)]
    for match, end in zip(matches, ends, strict=False):  # no header: one end, no match
        rule = str(match.lastgroup)
        wording = re.sub(r"[ \t]+", " ", match.group(rule)).lower()
        sections.append(Section(_CANONICAL[wording], match.start(), match.end(), end, rule))
    return tuple(sections)


def last_paragraph(report: str) -> tuple[int, int]:
    """Span of the last stretch between blank lines that holds a word; the whole if none."""
    spans = [match.span() for match in re.finditer(r"\S(?:.|\n(?!\s*\n))*", report)]
    wordy = [span for span in spans if re.search(r"[^\W\d_]{3}", report[slice(*span)])]
    return wordy[-1] if wordy else (0, len(report))
