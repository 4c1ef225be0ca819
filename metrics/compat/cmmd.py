"""CMMD (Jayasumana et al. 2024): RBF-MMD of unit-length embeddings, σ = 10, times 1000."""

from __future__ import annotations

import numpy as np

from metrics.arrays import Floats
from metrics.squared import tiles
from synth.errors import SynthError

DEFECTS = (
    "called unbiased, but it is the V-statistic, biased upwards",
    "on unit vectors σ = 10 makes it about 10 |Δ mean|²: nearly blind to covariance and modes",
)
_WIDTH, _SCALE = 10.0, 1000.0


def printed(real: Floats, synthetic: Floats) -> dict[str, float]:
    """Its one number."""
    one, two = _unit(real), _unit(synthetic)
    within = _mean_kernel(one, one) + _mean_kernel(two, two)
    return {"CMMD": _SCALE * (within - 2.0 * _mean_kernel(one, two))}


def _mean_kernel(one: Floats, two: Floats) -> float:
    total = sum(np.exp(part / (-2.0 * _WIDTH**2)).sum() for _, part in tiles(one, two))
    return float(total / (len(one) * len(two)))


def _unit(rows: Floats) -> Floats:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not lengths.all():
        raise SynthError("a row of zeros has no direction", where="cmmd")
    unit: Floats = rows / lengths
    return unit
