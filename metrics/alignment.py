"""Do images show what their texts say? Cosine, retrieval and matching, beside real pairs.

All three rest on features of one space, of images and of texts. Absolute cosines mean little: those
of one model lie between 0.2 and 0.3 and of another between 0.6 and 0.9, whatever the images, so
that only the distance to real pairs in the same model says something. Retrieval and matching rank,
and have a chance level. What each says of the real held-out pairs is the ceiling: what the model
does not see in real images it cannot see in synthetic ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from metrics.arrays import Groups
from metrics.ceiling import gap_to_ceiling
from metrics.clustered import mean_estimate, unit_blocks
from metrics.matched_auc import MOST, matched_auc
from metrics.pairs import Pairs, pairs
from metrics.records import Estimate, Floor, Record, recorded
from metrics.retrieval import GALLERY, chances, retrieval
from synth.errors import SynthError

MEANINGS = {
    "cosine": "how close images lie to their texts; cosines of different models do not compare",
    "report_to_image": "share of texts whose image is among the nearest {k} of the gallery",
    "image_to_report": "share of images whose text is among the nearest {k} of the gallery",
    "matched_auc": "chance that an image lies closer to its text than to another patient's "
    "with the same findings",
}


@dataclass(frozen=True)
class Aligned:
    """Records by name, and why others are missing."""

    records: Mapping[str, Record]
    missing: Mapping[str, str]


def image_text_alignment(
    *,
    images: ArrayLike,
    texts: ArrayLike,
    words: Sequence[str] | None = None,
    labels: ArrayLike | None = None,
    groups: Groups = None,
    real: Pairs | None = None,
    seed: int = 0,
) -> Aligned:
    """How well images go with their texts, by features of one space.

    Args:
        images: [N, D] features of images.
        texts: [N, D] features of their texts, row by row.
        words: [N] the texts themselves: those that are word for word the same are one target.
            None: texts of equal features are.
        labels: [N, findings], 1 present; mismatched texts are drawn among images with the same
            findings present. None: among all.
        groups: the patient of each pair; None: every pair stands alone.
        real: held-out real pairs, made by ``metrics.pairs.pairs``, for the ceiling.
        seed: of subsamples, and of the blocks behind the intervals.

    Returns:
        ``cosine``, ``report_to_image_r1`` and ``_r5``, ``image_to_report_r1`` and ``_r5``, and
        ``matched_auc``. ``floor`` is what real pairs score, and for retrieval what the synthetic
        ones score in a gallery of that size; ``details`` holds ``chance``, the real value's
        interval, and the difference to it.

    Raises:
        SynthError: arrays that do not fit each other, not finite, or fewer than two pairs.
    """
    made = pairs(
        images=images, texts=texts, words=words, labels=labels, groups=groups, side="synthetic"
    )
    records = {"cosine": _cosine(made, real, seed)}
    missing: dict[str, str] = {}
    for name, measure in (("retrieval", _retrieved), ("matched_auc", _matched)):
        try:
            records |= measure(made, real, seed)
        except SynthError as error:
            missing[name] = str(error)
    return Aligned(records, missing)


def _cosine(made: Pairs, real: Pairs | None, seed: int) -> Record:
    found = mean_cosine(made, seed=seed, side="synthetic")
    ceiling = None if real is None else mean_cosine(real, seed=seed, side="real")
    return _record("cosine", found, ceiling, made, real, seed=seed)


def mean_cosine(given: Pairs, *, seed: int = 0, side: str = "pairs") -> Estimate:
    """Mean cosine of images with their own texts, in -1..1.

    Args:
        given: the pairs, all of them.
        seed: of the blocks behind the interval.
        side: keeps the two sides' blocks apart.
    """
    own, block = given.own, unit_blocks(given.units, seed=seed, side=side)
    without = [own[block != number].mean() for number in range(block.max() + 1)]
    return mean_estimate(float(own.mean()), np.array(without), given.count_units)


def _retrieved(made: Pairs, real: Pairs | None, seed: int) -> dict[str, Record]:
    """In a gallery of all synthetic pairs; and on either side in one of the smaller set's size."""
    own = made.at_most(GALLERY, seed=seed, side="synthetic")
    found = retrieval(own, seed=seed, side="synthetic")
    chance = chances(own.cosines()[1])
    ceiling: Mapping[str, Estimate] = {}
    same: Mapping[str, Estimate] = {}
    why, size = "", 0
    if real is not None:
        size = min(len(real), len(own))
        equal = real.at_most(size, seed=seed, side="real")
        try:
            ceiling = retrieval(equal, seed=seed, side="real")
            fewer = own.at_most(size, seed=seed, side="synthetic")
            same = found if size == len(own) else retrieval(fewer, seed=seed, side="synthetic")
            real = equal
        except SynthError as error:
            why, ceiling, same = f"no ceiling: {error}", {}, {}
    records = {}
    for name, estimate in found.items():
        meaning, _, rank = name.rpartition("_r")
        record = _record(
            meaning,
            replace(estimate, note="; ".join(filter(None, (estimate.note, why)))),
            ceiling.get(name),
            own,
            real,
            seed=seed,
            at_same_n=same.get(name),
            details={"chance": chance[name], "gallery": len(own), "texts": own.distinct},
        )
        records[name] = replace(record, meaning=record.meaning.format(k=rank))
    return records


def _matched(made: Pairs, real: Pairs | None, seed: int) -> dict[str, Record]:
    own = made.at_most(MOST, seed=seed, side="synthetic")
    found, where, compared = matched_auc(own, seed=seed, side="synthetic")
    ceiling, why = None, ""
    if real is not None:
        real = real.at_most(MOST, seed=seed, side="real")
        try:
            ceiling, there, _ = matched_auc(real, seed=seed, side="real")
            if there != where:  # another question, and no ceiling of this one
                ceiling, why = None, f"no ceiling: real mismatches are {there}"
        except SynthError as error:
            why = f"no ceiling: {error}"
    details = {"chance": 0.5, "mismatches": where, "images_compared": compared}
    note = "; ".join(filter(None, (found.note, why)))
    found = replace(found, note=note)
    return {
        "matched_auc": _record("matched_auc", found, ceiling, own, real, seed=seed, details=details)
    }


def _record(
    meaning: str,
    found: Estimate,
    ceiling: Estimate | None,
    made: Pairs,
    real: Pairs | None,
    *,
    seed: int,
    at_same_n: Estimate | None = None,
    details: Mapping[str, Any] | None = None,
) -> Record:
    """An estimate beside the same of real pairs; their difference is taken at equal galleries."""
    held: dict[str, Any] = {**(details or {}), "units": made.count_units}
    floor = None
    if ceiling is not None and real is not None:
        alike = at_same_n or found
        gap = gap_to_ceiling(alike.value, alike.ci, ceiling.value, ceiling.ci)
        held |= {
            "real": ceiling.value,
            "real_ci": None if ceiling.ci is None else list(ceiling.ci),
            "real_units": real.count_units,
            **gap,
        }
        floor = Floor(ceiling.value, len(real), None if at_same_n is None else at_same_n.value)
    return recorded(
        found,
        n_real=0 if ceiling is None or real is None else len(real),
        n_synthetic=len(made),
        seed=seed,
        higher_is_better=True,
        meaning=MEANINGS[meaning],
        floor=floor,
        details=held,
    )
