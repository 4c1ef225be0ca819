"""Where a sentence speaks of findings: a cheap look at word beginnings, then the full patterns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from synth.text.wording import Finding, Statement, alternation


class Mention(NamedTuple):
    """``sentence[start:end]`` speaks of a finding; ``kind`` is hedged, normal or mention."""

    name: str
    kind: str
    start: int
    end: int


@dataclass(frozen=True)
class Vocabulary:
    """Findings and statements, compiled.

    Attributes:
        stems: finds the word beginnings that any pattern needs.
        needed: word beginning -> indices into ``patterns``.
        patterns: (name, pattern, findings denied) of every finding and statement; only a
            statement denies.
    """

    stems: re.Pattern[str]
    needed: dict[str, frozenset[int]]
    patterns: tuple[tuple[str, re.Pattern[str], tuple[str, ...]], ...]


def vocabulary(findings: Sequence[Finding], statements: Sequence[Statement]) -> Vocabulary:
    """Compile what to look for."""
    entries: list[tuple[tuple[str, ...], str, re.Pattern[str], tuple[str, ...]]] = [
        *((item.stems, item.name, item.compiled(), ()) for item in findings),
        *((item.stems, item.name, item.compiled(), item.absent) for item in statements),
    ]
    stems = {stem for entry in entries for stem in entry[0]}
    needed = {
        stem: frozenset(
            index
            for index, entry in enumerate(entries)
            if any(stem.startswith(own) for own in entry[0])
        )
        for stem in stems
    }
    return Vocabulary(
        stems=re.compile(rf"(?<!\w)(?:{alternation(stems)})"),
        needed=needed,
        patterns=tuple((name, pattern, absent) for _, name, pattern, absent in entries),
    )


def find_mentions(words: Vocabulary, sentence: str) -> list[Mention]:
    """All mentions in a lower-case, single-spaced sentence, finding by finding.

    A statement such as "the lungs are clear" yields one mention for each finding that it denies,
    of the kind ``normal:<statement>``.
    """
    wanted: set[int] = set()
    for stem in set(words.stems.findall(sentence)):
        wanted |= words.needed[stem]
    found: list[Mention] = []
    for index in sorted(wanted):
        name, pattern, absent = words.patterns[index]
        for match in pattern.finditer(sentence):
            start, end = match.span()
            if absent:
                found += [Mention(denied, f"normal:{name}", start, end) for denied in absent]
            elif match.lastgroup != "unlike":
                found.append(Mention(name, str(match.lastgroup), start, end))
    return found
