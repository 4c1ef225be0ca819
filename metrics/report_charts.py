"""The page's charts of counts and curves: training, plan, utility, distances to training images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes

from metrics.report_svg import (
    AFTER,
    INK,
    MUTED,
    PAPER,
    REAL,
    beside,
    figure,
    legend,
    named_rows,
    to_svg,
)
from metrics.report_values import Point, number, told_point


@dataclass(frozen=True)
class Curve:
    """A line of the training chart, x in images seen."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    colour: str
    width: float = 2.0
    alpha: float = 1.0
    marker: str = ""


def curve_chart(curves: Sequence[Curve], *, name: str, title: str) -> Markup:
    """Loss against images seen."""
    with figure(3.6) as (made, axes):
        for curve in curves:
            axes.plot(
                curve.x,
                curve.y,
                color=curve.colour,
                linewidth=curve.width,
                alpha=curve.alpha,
                marker=curve.marker or None,
                label=curve.label,
            )
        axes.set_xlabel("images seen")
        axes.set_ylabel("loss")
        axes.xaxis.set_major_formatter(mpl.ticker.StrMethodFormatter("{x:,.0f}"))
        legend(axes, columns=4)
        told = "; ".join(
            f"{curve.label}: {number(curve.y[0], 4)} at first, {number(curve.y[-1], 4)} at last"
            for curve in curves
        )
        return to_svg(made, name=name, title=title, told=told)


def bar_chart(rows: Sequence[tuple[str, int, int]], *, name: str, title: str) -> Markup:
    """Stacked bars: images of a finding in real training data, and those added to them."""
    with figure(0.9 + 0.36 * len(rows)) as (made, axes):
        places = range(len(rows) - 1, -1, -1)
        real, added = [row[1] for row in rows], [row[2] for row in rows]
        axes.barh(places, real, height=0.62, color=REAL, label="real training images")
        axes.barh(places, added, left=real, height=0.62, color=AFTER, label="synthetic")
        named_rows(axes, [row[0] for row in rows])
        axes.set_xlim(0, max(1, *(a + b for a, b in zip(real, added, strict=True))))
        axes.set_xlabel("images that show the finding")
        beside(axes, [f"{a:,} → {a + b:,}" for a, b in zip(real, added, strict=True)], "")
        legend(axes, columns=2)
        told = "; ".join(f"{row[0]}: {row[1]:,} real, {row[2]:,} synthetic" for row in rows)
        return to_svg(made, name=name, title=title, told=told)


def share_chart(
    points: Sequence[tuple[float, Point]], *, base: float | None, name: str, title: str
) -> Markup:
    """AUROC with 95 % intervals against the number of synthetic images added.

    Args:
        points: share of the real count, and the AUROC; in order.
        base: AUROC of training on real images alone, as a line across.
        name: unique on the page.
        title: read aloud.
    """
    with figure(3.4) as (made, axes):
        if base is not None:
            label = "real images alone"
            axes.axhline(base, color=REAL, linestyle=(0, (4, 3)), linewidth=1.4, label=label)
        x, y = [share for share, _ in points], [point[0] for _, point in points]
        for share, (_, ends) in points:
            if ends:
                axes.plot([share, share], ends, color=AFTER, linewidth=2.4, alpha=0.45)
        axes.plot(x, y, color=AFTER, marker="o", linewidth=1.6, label="with synthetic images added")
        axes.set_xlabel("synthetic images added, as a multiple of the real ones")
        axes.set_ylabel("macro AUROC")
        axes.set_xlim(left=min(0.0, *x) - 0.03 * max(x))
        legend(axes, columns=2)
        told = "; ".join(
            f"{number(share, 2)} times: {told_point(point)}" for share, point in points
        )
        return to_svg(made, name=name, title=title, told=told)


def histogram_chart(
    edges: Sequence[float],
    sides: Sequence[tuple[str, Sequence[float], bool]],
    *,
    limit: float | None,
    name: str,
    title: str,
) -> Markup:
    """Two distributions as shares of their images, and the limit.

    Args:
        edges: of the bins.
        sides: what each is, its counts, and whether it is the synthetic one.
        limit: below which a distance is rare among real images.
        name: unique on the page.
        title: read aloud.
    """
    with figure(3.4) as (made, axes):
        for label, counts, synthetic in sides:
            colour, total = AFTER if synthetic else REAL, sum(counts) or 1
            shares = [100 * count / total for count in counts]
            alpha = 1.0 if synthetic else 0.35  # an outline over an area: told apart by form too
            axes.stairs(
                shares, edges, fill=not synthetic, color=colour, alpha=alpha, lw=2, label=label
            )
        if limit is not None:
            _mark(axes, limit)
        axes.set_xlabel("distance to the nearest training image")
        axes.set_ylabel("% of images")
        axes.set_xlim(edges[0], edges[-1])
        axes.set_ylim(bottom=0)
        legend(axes, columns=2)
        told = "; ".join(f"{label}: {_middle(edges, counts)}" for label, counts, _ in sides)
        return to_svg(made, name=name, title=title, told=told)


def _mark(axes: Axes, limit: float) -> None:
    """A dashed line with its name beside it."""
    axes.axvline(limit, color=INK, linestyle=(0, (4, 3)), linewidth=1.2)
    axes.annotate(
        "limit",
        (limit, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(-5, -4),
        textcoords="offset points",
        ha="right",
        va="top",
        color=MUTED,
        bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1.0},
    )


def _middle(edges: Sequence[float], counts: Sequence[float]) -> str:
    """Between which edges the median lies, in words."""
    seen, half = 0.0, sum(counts) / 2
    for low, high, count in zip(edges, edges[1:], counts, strict=False):
        seen += count
        if seen >= half > 0:
            return f"half lie below a distance between {number(low)} and {number(high)}"
    return "no images"
