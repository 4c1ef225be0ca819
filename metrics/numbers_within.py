"""The numbers of a part of ``scores.json``, wherever they stand in it, with the keys to them.

By structure and not by name: what a page or table shows cannot lack a metric that was added.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from metrics.protocol import is_record
from metrics.report_values import Scores, words


def records_within(held: Scores, path: str = "") -> Iterator[tuple[str, Scores]]:
    """Every record below a section, with the keys that lead to it."""
    for key, value in held.items():
        where = f"{path} {words(str(key))}".strip()
        if is_record(value):
            yield where, value
        elif isinstance(value, Mapping):
            yield from records_within(value, where)


def spreads_within(held: Scores, path: str = "") -> Iterator[tuple[str, Scores]]:
    """Every number with an interval that is no record: what arms of a trained network reach."""
    for key, value in held.items():
        if not isinstance(value, Mapping) or is_record(value):
            continue
        where = f"{path} {words(str(key))}".strip()
        if "value" in value and "ci" in value:
            if "worst" not in value:  # a gap between groups has a table of its own
                yield where, value
        else:
            yield from spreads_within(value, path if key == "arms" else where)


def areas_within(held: Scores, path: str = "") -> Iterator[tuple[str, Scores]]:
    """Every row of AUROCs below a section: findings, means and arms."""
    for key, value in held.items():
        if not isinstance(value, Mapping) or is_record(value):
            continue
        where = f"{path} {words(str(key))}".strip()
        if "auroc" in value or "macro_auroc" in value:
            yield where, value
        yield from areas_within(value, "" if key in ("arms", "findings") and not path else where)
