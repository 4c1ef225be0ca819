"""Fréchet distance at infinite N, by a line through its values at smaller N.

The plug-in distance is biased by about c (1/n + 1/m). Both sides shrink together: extrapolating one
side alone (Chong & Forsyth 2020, as commonly implemented) leaves the other side's bias in. This is
a cross-check of the jackknife, without an interval: nested subsets are not independent.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from metrics.arrays import feature_pair
from metrics.frechet import frechet_distance
from synth.errors import SynthError
from synth.seeding import numpy_rng


def frechet_extrapolated(
    *, real: ArrayLike, synthetic: ArrayLike, points: int = 15, seed: int = 0
) -> float:
    """Intercept of the plug-in distance over 1/n + 1/m.

    Args:
        real: [n, d] features of real images.
        synthetic: [m, d] features of synthetic images.
        points: sizes, from max(n / 10, d + 2) to n on each side.
        seed: of the order in which rows enter.

    Raises:
        SynthError: fewer than 2 d rows a side, which leave no line to fit.
    """
    one, two = feature_pair(real, synthetic)
    dim = one.shape[1]
    if min(len(one), len(two)) < 2 * dim + 4:
        raise SynthError(
            "too few images to extrapolate a Fréchet distance",
            got=min(len(one), len(two)),
            expected=f"at least {2 * dim + 4}",
        )
    one = one[numpy_rng("metrics", "extrapolate", "real", seed).permutation(len(one))]
    two = two[numpy_rng("metrics", "extrapolate", "synthetic", seed).permutation(len(two))]
    sizes = [
        np.linspace(max(len(side) // 10, dim + 2), len(side), points).round().astype(int)
        for side in (one, two)
    ]
    inverse = 1.0 / sizes[0] + 1.0 / sizes[1]
    values = [
        frechet_distance(real=one[:n], synthetic=two[:m])
        for n, m in zip(sizes[0], sizes[1], strict=True)
    ]
    return float(np.polynomial.polynomial.polyfit(inverse, values, 1)[0])
