"""Synthetic images beside the training images nearest to them: does anything look copied?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metrics.report_images import Shot, embed
from metrics.report_values import NONE, Scores, items, number, part, sentence, why_missing
from synth.manifest import Dataset

_PAIRS = 8  # shown
_SHARES = {"0%": "the closest image", "50%": "half of the images"}


@dataclass(frozen=True)
class Pair:
    """A synthetic image and the training image nearest to it."""

    synthetic: Shot
    real: Shot
    distance: str
    ids: str


@dataclass(frozen=True)
class Neighbours:
    """The closest pairs and how close held-out real images come.

    Attributes:
        pairs: closest first.
        quantiles: (share, distance of synthetic images, of held-out real ones).
        floor: sentence on the closest held-out distance, empty where it is unknown.
        why: the reason where nothing can be shown.
    """

    pairs: tuple[Pair, ...] = ()
    quantiles: tuple[tuple[str, str, str], ...] = ()
    floor: str = ""
    why: str = ""


def neighbours(scores: Scores, real: Dataset, synthetic: Dataset) -> Neighbours:
    """The closest pairs whose files are in the two folders."""
    found = part(scores, "memorization")
    if not found:
        reason = "Nearest training images were not computed."
        return Neighbours(why=sentence(why_missing(scores, ("memorization", "nearest"), reason)))
    pairs: list[Pair] = []
    for entry in items(found, "pairs")[:_PAIRS]:
        if isinstance(entry, Mapping):
            pairs += _pair(entry, real, synthetic)
    quantiles = _quantiles(part(found, "quantiles"))
    why = "" if pairs else "The nearest training images are not in the real dataset's folder."
    return Neighbours(tuple(pairs), quantiles, _floor(part(found, "quantiles")), why)


def _pair(entry: Mapping[str, Any], real: Dataset, synthetic: Dataset) -> list[Pair]:
    """The pair in a list, which is empty where a file is elsewhere."""
    made, original = _file(synthetic, entry.get("synthetic")), _file(real, entry.get("real"))
    if made is None or original is None:
        return []
    ids = f"{entry.get('synthetic_id', NONE)} · {entry.get('real_id', NONE)}"
    return [
        Pair(
            embed(made, alt="synthetic image", text=_text(synthetic, entry["synthetic"])),
            embed(original, alt="nearest training image", text=_text(real, entry["real"])),
            number(entry.get("distance")),
            ids,
        )
    ]


def _file(dataset: Dataset, name: Any) -> Path | None:
    path = dataset.folder / str(name)
    return path if name and path.is_file() else None


def _text(dataset: Dataset, name: Any) -> str:
    return next((row.text_used for row in dataset.rows if row.file_name == name), "")


def _quantiles(found: Scores) -> tuple[tuple[str, str, str], ...]:
    return tuple(
        (
            _SHARES.get(share, f"{share.removesuffix('%')} % of images"),
            number(part(found, share).get("synthetic")),
            number(part(found, share).get("held_out")),
        )
        for share in found
        if part(found, share)
    )


def _floor(found: Scores) -> str:
    closest = number(part(found, "0%").get("held_out"))
    middle = number(part(found, "50%").get("held_out"))
    if NONE in (closest, middle):
        return ""
    return (
        f"Baseline: held-out real images, of patients the model never saw, lie {closest} from "
        f"their nearest training image at the closest and {middle} in the middle."
    )
