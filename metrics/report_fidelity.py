"""Label fidelity on the page: before and after fine-tuning, beside the ceiling of real images."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from metrics.report_forest import Dots, dot_chart
from metrics.report_lessons import Lesson, lessons
from metrics.report_sets import ShownSet
from metrics.report_values import (
    LEVEL,
    NONE,
    Scores,
    bounds,
    count,
    finite,
    interval,
    number,
    part,
    point,
    sentence,
    why_missing,
    words,
)

_MOST_ROWS = 60  # findings in the chart; the table has all of them


@dataclass(frozen=True)
class FidelityRow:
    """Label fidelity of one finding, as text."""

    name: str
    before: str
    after: str
    ci: str
    real: str
    real_ci: str
    n: str
    gain: str
    detected: str
    detected_real: str
    gap: str
    gap_ci: str
    differs: bool


@dataclass(frozen=True)
class Best:
    """The finding whose label fidelity fine-tuning raised most."""

    finding: str
    before: float
    after: float
    ci: str


@dataclass(frozen=True)
class Fidelity:
    """The section.

    Attributes:
        rows: one a finding, then the mean.
        before: whether the base model's images were judged too.
        taught: the finding that fine-tuning taught most, empty where nothing was gained.
        lessons: its images before and after.
        detected: whether shares of images seen by the judge are known.
        compared: whether differences to the ceiling are known.
        chart: the forest, None without rows.
        more: how many findings are in the table alone.
        why: the reason where there are no rows.
        why_no_before: the reason where there is no state before.
    """

    rows: tuple[FidelityRow, ...]
    before: bool
    taught: str
    lessons: tuple[Lesson, ...]
    detected: bool
    compared: bool
    chart: Markup | None
    more: int
    why: str
    why_no_before: str


def fidelity_view(
    scores: Scores, *, before: ShownSet | None, synthetic: ShownSet, real: ShownSet
) -> Fidelity:
    """Label fidelity before and after fine-tuning, or why there is none."""
    rows, dots = fidelity_rows(scores), fidelity_dots(scores)
    reason = "Label fidelity was not computed: no judge was trained on real images."
    judged_before = bool(part(scores, "label_fidelity_before", "findings"))
    without = (
        "The base model's images were not scored."
        if before
        else "There is no second dataset made by the base model, so only the state after "
        "fine-tuning is shown."
    )
    best = best_gain(scores)
    taught = best.finding if best else None
    title = "Label fidelity a finding beside the ceiling of real images"
    shown = dots[:_MOST_ROWS]
    return Fidelity(
        rows=rows,
        before=judged_before,
        taught=words(taught or ""),
        lessons=lessons(taught, before=before, synthetic=synthetic, real=real),
        detected=any(row.detected not in ("", NONE) for row in rows),
        compared=any(row.gap not in ("", NONE) for row in rows),
        chart=dot_chart(shown, name="fidelity", title=title, counts="N with / without")
        if shown
        else None,
        more=len(dots) - len(shown),
        why="" if rows else sentence(why_missing(scores, ("label fidelity",), reason)),
        why_no_before="" if judged_before else without,
    )


def best_gain(scores: Scores) -> Best | None:
    """None where there is no before, or nothing was gained."""
    for name, after, before in fidelity_by_gain(scores):
        if (gain(after, before) or 0.0) > 0.0:
            ends = interval(after.get("ci"), 2) if bounds(after.get("ci")) else ""
            return Best(name, float(before["auroc"]), float(after["auroc"]), ends)
    return None


def fidelity_rows(scores: Scores) -> tuple[FidelityRow, ...]:
    """Label fidelity a finding, what fine-tuning helped most first, then the mean."""
    rows = [
        _fidelity_row(words(name), after, before, counts=True)
        for name, after, before in fidelity_by_gain(scores)
    ]
    macro = part(scores, "label_fidelity", "macro")
    if macro:
        before = part(scores, "label_fidelity_before", "macro")
        rows.append(_fidelity_row("mean", macro, before, counts=False))
    return tuple(rows)


def _fidelity_row(name: str, after: Scores, before: Scores, *, counts: bool) -> FidelityRow:
    sides = [count(after.get(key)) for key in ("n_positive", "n_negative")]
    return FidelityRow(
        name=name,
        before=number(before.get("auroc")),
        after=number(after.get("auroc")),
        ci=interval(after.get("ci")),
        real=number(after.get("real_auroc")),
        real_ci=interval(after.get("real_ci")),
        n=" / ".join(sides) if counts else "",
        gain=number(gain(after, before), 3, sign=True),
        detected=_detected(after, before) if counts else "",
        detected_real=_detected_real(after) if counts else "",
        gap=number(after.get("difference"), 3, sign=True),
        gap_ci=interval(after.get("difference_ci"), 3, sign=True),
        differs=_differs(after),
    )


def _differs(row: Scores) -> bool:
    p = finite(row.get("p_holm"))
    return p is not None and p < LEVEL


def _detected(after: Scores, before: Scores) -> str:
    """Shares of images in which the judge sees the finding, before and after: ``"12 → 88 %"``."""
    share, earlier = finite(after.get("detected")), finite(before.get("detected"))
    if share is None:
        return NONE
    return (
        f"{100 * share:.0f} %" if earlier is None else f"{100 * earlier:.0f} → {100 * share:.0f} %"
    )


def _detected_real(after: Scores) -> str:
    share = finite(after.get("real_detected"))
    return "" if share is None else f"real {100 * share:.0f} %"


def gain(after: Scores, before: Scores) -> float | None:
    """What fine-tuning added to an AUROC, None where either is unknown."""
    first, second = finite(before.get("auroc")), finite(after.get("auroc"))
    return None if first is None or second is None else second - first


def fidelity_by_gain(scores: Scores) -> list[tuple[str, Scores, Scores]]:
    """(finding, after, before), largest gain first; without a before, lowest AUROC last."""
    findings = part(scores, "label_fidelity", "findings")
    base = part(scores, "label_fidelity_before", "findings")
    rows = [(name, part(findings, name), part(base, name)) for name in findings]

    def key(row: tuple[str, Scores, Scores]) -> tuple[float, float, str]:
        added = gain(row[1], row[2])
        level = finite(row[1].get("auroc"))
        return (-1e9 if added is None else added, -1e9 if level is None else level, row[0])

    return sorted(rows, key=key, reverse=True)


def fidelity_dots(scores: Scores) -> tuple[Dots, ...]:
    """The same for the dot chart; findings without any AUROC are left to the table."""
    rows = [
        Dots(
            words(name),
            point(after, "auroc"),
            point(before, "auroc"),
            point(after, "real_auroc", "real_ci"),
            _differs(after),
            " / ".join(count(after.get(key)) for key in ("n_positive", "n_negative")),
        )
        for name, after, before in fidelity_by_gain(scores)
    ]
    return tuple(row for row in rows if row.after or row.before)
