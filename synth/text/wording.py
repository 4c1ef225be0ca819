"""What it is to look for a finding: its wordings, what only resembles them, and shared word groups.

Patterns are regular expressions over lower-case text in which white space is one space. Substring
matching is wrong ("pseudonodule", "subcutaneous emphysema", "pericardial effusion"), so every
pattern is bounded by word ends and may be overruled by an ``unlike`` match that starts no later.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["unlike", "hedged", "normal", "mention"]


@dataclass(frozen=True)
class Finding:
    """One finding's wordings.

    Attributes:
        name: snake_case label name.
        stems: beginnings of words, one of which every match of the patterns below contains; a
            sentence without any is not searched.
        mentions: patterns that speak of it; negation and uncertainty are judged around them.
        unlike: patterns that contain such a wording but mean something else.
        hedged: patterns that name it only as a possibility; -1 unless negated.
        normal: statements that by themselves say it is absent; label 0.
        device: not a disease, so it does not speak against ``no_finding``.
    """

    name: str
    stems: tuple[str, ...]
    mentions: tuple[str, ...]
    unlike: tuple[str, ...] = ()
    hedged: tuple[str, ...] = ()
    normal: tuple[str, ...] = ()
    device: bool = False

    def compiled(self) -> re.Pattern[str]:
        """One pattern whose last group is the :data:`Kind`; the kinds are tried in that order."""
        kinds: tuple[tuple[Kind, tuple[str, ...]], ...] = (
            ("unlike", self.unlike),
            ("hedged", self.hedged),
            ("normal", self.normal),
            ("mention", self.mentions),
        )
        groups = [f"(?P<{kind}>{'|'.join(patterns)})" for kind, patterns in kinds if patterns]
        return re.compile(rf"\b(?:{'|'.join(groups)})(?!\w)")


@dataclass(frozen=True)
class Statement:
    """A statement that says of several findings at once that they are absent.

    Attributes:
        name: goes into the rule, ``normal:<name>``.
        stems: as for :class:`Finding`.
        patterns: the wordings.
        absent: the findings it denies.
    """

    name: str
    stems: tuple[str, ...]
    patterns: tuple[str, ...]
    absent: tuple[str, ...]

    def compiled(self) -> re.Pattern[str]:
        """One pattern for all wordings."""
        return re.compile(rf"\b(?:{'|'.join(self.patterns)})(?!\w)")


NORMAL = r"(?:normal(?: limits)?|unremarkable)"
# Forms of "to be" that may stand between a subject and its predicate.
BE = r"(?:is |are |was |were |remains? |appears? |appear to be |appears to be )?"


def alternation(beginnings: Iterable[str]) -> str:
    """One of these strings, longest first, passed over by a look at a single letter."""
    by_letter: dict[str, list[str]] = {}
    for beginning in sorted(beginnings, key=len, reverse=True):
        by_letter.setdefault(beginning[0], []).append(re.escape(beginning[1:]))
    return "|".join(f"{letter}(?:{'|'.join(rest)})" for letter, rest in sorted(by_letter.items()))
