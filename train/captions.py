"""Other wordings of a report, made of its own sentences: more prompts without a new statement.

A variant keeps every sentence that states a finding as present or possible, drops some of the
others, and changes the order. It never adds a word, so it cannot invent a finding; that it loses
none is checked with the labeller, and a variant that would is left out. What a sentence leans on
("It is small") stays behind the sentence before it.
"""

from __future__ import annotations

from collections.abc import Sequence

from synth.seeding import numpy_rng
from synth.text import Labeler, RuleLabeler
from synth.text.statements import ended, sentence_groups, stated

_TRIES = 4  # draws for one variant before it is given up
_RULES = RuleLabeler()


def variants(text: str, count: int, *, labeler: Labeler = _RULES) -> tuple[str, ...]:
    """Up to ``count`` distinct other wordings of a prompt; a function of the text alone.

    Args:
        text: one line.
        count: how many are wanted; a short text has fewer.
        labeler: decides what each sentence states.
    """
    groups = sentence_groups(text)
    if len(groups) < 2:
        return ()
    says = [stated(labeler.label(group).values) for group in groups]
    whole = stated(labeler.label(text).values)
    found: dict[str, None] = {}
    for index in range(count):
        for attempt in range(_TRIES):
            candidate = _draw(text, groups, says, index, attempt)
            if candidate == text or candidate in found:
                continue
            if stated(labeler.label(candidate).values) == whole:
                found[candidate] = None
                break
    return tuple(found)


def _draw(
    text: str,
    groups: Sequence[str],
    statements: Sequence[frozenset[tuple[str, int]]],
    index: int,
    attempt: int,
) -> str:
    rng = numpy_rng("caption", text, index, attempt)
    kept = [g for g, says in zip(groups, statements, strict=True) if says or rng.random() < 0.5]
    kept = kept or list(groups[:1])
    return " ".join(ended(kept[i]) for i in rng.permutation(len(kept)))
