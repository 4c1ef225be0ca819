"""Tables and numbers as the command line shows them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table


def table(
    title: str, headers: Sequence[str], rows: Iterable[Sequence[str]], *, words: bool = False
) -> Table:
    """A table whose first column is text and whose others are numbers, or ``words`` throughout."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    made = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for index, header in enumerate(headers):
        made.add_column(header, justify="right" if index and not words else "left", overflow="fold")
    for row in rows:
        made.add_row(*row)
    return made


def number(value: object, digits: int = 3) -> str:
    """``0.914``; a dash for what is missing or not a number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return "–"
    if isinstance(value, int):
        return str(value)
    return f"{value:.{digits}f}" if abs(value) < 1000 else f"{value:.0f}"


def interval(low_high: object, digits: int = 3) -> str:
    """``0.88 – 0.94``; empty for what is not a pair of numbers."""
    if not isinstance(low_high, list | tuple) or len(low_high) != 2:
        return ""
    return f"{number(low_high[0], digits)} – {number(low_high[1], digits)}"


def duration(seconds: float) -> str:
    """``3.2 s`` or ``2 min 05 s``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
