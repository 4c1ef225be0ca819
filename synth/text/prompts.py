"""Which part of a report conditions the model, and how it is cleaned.

One image cannot show a comparison with an earlier one, so "unchanged", "compared to the prior
study" and "interval increase in" are taken out of the prompt; the finding they speak of stays.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from synth.text.sections import last_paragraph, split_sections

Source = Literal["impression", "findings", "last_paragraph", "full"]
DEFAULT_POLICY: tuple[Source, ...] = ("impression", "findings", "last_paragraph", "full")

_PRIOR = (
    r"(?:(?:the |a |an |most )*(?:immediate(?:ly)? |recent |same[- ]day )?"
    r"(?:preceding|prior|previous|earlier|last|"
    r"comparison)(?: (?:\w+ )?(?:study|studies|exams?|examinations?|radiographs?|films?|x-?rays?|"
    r"chest x-?rays?|images?|imaging|ct|cxr|day))?)"
)
_DEGREE = r"(?:\w+ly |grossly |overall |much |very |otherwise )?"
# (pattern, replacement), in order; case-insensitive over single-spaced text.
_CLAUSES: tuple[tuple[str, str], ...] = (
    # whole sentences that only compare
    (
        r"(?<![^.] )(?:there (?:has been|is|was) )?no (?:significant |relevant |acute |"
        r"appreciable |"
        r"substantial |interval |short[- ]term |other )*(?:interval )?change"
        r"(?: is seen| seen| noted)?"
        rf"(?: (?:since|from|compared (?:to|with)|as compared (?:to|with)) {_PRIOR})?[.;](?: |$)",
        "",
    ),
    # "as compared to the prior study of", "when compared with prior", "since the previous exam"
    (
        r",? ?\(?(?:as |when )?(?:compared|in comparison|comparing|relative)(?: back)? (?:to|with) "
        rf"{_PRIOR}(?: of| from| dated)?\)?,?",
        "",
    ),
    (rf",? ?(?:since|from|than|as on|as in|versus) {_PRIOR}(?: of| dated)?", ""),
    # the date that followed has been scrubbed: "in comparison with the study of"
    (
        r"(?:in comparison|as compared|compared|comparison is made) (?:to|with) (?:the |a )?"
        r"(?:(?:prior|previous) )?(?:study|exam(?:ination)?|radiographs?|films?)"
        r"(?: of| from| dated)?[,.]?",
        "",
    ),
    # predicates and afterthoughts
    (
        rf",? (?:which |that )?(?:is|are|was|were|has|have|remains?|appears?)(?: again| now| also)?"
        rf" (?:been )?{_DEGREE}(?:unchanged|stable|similar|not (?:\w+ly )?changed|"
        r"(?:increased|decreased|improved|worsened|progressed|enlarged in the interval|larger|"
        r"smaller)"
        r"(?: in size| in extent)?)(?: in (?:appearance|size|extent|position))?(?=[ ]?[.,;]|$)",
        "",
    ),
    (
        rf",? {_DEGREE}(?:unchanged|stable|similar)(?: in (?:appearance|size|extent|position))?"
        rf"(?: (?:to|as|from) {_PRIOR})?"
        r"(?=[ ]?[.,;]|$)",
        "",
    ),
    (r",? without (?:\w+ )?(?:interval )?change(?: in \w+)?", ""),
    # noun phrases that wrap the finding
    (
        r"\b(?:there (?:has been|is) )?(?:an? |slight |mild |further |significant )*interval "
        r"(?:increase|decrease|improvement|worsening|progression|development|appearance|change|"
        r"enlargement|placement|reduction)(?: in| of)(?: (?:the )?(?:size|extent) of)?(?: the| a)?",
        "",
    ),
    (
        r"\bno (?:significant |interval |appreciable |relevant |substantial )*"
        r"(?:change|increase|decrease|improvement|worsening) (?:in|of)"
        r"(?: (?:the )?(?:size|extent|appearance) of)?(?: the)?",
        "",
    ),
    # adjectives of change before a noun
    (
        r"\b(?:previously|again) (?:seen|noted|described|demonstrated|identified) ",
        "",
    ),
    (
        r"\b(?:is|are|was|were) again (seen|noted|present|demonstrated|identified)",
        r"is \1",
    ),
    (
        r"\b(?:interval|(?:\w+ly )?unchanged|stable|stably|persistent|persisting|worsening|"
        r"worsened|"
        r"improving|improved|increasing|decreasing|enlarging|new|newly)(?: (?:and|but) )?"
        r" (?=[a-z])(?!(?:is|are|in|from|since|york)\b)",
        "",
    ),
)
_COMPILED = tuple((re.compile(pattern, re.IGNORECASE), new) for pattern, new in _CLAUSES)
_NUMBERING = re.compile(
    r"(?:(?<=\n)|^)[ \t]*(?:\d{1,2}[.)]|[-*•])[ \t]+|(?<=[.;] )\d{1,2}[.)] (?=[A-Z])"
)


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
        if re.search(r"[^\W\d_]{2}", text):
            return text
    return ""


def _source_text(report: str, source: Source) -> str:
    if source == "full":
        return report
    if source == "last_paragraph":
        return report[slice(*last_paragraph(report))]
    wanted = (source, "findings_and_impression")
    sections = [section for section in split_sections(report) if section.name in wanted]
    return "\n".join(section.text(report).strip() for section in sections)


def clean(text: str, *, drop_comparisons: bool = True) -> str:
    """Strip list numbers, put the text on one line, optionally drop comparisons with priors."""
    line = re.sub(r"\s+", " ", _NUMBERING.sub(" ", text.replace("\r", "\n"))).strip()
    if not drop_comparisons:
        return line
    return drop_prior_comparisons(line)


def drop_prior_comparisons(line: str) -> str:
    """Remove what one image cannot show from one line of text, keeping the findings.

    >>> drop_prior_comparisons("Unchanged small left effusion compared to the prior study.")
    'Small left effusion.'
    """
    for pattern, replacement in _COMPILED:
        line = pattern.sub(replacement, line)
    line = re.sub(r"\s+", " ", line)
    line = re.sub(r" +(?=[.,;])", "", line)
    line = re.sub(r"(?:^|(?<=[.;]))[ ]?[.,;]+", "", line).strip(" ,;")
    return re.sub(r"(^|[.] )([a-z])", lambda match: match.group(1) + match.group(2).upper(), line)
