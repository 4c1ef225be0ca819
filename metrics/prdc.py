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
from numpy.typing import ArrayLike

from metrics.arrays import Floats, Groups, Matrix, block_count, blocks, matrix_pair
from metrics.balls import Balls, Blocks, balls
from metrics.intervals import jackknife, wilson
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
    """The four shares with block-jackknife intervals over patients of both sides.

    Blocks of both sides are left out together, their points and their balls. What is left of a
    ball's own neighbours would make it larger: density follows that in proportion, the shares are
    nearly indifferent to it. Intervals of shares are no narrower than Wilson's.
    """
    one, two = _checked(real, synthetic, k)
    n, m = len(one), len(two)
    number = min(
        block_count(n, real_groups, most=_BLOCKS), block_count(m, synthetic_groups, most=_BLOCKS)
    )
    by = Blocks(
        blocks(n, real_groups, number=number, seed=seed, side="real"),
        blocks(m, synthetic_groups, number=number, seed=seed, side="synthetic"),
        number,
    )
    found = balls(one, two, k, blocks=by)
    full = _shares(found, by, k, None)
    # Of fewer blocks nothing would be said, and of one nothing is left.
    without = [_shares(found, by, k, block) for block in range(number if number >= 3 else 0)]
    notes = {
        "precision": "no fixed value for equal distributions: compare with the floor",
        "recall": "no fixed value for equal distributions: compare with the floor",
        "density": "about 1 for equal distributions",
        "coverage": f"{expected_coverage(n, m, k):.3f} is expected for equal distributions at this "
        "N",
    }
    sizes = {"precision": m, "recall": n, "coverage": n}
    return {
        name: _estimate(
            full[name], [left[name] for left in without], sizes.get(name), notes[name], k
        )
        for name in notes
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
    found = balls(*_checked(real, synthetic, k), k)
    holding = found.holding.sum(axis=1)
    return Membership(
        precision=(holding > 0).astype(np.float64),
        density=holding / k,
        recall=(found.inside.sum(axis=1) > 0).astype(np.float64),
        coverage=(found.held.sum(axis=1) > 0).astype(np.float64),
    )


def _checked(real: ArrayLike, synthetic: ArrayLike, k: int) -> tuple[Matrix, Matrix]:
    if k < 1:
        raise SynthError("k must be positive", where="k", got=k)
    return matrix_pair(real, synthetic, least=k + 1)


def _shares(found: Balls, by: Blocks, k: int, left_out: int | None) -> dict[str, float]:
    """The four shares of what is left when a block of both sides is left out."""
    kept = np.arange(by.number) != left_out
    real, made = by.first != left_out, by.second != left_out
    lost = np.zeros(len(real)) if left_out is None else _in_block(found, by, left_out)
    held = found.held[real][:, kept].sum(axis=1)
    # A ball that loses some of its k neighbours grows to find others: about in proportion.
    grown = (held * (k + lost[real]) / k).sum()
    return {
        "precision": float((found.holding[made][:, kept].sum(axis=1) > 0).mean()),
        "recall": float((found.inside[real][:, kept].sum(axis=1) > 0).mean()),
        "density": float(grown / (k * made.sum())),
        "coverage": float((held > 0).mean()),
    }


def _in_block(found: Balls, by: Blocks, block: int) -> Floats:
    """How many of each real point's k nearest real ones a block holds, [n]."""
    return np.asarray((by.first[found.nearest] == block).sum(axis=1), dtype=np.float64)


def _estimate(value: float, without: list[float], size: int | None, note: str, k: int) -> Estimate:
    """One share of ``size`` points with its interval; density, of no size, has no upper end."""
    how = f"k = {k}, closed balls"
    if not without:
        return Estimate(value, None, None, how, f"interval withheld: too few patients; {note}")
    found = jackknife(value, np.array(without), bias_reduced=False)
    low, high = found.ci or (value, value)
    how = f"{how}, {len(without)}-block jackknife interval"
    if size is None:
        return Estimate(value, found.se, (max(low, 0.0), high), how, note, found.without)
    least, most = wilson(round(value * size), size)
    interval = (max(min(low, least), 0.0), min(max(high, most), 1.0))
    how = f"{how}, no narrower than Wilson's"
    return Estimate(value, found.se, interval, how, note, found.without)
