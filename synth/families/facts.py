"""View, side, sex and age band as categories: what conditions an image beside its text.

Written into the prompt they would crowd findings out of a text encoder's budget, so they have
embeddings of their own (``synth.families.conditions``). Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from synth.manifest import Row

CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "view": ("PA", "AP", "LATERAL"),
    "side": ("left", "right", "bilateral"),
    "sex": ("F", "M", "O"),
    "age_band": ("0-19", "20-39", "40-59", "60-79", "80+"),
}
UNKNOWN = -1


def facts_of(row: Row, names: Sequence[str]) -> tuple[int, ...]:
    """The categories of an image, in the order of ``names``; ``UNKNOWN`` where not stated.

    Args:
        row: of a prepared dataset.
        names: keys of ``CATEGORIES``.
    """
    values = {"view": row.view, "sex": row.sex, "age_band": row.age_band, "side": side_of(row)}
    return tuple(
        CATEGORIES[name].index(value) if (value := values[name]) in CATEGORIES[name] else UNKNOWN
        for name in names
    )


def words_of(facts: Sequence[int], names: Sequence[str]) -> dict[str, str]:
    """The known ones of ``facts_of`` by name."""
    pairs = zip(names, facts, strict=True)
    return {name: CATEGORIES[name][fact] for name, fact in pairs if fact != UNKNOWN}


def codes_of(words: Mapping[str, str], names: Sequence[str]) -> tuple[int, ...]:
    """The inverse of ``words_of``."""
    return tuple(
        CATEGORIES[name].index(words[name]) if name in words else UNKNOWN for name in names
    )


def side_of(row: Row) -> str | None:
    """The side of all findings that are present: ``bilateral`` for both, None if none is said."""
    sides = {
        stated["side"]
        for finding, stated in (row.attributes or {}).items()
        if row.labels.get(finding) == 1 and "side" in stated
    }
    return "bilateral" if len(sides) > 1 else next(iter(sides), None)
