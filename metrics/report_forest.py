"""Forest plots: one row a finding or group, a value with its interval, and its mark to read it by.

Rows whose difference stands after the correction for their number are filled and starred; the
others are hollow, so that nothing rests on colour alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor
from statistics import median

from markupsafe import Markup
from matplotlib.axes import Axes

from metrics.report_svg import (
    AFTER,
    BEFORE,
    LINE,
    MUTED,
    PAPER,
    REAL,
    beside,
    figure,
    legend,
    named_rows,
    to_svg,
)
from metrics.report_values import Point, told_point

_USUAL = 4.0  # times the middle upper end, beyond which a row is cut
_FAR_ABOVE = 0.75  # AUROC above which an axis from chance would be mostly empty
STAR = "★"  # p after Holm's correction below 0.05


@dataclass(frozen=True)
class ForestRow:
    """One row of a forest plot.

    Attributes:
        label: what it is.
        point: value and interval; None for a heading.
        mark: what real images reach against real ones at the same N, None where it is unknown.
        differs: whether the corrected p-value is below 0.05.
        n: how many images, in words.
    """

    label: str
    point: Point | None = None
    mark: float | None = None
    differs: bool = False
    n: str = ""


@dataclass(frozen=True)
class Dots:
    """One row of an AUROC chart: values with intervals on the same line.

    Attributes:
        label: what the row is.
        after, before, real: (value, interval) or None where there is none.
        differs: whether the test of this row holds after correction; the caption says which.
        n: how many images, in words.
    """

    label: str
    after: Point | None
    before: Point | None = None
    real: Point | None = None
    differs: bool = False
    n: str = ""


def forest_chart(
    rows: Sequence[ForestRow], *, name: str, title: str, axis: str, counts: str
) -> Markup:
    """Values with 95 % intervals beside their real-against-real floor.

    Args:
        rows: top to bottom.
        name: unique on the page.
        title: read aloud instead of the chart.
        axis: what the values are.
        counts: heading of the column of N.
    """
    with figure(1.15 + 0.36 * len(rows)) as (made, axes):
        labels: set[str] = set()
        named_rows(axes, [f"{row.label} {STAR}" if row.differs else row.label for row in rows])
        for place, row in enumerate(rows):
            if row.point is not None:
                _forest_row(axes, len(rows) - 1 - place, row, row.point, labels)
        _bold_headings(axes, rows)
        _reach(axes, rows)
        axes.axvline(0.0, color=MUTED, linestyle=(0, (4, 3)), linewidth=1)
        axes.set_xlabel(axis)
        values = [told_point(row.point) if row.point else "" for row in rows]
        beside(axes, values, "value (95 % interval)")
        beside(axes, [row.n for row in rows], counts, after=150.0)
        legend(axes, columns=3)
        told = "; ".join(
            f"{row.label}: {told_point(row.point)}{', differs' if row.differs else ''}"
            for row in rows
            if row.point
        )
        return to_svg(made, name=name, title=title, told=told)


def _forest_row(axes: Axes, y: float, row: ForestRow, point: Point, labels: set[str]) -> None:
    value, ends = point
    if ends:
        axes.plot(ends, [y, y], color=AFTER, linewidth=2.4, alpha=0.55)
    label = f"differs ({STAR})" if row.differs else "no difference shown"
    axes.plot(
        [value],
        [y],
        linestyle="none",
        marker="o",
        markersize=8,
        color=AFTER,
        markerfacecolor=AFTER if row.differs else PAPER,
        markeredgewidth=2,
        label=None if label in labels else label,
    )
    labels.add(label)
    if row.mark is not None:
        _tick(axes, row.mark, y, "real against real", labels)


def _reach(axes: Axes, rows: Sequence[ForestRow]) -> None:
    """Let no single row squeeze the others: what lies beyond is cut, with an arrow at the edge."""
    drawn = [(at, *row.point) for at, row in enumerate(reversed(rows)) if row.point]
    ends = [(y, *(bounds or (value, value))) for y, value, bounds in drawn]
    marks = [row.mark for row in rows if row.mark is not None]
    highs = [max(value, high) for (_, value, _), (_, _, high) in zip(drawn, ends, strict=True)]
    top = max([0.0, min(max(highs), _USUAL * median(highs)), *marks]) or 1.0
    bottom = max(min([0.0, *marks, *(low for _, low, _ in ends)]), -top)
    room = 0.04 * (top - bottom)
    left, right = bottom - room, top + room
    axes.set_xlim(left, right)
    cut = [(y, right, ">") for y, _, high in ends if high > right]
    cut += [(y, left, "<") for y, low, _ in ends if low < left]
    for y, x, marker in cut:
        axes.plot([x], [y], marker=marker, color=AFTER, markersize=8, clip_on=False)


def _tick(axes: Axes, x: float, y: float, label: str, labels: set[str]) -> None:
    axes.plot(
        [x],
        [y],
        linestyle="none",
        marker="|",
        markersize=16,
        markeredgewidth=2,
        color=REAL,
        label=None if label in labels else label,
    )
    labels.add(label)


def _bold_headings(axes: Axes, rows: Sequence[ForestRow]) -> None:
    for tick, row in zip(axes.get_yticklabels(), reversed(rows), strict=True):
        if row.point is None:
            tick.set_fontweight("bold")


def dot_chart(
    rows: Sequence[Dots],
    *,
    name: str,
    title: str,
    about: str = "1: every image shows what was asked",
    counts: str = "",
) -> Markup:
    """AUROC a row with 95 % intervals: before hollow, after filled, real images as a tick.

    Args:
        rows: top to bottom.
        name: unique on the page.
        title: read aloud instead of the chart.
        about: what an AUROC of 1 means.
        counts: heading of the column of N.
    """
    with figure(1.15 + 0.4 * len(rows)) as (made, axes):
        labels: set[str] = set()
        named_rows(axes, [f"{row.label} {STAR}" if row.differs else row.label for row in rows])
        for place, row in enumerate(rows):
            _dots(axes, len(rows) - 1 - place, row, labels)
        axes.set_xlabel(f"AUROC ({_from_chance(axes, _lowest(rows))}; {about})")
        if counts:
            beside(axes, [row.n for row in rows], counts)
        if len(labels) > 1:
            legend(axes, columns=3)
        return to_svg(made, name=name, title=title, told="; ".join(map(_told, rows)))


def _from_chance(axes: Axes, lowest: float) -> str:
    """Begin the axis below chance, or near the values where all are far above it; in words."""
    if lowest < _FAR_ABOVE:
        axes.set_xlim(min(0.4, lowest - 0.02), 1.01)
        axes.axvline(0.5, color=MUTED, linestyle=(0, (4, 3)), linewidth=1)
        return "0.5: chance, dashed"
    start = floor(20 * (lowest - 0.02)) / 20
    axes.set_xlim(start, 1.0 + 0.02 * (1.0 - start))
    return f"the axis begins at {start:.2f}"


def _told(row: Dots) -> str:
    kinds = (("", row.after), ("before ", row.before), ("real images ", row.real))
    return f"{row.label}: " + ", ".join(f"{word}{told_point(dot)}" for word, dot in kinds if dot)


def _lowest(rows: Sequence[Dots]) -> float:
    values = [1.0]
    for row in rows:
        for dot in (row.before, row.after, row.real):
            if dot:
                values += [dot[0], *(dot[1] or ())]
    return max(0.0, min(values))


def _dots(axes: Axes, y: float, row: Dots, labels: set[str]) -> None:
    """Draw one row; a legend entry is made where a kind of dot comes first."""
    if row.before and row.after:  # the way from before to after
        ends = [row.before[0], row.after[0]]
        axes.plot(ends, [y, y], color=LINE, linewidth=1.2, linestyle=":")
    if row.real:
        if row.real[1]:
            axes.fill_betweenx(
                [y - 0.3, y + 0.3], *row.real[1], color=REAL, alpha=0.14, linewidth=0
            )
        _tick(axes, row.real[0], y, "real images, the ceiling", labels)
    kinds = (
        ("before fine-tuning", row.before, BEFORE, 0.16 if row.after else 0.0),
        ("synthetic images", row.after, AFTER, -0.12 if row.before else 0.0),
    )
    for label, dot, colour, shift in kinds:
        if dot is None:
            continue
        if dot[1]:
            axes.plot(dot[1], [y + shift] * 2, color=colour, linewidth=2.4, alpha=0.45)
        axes.plot(
            [dot[0]],
            [y + shift],
            linestyle="none",
            marker="o",
            markersize=7.5,
            color=colour,
            markerfacecolor=PAPER if colour == BEFORE else colour,
            markeredgewidth=2,
            label=None if label in labels else label,
        )
        labels.add(label)
