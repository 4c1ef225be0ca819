"""Training seeds resampled together with patients: intervals hold the luck of training too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metrics.arrays import Floats
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
