"""Matplotlib figures as SVG inside the page: its colours, its font, and words for who listens."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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


@contextmanager
def figure(height: float) -> Iterator[tuple[Figure, Axes]]:
    """A figure of the page's width with one pair of axes, in the page's style.

    Args:
        height: inches.
    """
    with mpl.rc_context(_STYLE):
        made = Figure(figsize=(WIDTH, height), layout="constrained")
        yield made, made.add_subplot()


def named_rows(axes: Axes, labels: Sequence[str], *, room: float = 0.6) -> None:
    """One row a label, the first on top, at y = len(labels) - 1 … 0.

    Args:
        axes: to set.
        labels: of the rows.
        room: above the first row and below the last one.
    """
    count = len(labels)
    axes.set_yticks(range(count), list(reversed(labels)), color=INK)
    axes.set_ylim(-room, count - 1 + room)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)


def beside(axes: Axes, texts: Sequence[str], heading: str, *, after: float = 12.0) -> None:
    """A column of small text to the right of the rows of ``named_rows``.

    Args:
        axes: with the rows.
        texts: one a row, top to bottom.
        heading: above them.
        after: where it begins, in points right of the axes.
    """
    style: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "annotation_clip": False}
    style |= {"xytext": (after, 0), "textcoords": "offset points"}
    count = len(texts)
    for place, text in enumerate([heading, *texts]):
        axes.annotate(text, (1.0, count - place), va="center", color=MUTED, fontsize=11, **style)


def legend(axes: Axes, *, columns: int) -> None:
    """Above the axes, where it hides nothing."""
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=columns)


def to_svg(figure: Figure, *, name: str, title: str, told: str = "") -> Markup:
    """The figure as an ``<svg>`` element: no prolog, no namespaces, ids of its own.

    Args:
        figure: drawn within ``figure``.
        name: unique on the page.
        title: what it shows, read aloud.
        told: its numbers in words, for who cannot see it.
    """
    buffer = BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue().decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    head, body = text.split(">", 1)
    box = re.search(r'viewBox="[^"]+"', head)
    body = re.sub(r"font-family: ?[^;\"]+;?|font: ?([\d.]+px)[^;\"]+", _without_font, body)
    body = re.sub(r'(\bid="|url\(#|xlink:href="#)', rf"\g<1>{name}-", body)
    for colour, variable in _VARIABLES.items():
        body = body.replace(colour, f"var({variable})")
    labelled = f'aria-labelledby="{name}-chart-title"'
    words = f'<title id="{name}-chart-title">{Markup.escape(title)}</title>'
    if told:
        labelled += f' aria-describedby="{name}-chart-told"'
        words += f'<desc id="{name}-chart-told">{Markup.escape(told)}</desc>'
    return Markup(f'<svg {box.group() if box else ""} role="img" {labelled}>{words}{body}')


def _without_font(match: re.Match[str]) -> str:
    return f"font-size: {match.group(1)}" if match.group(1) else ""
