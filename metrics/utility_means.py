"""Means over test images of what trained networks score, resampled over patients and seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.arrays import Floats, Groups, group_names
from metrics.intervals import percentile_interval, resampling_weights, widened
from metrics.seed_luck import over_seeds, seed_picks, seeds_and_patients

LEAST_PATIENTS = 5  # below which resampled patients say too little of others


@dataclass(frozen=True)
class Resampling:
    """How test patients and training seeds are resampled, the same for every arm and score.

    Attributes:
        patients: of each test image; None: every image stands alone.
        weights: float64 [resamples, N], how often each image occurs.
        picks: float64 [seeds, resamples], how much each training seed weighs.
    """

    patients: Groups
    weights: Floats
    picks: Floats


def resampling(
    count: int, patients: Groups, *, seeds: int, resamples: int, seed: int
) -> Resampling:
    """Draw them: a patient's images stay together, and seeds are drawn with patients."""
    return Resampling(
        patients,
        resampling_weights(count, patients, resamples=resamples, seed=seed),
        seed_picks(seeds, resamples, seed),
    )


@dataclass(frozen=True)
class Spread:
    """A score of one arm.

    Attributes:
        value: mean over the seeds; None where no image has the score.
        draws: float64 [resamples]; NaN where a resample holds no such image.
        patients: how many have it.
        seeds: float64 [seeds], its value for each.
    """

    value: float | None
    draws: Floats
    patients: int
    seeds: Floats


def spread_of_means(runs: Sequence[Floats], how: Resampling) -> Spread:
    """The mean over images, a run a seed, float64 [N] with NaN for images without the score."""
    known = np.isfinite(runs[0])
    draws = []
    for run in runs:
        total = how.weights[:, known].sum(axis=1)
        sums = how.weights[:, known] @ run[known]
        draws.append(sums / np.where(total > 0, total, np.nan))
    means = np.array([run[known].mean() for run in runs]) if known.any() else np.empty(0)
    value = float(means.mean()) if known.any() else None
    return Spread(value, over_seeds(draws, how.picks), patients_of(known, how.patients), means)


def spread_of_medians(runs: Sequence[Floats], how: Resampling) -> Spread:
    """The same for the median over images, the smallest value that half of them reach."""
    known = np.isfinite(runs[0])
    ones = np.ones((1, int(known.sum())))
    draws = [weighted_medians(run[known], how.weights[:, known]) for run in runs]
    medians = np.array([float(weighted_medians(run[known], ones)[0]) for run in runs])
    value = float(medians.mean()) if known.any() else None
    return Spread(value, over_seeds(draws, how.picks), patients_of(known, how.patients), medians)


def weighted_medians(values: Floats, weights: Floats) -> Floats:
    """The smallest of [n] values at or below which half of each row of weights [b, n] lies, [b].

    NaN where a row has no weight.
    """
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[:, order], axis=1)
    if not reached.size:
        return np.full(len(weights), np.nan)
    total = reached[:, -1]
    place = np.argmax(reached >= 0.5 * total[:, None], axis=1)
    return np.where(total > 0, values[order][place], np.nan)


def patients_of(known: NDArray[np.bool_], patients: Groups) -> int:
    """How many patients have a score."""
    names = group_names(len(known), patients, side="test")
    return len({name for name, kept in zip(names, known, strict=True) if kept})


def against(arm: Spread, base: Spread) -> dict[str, Any]:
    """``{"value", "se", "ci", "delta", "delta_ci", "note"}`` of an arm against ``real``.

    Both arms are resampled alike, so that what they share cancels in the difference. Intervals are
    widened for few patients, withheld below five, and the note says so.
    """
    enough = arm.patients >= LEAST_PATIENTS
    difference, lucks = arm.draws - base.draws, arm.seeds - base.seeds
    delta = None if arm.value is None or base.value is None else arm.value - base.value
    return {
        "value": arm.value,
        "se": _error(arm.draws) if enough else None,
        "ci": _interval(arm.draws, arm.value, arm.patients, arm.seeds) if enough else None,
        "delta": delta,
        "delta_se": _error(difference) if enough else None,
        "delta_ci": _interval(difference, delta, arm.patients, lucks) if enough else None,
        "note": "" if enough else f"interval withheld: {arm.patients} patients",
    }


def _error(draws: Floats) -> float | None:
    kept = draws[np.isfinite(draws)]
    return float(kept.std(ddof=1)) if len(kept) > 1 else None


def _interval(
    draws: Floats, value: float | None, patients: int, seeds: Floats
) -> list[float] | None:
    interval = percentile_interval(draws)
    if interval is None or value is None:
        return None
    return list(widened(interval, value, patients, seeds_and_patients(draws, patients, seeds)))
