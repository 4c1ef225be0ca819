"""Memorization-informed Fréchet distance (Bai et al. 2021), in the paper's direction.

    MiFID = FD / m      m = mean over synthetic of min over training of 1 - |cos|, or 1 if m ≥ ε

A generator that emits copies has m → 0, so MiFID → ∞. Averaging over the training images instead
(as torchmetrics 1.9 does) rewards copying a few of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from metrics.arrays import Floats, feature_pair
from metrics.frechet import frechet_distance
from metrics.records import Estimate, Record, recorded
from synth.errors import SynthError

_TILE = 1024
_TINY = 1e-15  # the original scorer's


def mifid(
    *,
    train: ArrayLike,
    synthetic: ArrayLike,
    real: ArrayLike | None = None,
    eps: float = 0.1,
    allow_rank_deficient: bool = False,
) -> Record:
    """Plug-in Fréchet distance, divided by how far images stay from the training set.

    Args:
        train: [t, d] features of the generator's training images.
        synthetic: [m, d] features of synthetic images.
        real: [n, d] reference of the Fréchet distance; None takes the training images.
        eps: mean cosine distance from which on nothing is memorized.
        allow_rank_deficient: let the Fréchet distance stand on no more rows than dimensions, where
            it is mostly bias.

    Returns:
        ``details`` holds ``frechet`` and ``distance``, the mean distance before the threshold.

    Raises:
        SynthError: too few rows, different dimensions, or a row of zeros.
    """
    seen, made = feature_pair(train, synthetic, sides=("train", "synthetic"))
    reference = seen if real is None else feature_pair(real, synthetic)[0]
    size, dim = min(len(reference), len(made)), made.shape[1]
    if size <= dim and not allow_rank_deficient:
        raise SynthError(
            "fewer images than dimensions: the covariance is rank deficient",
            where="mifid",
            got=f"{size} images, {dim} features",
            expected=f"more than {dim} images a side",
            fix="Read copy-rate or nn-auc, or pass allow_rank_deficient=True.",
        )
    plain = frechet_distance(real=reference, synthetic=made)
    distance = nearest_cosine(made, seen)
    penalty = distance + _TINY if distance < eps else 1.0
    note = "interval withheld: the Fréchet distance within it is biased upwards"
    return recorded(
        Estimate(plain / penalty, None, None, f"plug-in, eps = {eps:g}", note),
        n_real=len(reference),
        n_synthetic=len(made),
        higher_is_better=False,
        meaning="Fréchet distance, larger the closer images stay to training images",
        details={"frechet": plain, "distance": distance, "penalised": distance < eps},
    )


def nearest_cosine(points: Floats, among: Floats) -> float:
    """Mean over points of the smallest 1 - |cos| to ``among``."""
    one, two = _unit(points), _unit(among)
    best = [
        np.abs(one[start : start + _TILE] @ two.T).max(axis=1)
        for start in range(0, len(one), _TILE)
    ]
    return float(1.0 - np.minimum(np.concatenate(best), 1.0).mean())


def _unit(rows: Floats) -> Floats:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not lengths.all():
        raise SynthError("a row of zeros has no direction", where="mifid")
    unit: Floats = rows / lengths
    return unit
