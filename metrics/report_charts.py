"""Charts as SVG inside the page; their colours are the page's, so that they follow its theme."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Stand-ins that matplotlib accepts, replaced in its output by the page's own variables.
INK, MUTED, LINE, PAPER = "#010101", "#010102", "#010103", "#010104"
AFTER, BEFORE, REAL = "#010105", "#010106", "#010107"
_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    LINE: "--line",
    PAPER: "--card",
    AFTER: "--after",
    BEFORE: "--before",
    REAL: "--real",
}
_STYLE: dict[Any, Any] = {  # keys are matplotlib's own literal type
    "svg.fonttype": "none",  # text stays text: searchable, in the page's font
    "svg.hashsalt": "report",
    "font.size": 12.5,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0.0,
    "ytick.major.size": 0.0,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "legend.frameon": False,
}
WIDTH = 10.4  # inches at 72 units each, about the width of the page in CSS pixels


@dataclass(frozen=True)
class Dots:
    """One row of a dot chart: values with intervals on the same line.

    Attributes:
        label: what the row is.
        before, after, real: (value, interval) or None where there is none.
    """

    label: str
    after: tuple[float, tuple[float, float] | None] | None
    before: tuple[float, tuple[float, float] | None] | None = None
    real: tuple[float, tuple[float, float] | None] | None = None


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


def dot_chart(
    rows: Sequence[Dots],
    *,
    name: str,
    title: str,
    about: str = "1: every image shows what was asked",
) -> Markup:
    """AUROC a row with 95 % intervals: before hollow, after filled, real images as a tick.

    Args:
        rows: top to bottom.
        name: unique on the page.
        title: read aloud instead of the chart.
        about: what an AUROC of 1 means.
    """
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH, 0.9 + 0.4 * len(rows)), layout="constrained")
        axes = figure.add_subplot()
        legend: set[str] = set()
        for place, row in enumerate(rows):
            _dots(axes, len(rows) - 1 - place, row, legend)
        axes.set_yticks(range(len(rows)), [row.label for row in reversed(rows)], color=INK)
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.set_xlim(min(0.4, _lowest(rows) - 0.02), 1.01)
        axes.axvline(0.5, color=MUTED, linestyle=(0, (4, 3)), linewidth=1)
        axes.set_xlabel(f"AUROC (0.5: chance, dashed; {about})")
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
        if len(legend) > 1:
            axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
        return _svg(figure, name=name, title=title)


def _lowest(rows: Sequence[Dots]) -> float:
    values = [1.0]
    for row in rows:
        for dot in (row.before, row.after, row.real):
            if dot:
                values += [dot[0], *(dot[1] or ())]
    return max(0.0, min(values))


def _dots(axes: Axes, y: float, row: Dots, legend: set[str]) -> None:
    """Draw one row; a legend entry is made where a kind of dot comes first."""
    if row.before and row.after:  # the way from before to after
        ends = [row.before[0], row.after[0]]
        axes.plot(ends, [y, y], color=LINE, linewidth=1.2, linestyle=":")
    kinds = (
        ("real images", row.real, REAL, "|", 0.0),
        ("before fine-tuning", row.before, BEFORE, "o", 0.16 if row.after else 0.0),
        ("synthetic images", row.after, AFTER, "o", -0.12 if row.before else 0.0),
    )
    for label, dot, colour, marker, shift in kinds:
        if dot is None:
            continue
        if dot[1] and marker == "o":
            axes.plot(dot[1], [y + shift] * 2, color=colour, linewidth=2.4, alpha=0.45)
        axes.plot(
            [dot[0]],
            [y + shift],
            linestyle="none",
            marker=marker,
            markersize=16 if marker == "|" else 7.5,
            color=colour,
            markerfacecolor=PAPER if colour == BEFORE else colour,
            markeredgewidth=2,
            label=None if label in legend else label,
        )
        legend.add(label)


def curve_chart(curves: Sequence[Curve], *, name: str, title: str) -> Markup:
    """Loss against images seen."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
        axes = figure.add_subplot()
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
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4)
        return _svg(figure, name=name, title=title)


def bar_chart(rows: Sequence[tuple[str, int, int]], *, name: str, title: str) -> Markup:
    """Stacked bars: images of a finding in real training data, and those added to them."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH, 0.9 + 0.36 * len(rows)), layout="constrained")
        axes = figure.add_subplot()
        places = range(len(rows) - 1, -1, -1)
        real, made = [row[1] for row in rows], [row[2] for row in rows]
        axes.barh(places, real, height=0.62, color=REAL, label="real training images")
        axes.barh(places, made, left=real, height=0.62, color=AFTER, label="synthetic")
        for place, first, second in zip(places, real, made, strict=True):
            axes.annotate(
                f"{first:,} → {first + second:,}",
                (first + second, place),
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
                color=INK,
            )
        axes.set_yticks(places, [row[0] for row in rows], color=INK)
        axes.set_xlim(0, max(1, *(a + b for a, b in zip(real, made, strict=True))) * 1.16)
        axes.set_xlabel("images that show the finding")
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
        return _svg(figure, name=name, title=title)


def _svg(figure: Figure, *, name: str, title: str) -> Markup:
    """The figure as an ``<svg>`` element: no prolog, no namespaces, ids of its own."""
    buffer = BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue().decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    head, body = text.split(">", 1)
    box = re.search(r'viewBox="[^"]+"', head)
    label = f'role="img" aria-label="{Markup.escape(title)}"'
    text = f"<svg {box.group() if box else ''} {label}>{body}"
    text = re.sub(r"font-family: ?[^;\"]+;?|font: ?([\d.]+px)[^;\"]+", _without_font, text)
    text = re.sub(r'(\bid="|url\(#|xlink:href="#)', rf"\g<1>{name}-", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    return Markup(text)


def _without_font(match: re.Match[str]) -> str:
    return f"font-size: {match.group(1)}" if match.group(1) else ""
