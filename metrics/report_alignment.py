"""Images against texts on the page: scores beside real pairs, and the negation of each finding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from metrics.report_forest import Dots, dot_chart
from metrics.report_headline import sides
from metrics.report_values import (
    LEVEL,
    Scores,
    bounds,
    count,
    finite,
    interval,
    number,
    p_value,
    part,
    point,
    sentence,
    words,
)

_NAMES = {
    "cosine": "cosine",
    "report_to_image_r1": "text to image, nearest",
    "report_to_image_r5": "text to image, among five",
    "image_to_report_r1": "image to text, nearest",
    "image_to_report_r5": "image to text, among five",
    "matched_auc": "own text against another's",
}
_MOST_ROWS = 60  # findings in the chart


@dataclass(frozen=True)
class AlignmentRow:
    """One score, as text."""

    name: str
    value: str
    ci: str
    real: str
    chance: str
    gap: str
    gap_ci: str
    p: str
    n: str
    meaning: str


@dataclass(frozen=True)
class AlignmentView:
    """The section; empty where it was not asked for.

    Attributes:
        rows: scores of the pairs, then the mean over negation pairs.
        chart: AUROC of the negation pairs by finding, None without any.
        texts: what read the texts, and how many were cut, as a sentence.
    """

    rows: tuple[AlignmentRow, ...] = ()
    chart: Markup | None = None
    texts: str = ""


def alignment_view(scores: Scores) -> AlignmentView:
    """``alignment`` of the scores."""
    found = part(scores, "alignment")
    if not found:
        return AlignmentView()
    rows = [_row(_NAMES[name], part(found, name)) for name in _NAMES if part(found, name)]
    if macro := part(found, "negation", "macro"):
        rows.append(_row("negation, mean over findings", macro))
    dots = tuple(_negation_dots(part(found, "negation", "findings")))[:_MOST_ROWS]
    chart = None
    if dots:
        chart = dot_chart(
            dots,
            name="negation",
            title="Do images lie closer to the sentence that states a finding, or denies it",
            about="1: always to the right one",
            counts="N with / without",
        )
    return AlignmentView(tuple(rows), chart, _texts(part(found, "texts")))


def _row(name: str, record: Scores) -> AlignmentRow:
    details = part(record, "details")
    floor = part(record, "floor")
    note = sentence(record.get("note"))
    return AlignmentRow(
        name=name,
        value=number(record.get("value")),
        ci=interval(record.get("ci")),
        real=number(floor.get("value")),
        chance=number(details.get("chance")),
        gap=number(details.get("difference"), 3, sign=True),
        gap_ci=interval(details.get("difference_ci"), 3, sign=True),
        p=p_value(details.get("p")),
        n=sides(record),
        meaning=" ".join(filter(None, (sentence(record.get("meaning")), note))),
    )


def _negation_dots(findings: Scores) -> Iterator[Dots]:
    """Lowest first: where negation is read the wrong way round."""
    held = [(name, part(findings, name)) for name in findings]
    known = [
        (value, name, row)
        for name, row in held
        if (value := finite(part(row, "auroc").get("value"))) is not None
    ]
    for _, name, row in sorted(known, key=lambda entry: entry[:2]):
        record = part(row, "auroc")
        details, p = part(record, "details"), finite(row.get("p_holm"))
        ceiling = finite(part(record, "floor").get("value"))
        yield Dots(
            words(name),
            point(record),
            real=None if ceiling is None else (ceiling, bounds(details.get("real_ci"))),
            differs=p is not None and p < LEVEL,
            n=f"{count(row.get('n_positive'))} / {count(row.get('n_negative'))}",
        )


def _texts(found: Scores) -> str:
    if not found:
        return ""
    told = f"Texts are read by {found.get('id')}, at most {count(found.get('limit'))} tokens."
    made = part(found, "synthetic")
    if finite(made.get("truncated")):
        told += (
            f" Of {count(made.get('pairs'))} synthetic texts {count(made.get('truncated'))} are "
            "longer, and their ends were not read."
        )
    return told
