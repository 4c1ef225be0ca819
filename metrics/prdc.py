"""Precision and recall (Kynkäänniemi et al. 2019), density and coverage (Naeem et al. 2020).

A point's ball reaches its k-th nearest neighbour within its own set.

    precision  share of synthetic points inside at least one real ball       fidelity
    recall     share of real points inside at least one synthetic ball       diversity
    density    real balls a synthetic point lies in, divided by k            fidelity, ≈ 1 if equal
    coverage   share of real balls that hold at least one synthetic point    diversity

Balls are closed (≤), so that identical points count as inside. All four depend on N: compare at
equal N only, and coverage with its expected value for equal distributions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metrics.arrays import Floats, Groups, block_count, blocks, matrix_pair
from metrics.intervals import jackknife, wilson
from metrics.neighbours import balls
from metrics.records import Estimate
from synth.errors import SynthError

_BLOCKS = 10


class Prdc(TypedDict):
    """The four shares."""

    precision: float
    recall: float
    density: float
    coverage: float


@dataclass(frozen=True)
class Membership:
    """Which points lie in which balls, as one number a point.

    Attributes:
        precision: [m] 0 or 1, the synthetic point lies in some real ball.
        density: [m] real balls it lies in, over k.
        recall: [n] 0 or 1, the real point lies in some synthetic ball.
        coverage: [n] 0 or 1, the real ball holds some synthetic point.
    """

    precision: Floats
    density: Floats
    recall: Floats
    coverage: Floats


def prdc(*, real: ArrayLike, synthetic: ArrayLike, k: int = 5) -> Prdc:
    """Precision, recall, density and coverage of synthetic features.

    Args:
        real: [n, d] features of real images.
        synthetic: [m, d] features of synthetic images; use m = n, see ``expected_coverage``.
        k: which neighbour a ball reaches.

    Raises:
        SynthError: k or fewer rows a side, different dimensions or non-finite values.
    """
    found = membership(real=real, synthetic=synthetic, k=k)
    return {
        "precision": float(found.precision.mean()),
        "recall": float(found.recall.mean()),
        "density": float(found.density.mean()),
        "coverage": float(found.coverage.mean()),
    }


def prdc_estimates(
    *,
    real: ArrayLike,
    synthetic: ArrayLike,
    k: int = 5,
    real_groups: Groups = None,
    synthetic_groups: Groups = None,
    seed: int = 0,
) -> dict[str, Estimate]:
    """The four shares with block-jackknife intervals over patients, balls held fixed."""
    found = membership(real=real, synthetic=synthetic, k=k)
    n, m = len(found.recall), len(found.precision)
    left = _blocks(n, real_groups, "real", seed)
    right = _blocks(m, synthetic_groups, "synthetic", seed)
    null = expected_coverage(n, m, k)
    notes = {
        "precision": "no fixed value for equal distributions: compare with the floor",
        "recall": "no fixed value for equal distributions: compare with the floor",
        "density": "about 1 for equal distributions",
        "coverage": f"{null:.3f} is expected for equal distributions at this N",
    }
    sides = {"precision": right, "density": right, "recall": left, "coverage": left}
    return {
        name: _estimate(name, getattr(found, name), sides[name], notes[name], k) for name in notes
    }


def expected_coverage(n: int, m: int, k: int) -> float:
    """Coverage to expect when both sets come from one distribution (Naeem et al. 2020, eq. 10).

    Args:
        n: real points.
        m: synthetic points.
        k: which neighbour a ball reaches.

    >>> round(expected_coverage(10**9, 10**9, 5), 5)
    0.96875
    """
    factors = [(n - 1 - i) / (n + m - 1 - i) for i in range(k)]
    return 1.0 - float(np.prod(factors))


def membership(*, real: ArrayLike, synthetic: ArrayLike, k: int = 5) -> Membership:
    """Which points lie in which balls, in tiles of one size: no matrix of n × m is held."""
    if k < 1:
        raise SynthError("k must be positive", where="k", got=k)
    one, two = matrix_pair(real, synthetic, least=k + 1)
    found = balls(one, two, k)
    return Membership(
        precision=(found.holding > 0).astype(np.float64),
        density=found.holding / k,
        recall=found.inside.astype(np.float64),
        coverage=found.held.astype(np.float64),
    )


def _blocks(count: int, groups: Groups, side: str, seed: int) -> NDArray[np.intp]:
    number = block_count(count, groups, most=_BLOCKS)
    return blocks(count, groups, number=number, seed=seed, side=side)


def _estimate(name: str, values: Floats, block: NDArray[np.intp], note: str, k: int) -> Estimate:
    total, size = values.sum(), len(values)
    value, number = float(total / size), int(block.max()) + 1
    how = f"k = {k}, closed balls"
    if number < 3:
        why = f"interval withheld: too few patients; {note}"
        return Estimate(value, None, None, how, why)
    sums, sizes = np.bincount(block, weights=values), np.bincount(block)
    found = jackknife(value, (total - sums) / (size - sizes), bias_reduced=False)
    low, high = found.ci or (value, value)
    top = np.inf if name == "density" else 1.0
    if name != "density" and value in (0.0, 1.0):  # no spread to see, which is not certainty
        low, high = wilson(round(total), size)
        note = f"Wilson interval; {note}"
    # One name whatever the value: it is part of what two runs must have in common.
    how = f"{how}, {number}-block jackknife interval"
    interval = (max(low, 0.0), min(high, top))
    return Estimate(value, found.se, interval, how, note, found.without)
