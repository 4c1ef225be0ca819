"""A text as groups of sentences that can change places, and what each of them states."""

from __future__ import annotations

import re
from collections.abc import Mapping

from synth.manifest import NO_FINDING, Label

_SENTENCE = re.compile(r"[^.!?;]+(?:[.!?;](?!\s|$)[^.!?;]*)*[.!?;]?")
_LEANING = re.compile(r"\s*(?:it|this|these|they|that|which|its|their|such|and|but|also)\b", re.I)


def sentence_groups(text: str) -> list[str]:
    """Sentences; one that leans on the sentence before it ("It is small") is joined to it.

    >>> sentence_groups("Small effusion. It is new. No edema.")
    ['Small effusion. It is new.', 'No edema.']
    """
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


def stated(
    labels: Mapping[str, Label], values: tuple[int, ...] = (1, -1)
) -> frozenset[tuple[str, int]]:
    """The findings with one of these values, and it: by default what is present or possible."""
    return frozenset(
        (name, value)
        for name, value in labels.items()
        if value is not None and value in values and name != NO_FINDING
    )


def ended(sentence: str) -> str:
    """The sentence with its full stop."""
    return sentence if sentence[-1] in ".!?;" else sentence + "."
