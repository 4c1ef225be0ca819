"""Training seeds resampled together with patients: intervals hold the luck of training too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metrics.arrays import Floats
from metrics.intervals import student_of_sum
from synth.seeding import numpy_rng


def seed_picks(seeds: int, resamples: int, seed: int) -> Floats:
    """How much each training seed weighs in each resample: [seeds, resamples], columns sum to 1.

    One less is drawn than there are: as many would give a mean of few seeds too little variance, by
    a factor of (seeds - 1) / seeds (McCarthy & Snowden 1985).
    """
    rng = numpy_rng("metrics", "utility-seeds", seed)
    drawn = max(1, seeds - 1)
    counts = rng.multinomial(drawn, np.full(seeds, 1.0 / seeds), size=resamples)
    return np.asarray(counts.T / drawn, dtype=np.float64)


def over_seeds(draws: Sequence[Floats], picks: Floats) -> Floats:
    """Mean over seeds of [..., resamples] draws, one array a seed, weighted by ``picks``."""
    total: Floats = sum(
        (weight * one for weight, one in zip(picks, draws, strict=True)),
        start=np.zeros_like(draws[0]),
    )
    return total


def seeds_and_patients(draws: Floats, patients: int, seeds: Floats) -> float:
    """By what an error of patients and of training seeds is multiplied for its interval.

    Args:
        draws: float64 [b], the value over resampled patients and seeds.
        patients: how many were resampled.
        seeds: float64 [seeds], the value for each training seed.
    """
    kept = draws[np.isfinite(draws)]
    whole = float(kept.var())
    luck = min(whole, float(seeds.var(ddof=1)) / len(seeds)) if len(seeds) > 1 else 0.0
    return student_of_sum((whole - luck, luck), (patients - 1, max(len(seeds) - 1, 1)))
