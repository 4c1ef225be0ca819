"""Other wordings of a report, made of its own sentences: more prompts without a new statement.

A variant keeps every sentence that states a finding as present or possible, drops some of the
others, and changes the order. It never adds a word, so it cannot invent a finding; that it loses
none is checked with the labeller, and a variant that would is left out. What a sentence leans on
("It is small") stays behind the sentence before it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from synth.manifest import Label
from synth.seeding import numpy_rng
from synth.text import Labeler, RuleLabeler

_SENTENCE = re.compile(r"[^.!?;]+(?:[.!?;](?!\s|$)[^.!?;]*)*[.!?;]?")
_LEANING = re.compile(r"\s*(?:it|this|these|they|that|which|its|their|such|and|but|also)\b", re.I)
_TRIES = 4  # draws for one variant before it is given up
_RULES = RuleLabeler()


def variants(text: str, count: int, *, labeler: Labeler = _RULES) -> tuple[str, ...]:
    """Up to ``count`` distinct other wordings of a prompt; a function of the text alone.

    Args:
        text: one line.
        count: how many are wanted; a short text has fewer.
        labeler: decides what each sentence states.
    """
    groups = _groups(text)
    if len(groups) < 2:
        return ()
    stated = [_stated(labeler.label(group).values) for group in groups]
    whole = _stated(labeler.label(text).values)
    found: dict[str, None] = {}
    for index in range(count):
        for attempt in range(_TRIES):
            candidate = _draw(text, groups, stated, index, attempt)
            if candidate == text or candidate in found:
                continue
            if _stated(labeler.label(candidate).values) == whole:
                found[candidate] = None
                break
    return tuple(found)


def _groups(text: str) -> list[str]:
    """Sentences; one that leans on the sentence before it is joined to it."""
    groups: list[str] = []
    for match in _SENTENCE.finditer(text):
        sentence = match.group().strip()
        if not sentence:
            continue
        if groups and _LEANING.match(sentence):
            groups[-1] += " " + sentence
        else:
            groups.append(sentence)
    return groups


def _stated(labels: dict[str, Label]) -> frozenset[tuple[str, int]]:
    """What is present or possible; absent findings may go unsaid."""
    return frozenset(
        (name, value) for name, value in labels.items() if value in (1, -1) and name != "no_finding"
    )


def _draw(
    text: str,
    groups: Sequence[str],
    stated: Sequence[frozenset[tuple[str, int]]],
    index: int,
    attempt: int,
) -> str:
    rng = numpy_rng("caption", text, index, attempt)
    kept = [g for g, says in zip(groups, stated, strict=True) if says or rng.random() < 0.5]
    kept = kept or list(groups[:1])
    return " ".join(_ended(kept[i]) for i in rng.permutation(len(kept)))


def _ended(sentence: str) -> str:
    return sentence if sentence[-1] in ".!?;" else sentence + "."
