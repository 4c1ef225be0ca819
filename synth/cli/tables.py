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


def number(value: object, digits: int | None = None) -> str:
    """``0.914`` or ``2.9e−04``: three significant digits, as on the page, or ``digits`` decimals.

    A whole number stays whole, and a dash stands for what is missing or not a number.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    from metrics.report_values import number as shown  # the tables read as the page does

    return shown(value, digits)


def interval(low_high: object, digits: int | None = None) -> str:
    """``0.880 – 0.940``, both ends with as many decimals; empty for no pair of numbers."""
    from metrics.report_values import bounds, ends

    known = bounds(low_high)
    return " – ".join(ends(known, digits)) if known else ""


def p_value(value: object) -> str:
    """``0.042``, ``< 0.001`` below that, and a dash for what is missing."""
    from metrics.report_values import p_value as shown

    return shown(value)


def duration(seconds: float) -> str:
    """``3.2 s`` or ``2 min 05 s``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
