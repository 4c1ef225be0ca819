"""Every score beyond the usual ones, whatever it is called, with its p-value and its details.

A metric that this page has never heard of is shown too: by its own name, meaning and details.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from metrics.report_headline import direction, floor_text, is_usual, sides
from metrics.report_values import (
    NONE,
    Scores,
    finite,
    interval,
    number,
    p_value,
    part,
    sentence,
    words,
)

_SHOWN_ELSEWHERE = (
    *("metrics", "alignment", "per_finding", "per_subgroup", "memorization", "reconstruction"),
)
_IN_HEADLINE = (
    *("memorization auc", "memorization share_closer", "memorization nn_auc"),
    "reconstruction psnr",
)
_NAMES = {
    "mmd": "MMD",
    "c2st": "classifier two-sample test",
    "vendi": "Vendi score",
    "ms-ssim": "MS-SSIM",
    "mifid": "memorization-informed Fréchet distance",
    "nn-auc": "nearest-neighbour AUC",
    "sliced-wasserstein": "sliced Wasserstein distance",
    "data-copying": "data-copying test",
    "copy-rate": "copy rate",
}
_REFERENCES = {  # the detail that says what real images reach
    "real": "real images",
    "heldout": "held-out real images",
    "expected": "expected",
    "chance": "chance",
}
_DETAILS = {
    "mind": "MIND",
    "q": "order q",
    "k": "neighbour k",
    "se": "standard error",
    "null_se": "spread if there were nothing to find",
    "nearer": "share nearer to training",
    "median_ratio": "median ratio of distances",
    "frechet": "Fréchet distance",
    "distance": "mean distance to training",
    "synthetic": "of synthetic images",
    "difference_se": "standard error of that",
}
_LISTED = 6  # numbers of a list


@dataclass(frozen=True)
class FurtherRow:
    """One score, as text."""

    name: str
    detail: str
    value: str
    ci: str
    p: str
    reference: str
    n: str
    meaning: str
    details: str
    note: str


def further(scores: Scores) -> tuple[FurtherRow, ...]:
    """Every record that no other part of the page shows."""
    return tuple(_row(name, record) for name, record in _records(scores))


def _records(scores: Scores) -> Iterator[tuple[str, Scores]]:
    metrics = part(scores, "metrics")
    for name in metrics:
        if not is_usual(name) and (record := part(metrics, name)):
            yield name, record
    for section in scores:
        if section not in _SHOWN_ELSEWHERE:
            yield from _within(part(scores, section), words(section))
    for section in ("memorization", "reconstruction"):
        for name, record in _within(part(scores, section), section):
            if name not in _IN_HEADLINE:
                yield name, record


def _within(held: Scores, where: str) -> Iterator[tuple[str, Scores]]:
    """Records at any depth, named by the way to them."""
    for name, value in held.items():
        if isinstance(value, Mapping):
            if "value" in value and "estimator" in value:
                yield f"{where} {name}", value
            else:
                yield from _within(value, f"{where} {name}")


def _row(name: str, record: Scores) -> FurtherRow:
    kind, _, extractor = name.partition("_")
    if kind not in _NAMES:
        kind, extractor = name, ""
    details = part(record, "details")
    return FurtherRow(
        name=_NAMES.get(kind, words(kind)),
        detail=f"{words(extractor)} features" if extractor else "",
        value=number(record.get("value")),
        ci=interval(record.get("ci")),
        p=p_value(details.get("p")),
        reference=_reference(record, details),
        n=sides(record),
        meaning=sentence(record.get("meaning")) + direction(record),
        details=_details(details),
        note=sentence(record.get("note")),
    )


def _reference(record: Scores, details: Scores) -> str:
    """What to read the value by: the floor, else what the details say of real images."""
    if part(record, "floor"):
        return floor_text(record)
    for key, label in _REFERENCES.items():
        if finite(details.get(key)) is not None:
            return f"{number(details[key])} ({label})"
    return NONE


def _details(details: Scores) -> str:
    """``MIND 0.021 · projections 512``: what has no column of its own."""
    told = [
        f"{_DETAILS.get(key, words(key))} {text}"
        for key, value in details.items()
        if key not in ("p", *_REFERENCES) and (text := _told(value))
    ]
    return " · ".join(told)


def _told(value: Any) -> str:
    """A number, a truth value, a word or a short list of numbers; empty for anything else."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, str):
        return value
    if finite(value) is not None:
        return number(value)
    if isinstance(value, list | tuple) and all(finite(one) is not None for one in value):
        cut = ", …" if len(value) > _LISTED else ""
        return ", ".join(number(one) for one in value[:_LISTED]) + cut
    return ""
