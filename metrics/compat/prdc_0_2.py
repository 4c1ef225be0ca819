"""prdc 0.2: precision, recall, density and coverage with open balls, k = 5."""

from __future__ import annotations

import numpy as np

from metrics.arrays import Floats
from metrics.squared import centred_tiles
from synth.errors import SynthError

DEFECTS = (
    "balls are open: identical points lie outside each other's, so that copies of one image "
    "score 0 on all four",
    "N is not equalised, and coverage depends on it",
)


def printed(real: Floats, synthetic: Floats) -> dict[str, float]:
    """``compute_prdc(real, synthetic, nearest_k=5)``."""
    return open_ball_prdc(real, synthetic)


def open_ball_prdc(real: Floats, synthetic: Floats, *, k: int = 5) -> dict[str, float]:
    """The four shares with strict inequalities."""
    if min(len(real), len(synthetic)) <= k:
        raise SynthError("too few images", where="prdc", got=min(len(real), len(synthetic)))
    reach, other = _radii(real, k), _radii(synthetic, k)
    counts = np.zeros(len(synthetic))
    recall, coverage = np.zeros(len(real), dtype=bool), np.zeros(len(real), dtype=bool)
    for rows, squared in centred_tiles(real, synthetic):
        within = squared < reach[rows][:, None]
        counts += within.sum(axis=0)
        recall[rows] = (squared < other[None, :]).any(axis=1)
        coverage[rows] = within.any(axis=1)
    return {
        "precision": float((counts > 0).mean()),
        "recall": float(recall.mean()),
        "density": float(counts.mean() / k),
        "coverage": float(coverage.mean()),
    }


def _radii(points: Floats, k: int) -> Floats:
    """The (k + 1)-th smallest squared distance to all points, itself among them."""
    parts = [np.partition(squared, k, axis=1)[:, k] for _, squared in centred_tiles(points, points)]
    return np.concatenate(parts)
