"""A line of the verdict, and how its numbers are written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from metrics.report_values import Scores, part, words

State = Literal["fault", "doubt", "unknown", "sound"]


@dataclass(frozen=True)
class Line:
    """The answer to one question.

    Attributes:
        topic: ``copying``, ``likeness``, ``variety``, ``labels``, ``usefulness``.
        question: what it answers, to stand behind "it is not known".
        state: ``fault``, ``doubt``, ``unknown`` or ``sound``.
        short: a clause for the headline; empty where nothing is wrong.
        says: a sentence.
        why: the numbers behind it, or why there are none.
    """

    topic: str
    question: str
    state: State
    short: str
    says: str
    why: str


def rows(findings: Scores) -> Iterator[tuple[str, Scores]]:
    """Rows by finding; what is no row is left out."""
    return ((name, row) for name in findings if (row := part(findings, name)))


def worst(states: list[State]) -> State:
    """The state that weighs most."""
    order: tuple[State, ...] = ("fault", "doubt", "unknown", "sound")
    return min(states, key=order.index)


def named(findings: list[str]) -> str:
    """Up to three findings by name, and how many more."""
    shown = [words(name) for name in findings[:3]]
    more = f" and {len(findings) - 3} more" if len(findings) > 3 else ""
    return ", ".join(shown) + more


def percent(share: float) -> str:
    """A share for people: two digits below ten."""
    return f"{100 * share:.0f} %" if share >= 0.1 or share == 0 else f"{100 * share:.2g} %"


def percents(ends: tuple[float, float]) -> str:
    """An interval of shares."""
    return f"{percent(ends[0])} to {percent(ends[1])}"


def why_withheld(record: Scores) -> str:
    """The note of a record; what was asked for and could not be had is listed with its reason."""
    return str(record.get("note") or "") or "it was not asked for"
