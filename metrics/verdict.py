"""What a set's scores allow one to say, in words for a reader who makes decisions about patients.

Five questions, one line each: does it copy, does it look real, is it varied, do its labels hold,
does it help a classifier. A line's state is a decision rule on intervals and floors and on the size
of what was found, so that neither a small difference in a large set nor a large one in a handful of
images is called a fault, and few images are not called good for want of evidence. The rules are
in ``metrics.verdict_copying`` and ``metrics.verdict_rules``; what cannot be judged is said to be
unknown, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from metrics import verdict_rules as rules
from metrics.report_values import part
from metrics.verdict_copying import copying
from metrics.verdict_line import Line, State

__all__ = ["Line", "State", "Verdict", "verdict"]

Overall = Literal["fault", "doubt", "unknown", "sound"]
_SECTIONS = ("metrics", "memorization", "label_fidelity", "utility")  # that the rules read
_RULES = (
    copying,
    rules.likeness,
    rules.variety,
    rules.labels,
    rules.usefulness,
)


@dataclass(frozen=True)
class Verdict:
    """The answer to "may I use this set?".

    Attributes:
        state: the worst of the lines; usefulness cannot make it worse than ``doubt``.
        headline: one sentence.
        lines: one a question, in a fixed order.
    """

    state: Overall
    headline: str
    lines: tuple[Line, ...]

    @property
    def safe(self) -> tuple[Line, ...]:
        """What may be concluded."""
        return tuple(line for line in self.lines if line.state == "sound")

    @property
    def unsafe(self) -> tuple[Line, ...]:
        """What may not, with the reason."""
        return tuple(line for line in self.lines if line.state != "sound")

    def to_json(self) -> dict[str, Any]:
        """JSON types only."""
        return asdict(self) | {"lines": [asdict(line) for line in self.lines]}


def verdict(scores: Mapping[str, Any]) -> Verdict:
    """Judge the content of ``scores.json``, of any version of it."""
    lines = tuple(rule(scores) for rule in _RULES)
    faults = [line for line in lines if line.state == "fault"]
    doubts = [line for line in lines if line.state == "doubt"]
    unknown = [line for line in lines if line.state == "unknown"]
    if faults:
        found = _joined([line.short for line in faults])
        return Verdict("fault", f"Do not use this set as it is: {found}.", lines)
    if doubts:
        found = _joined([line.short for line in doubts])
        return Verdict("doubt", f"Use it with care: {found}.", lines)
    if not any(part(scores, name) for name in _SECTIONS):
        return Verdict("unknown", "Nothing can be said of this set: nothing was measured.", lines)
    if unknown:
        missing = _joined([line.question for line in unknown], last="or")
        text = f"No fault was found, but these scores do not say {missing}."
        return Verdict("unknown", text, lines)
    text = "No fault was found: for research it may be used like the images it was made from."
    return Verdict("sound", text, lines)


def _joined(parts: list[str], last: str = "and") -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    if len(parts) == 1:
        return parts[0]
    return f"{', '.join(parts[:-1])} {last} {parts[-1]}"
