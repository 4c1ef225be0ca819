"""Fréchet distance from the moments of blocks: bias-reduced, with the rows no longer at hand.

The jackknife of ``metrics.frechet`` leaves out blocks of rows; of each block it needs the number of
rows, their mean and their scatter alone. What needs the rows, the check that the interval may be
trusted, is left to it: here the interval is withheld.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metrics.covariance import Spread, left_out, pooled
from metrics.frechet import (
    BIASED,
    FEW_PATIENTS,
    LEAST_BLOCKS,
    PLUG_IN,
    frechet_from_moments,
    require_size,
)
from metrics.intervals import jackknife
from metrics.records import Estimate, Floor
from synth.errors import SynthError

WHY = "interval withheld: whether it holds is seen from the features, metrics.frechet_distance"


def frechet_of_blocks(real: Sequence[Spread], synthetic: Sequence[Spread]) -> Estimate:
    """The bias-reduced distance; the plug-in value where a side has fewer than five blocks.

    Args:
        real: blocks of whole patients, each with one row at least.
        synthetic: the same of the other side. The side with more blocks has its smallest joined.

    Raises:
        SynthError: a side without rows, or with fewer than 2 d of them.
    """
    dim = _checked(real, synthetic)
    require_size(min(sum(part.n for part in side) for side in (real, synthetic)), dim)
    full = frechet_of_spreads(pooled(real), pooled(synthetic))
    number = min(len(real), len(synthetic))
    if number < LEAST_BLOCKS:
        return Estimate(full, None, None, PLUG_IN, FEW_PATIENTS)
    sides = (left_out(packed(side, number)) for side in (real, synthetic))
    without = [frechet_of_spreads(one, two) for one, two in zip(*sides, strict=True)]
    found = jackknife(full, np.array(without), bias_reduced=True)
    return Estimate(found.value, None, None, found.estimator, WHY)


def plug_in_of_blocks(real: Sequence[Spread], synthetic: Sequence[Spread]) -> Estimate:
    """The usual distance of all blocks together, biased upwards by O(1/n).

    Raises:
        SynthError: fewer than two rows a side.
    """
    _checked(real, synthetic)
    value = frechet_of_spreads(pooled(real), pooled(synthetic))
    return Estimate(value, None, None, PLUG_IN, BIASED)


def floor_of_blocks(real: Sequence[Spread], synthetic: Sequence[Spread]) -> Floor | None:
    """One half of the real blocks against the other, and as many synthetic blocks against it.

    Returns:
        None where a half has fewer than five blocks or 2 d rows.
    """
    number = min(len(real), len(synthetic)) // 2
    if number < LEAST_BLOCKS:
        return None
    parts, others = packed(real, 2 * number), packed(synthetic, 2 * number)
    first, second = parts[::2], parts[1::2]
    try:
        value, same = (frechet_of_blocks(first, side).value for side in (second, others[::2]))
    except SynthError:  # too few rows in a half: no floor, the number stands
        return None
    return Floor(value, sum(part.n for part in first), same)


def packed(parts: Sequence[Spread], number: int) -> list[Spread]:
    """That many blocks of near-equal size: the largest first, each into the emptiest."""
    bins: list[list[Spread]] = [[] for _ in range(number)]
    for part in sorted(parts, key=lambda part: -part.n):
        min(bins, key=lambda held: sum(one.n for one in held)).append(part)
    return [pooled(held) for held in bins]


def frechet_of_spreads(one: Spread, two: Spread) -> float:
    """The distance of two Gaussians."""
    return frechet_from_moments(
        real_mean=one.mean,
        real_covariance=one.covariance,
        synthetic_mean=two.mean,
        synthetic_covariance=two.covariance,
    )


def _checked(real: Sequence[Spread], synthetic: Sequence[Spread]) -> int:
    """D, where both sides have two rows at least."""
    for name, side in (("real", real), ("synthetic", synthetic)):
        if (n := sum(part.n for part in side)) < 2:
            raise SynthError("too few images", where=name, got=n, expected="at least 2")
    return len(real[0].mean)
