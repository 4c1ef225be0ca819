"""Kernel distance: squared maximum mean discrepancy with the cubic polynomial kernel.

    k(x, y) = (x·y / d + 1)³
    KD = Σ_{i≠j} k(ri, rj) / n(n-1) + Σ_{i≠j} k(si, sj) / m(m-1) - 2 Σ k(ri, sj) / nm

(Bińkowski et al. 2018, eq. 4.) All pairs are used, so the value is unbiased at any N and may be
negative. The standard error is a block jackknife: the spread over random subsets, which other tools
print, is not one. Values are comparable within one extractor only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metrics.arrays import Floats, Groups, block_count, blocks, feature_pair
from metrics.intervals import jackknife
from metrics.records import Estimate

_BLOCKS = 10
_TILE = 2048


def kernel_distance(*, real: ArrayLike, synthetic: ArrayLike) -> float:
    """Unbiased kernel distance of two sets of features.

    Args:
        real: [n, d] features of real images.
        synthetic: [m, d] features of synthetic images from the same extractor.

    Returns:
        The full U-statistic; 0 is expected for equal distributions, slightly negative is possible.

    Raises:
        SynthError: fewer than two rows a side, different dimensions or non-finite values.

    >>> kernel_distance(real=[[1, 0], [0, 1]], synthetic=[[1, 1], [2, 0]])
    1.125
    """
    one, two = feature_pair(real, synthetic)
    left, right = np.zeros(len(one), np.intp), np.zeros(len(two), np.intp)
    return _Sums(one, two, left, right, 1).distance(np.ones(1, dtype=bool))


def kernel_estimate(
    *,
    real: ArrayLike,
    synthetic: ArrayLike,
    real_groups: Groups = None,
    synthetic_groups: Groups = None,
    seed: int = 0,
) -> Estimate:
    """Kernel distance with a block-jackknife standard error and interval, blocks of patients."""
    one, two = feature_pair(real, synthetic)
    number = min(
        block_count(len(one), real_groups, most=_BLOCKS),
        block_count(len(two), synthetic_groups, most=_BLOCKS),
    )
    left = blocks(len(one), real_groups, number=number, seed=seed, side="real")
    right = blocks(len(two), synthetic_groups, number=number, seed=seed, side="synthetic")
    if number < 3 or min(_fewest_kept(left), _fewest_kept(right)) < 2:
        value = kernel_distance(real=one, synthetic=two)
        note = "interval withheld: too few images or patients"
        return Estimate(value, None, None, "full U-statistic", note)
    sums = _Sums(one, two, left, right, number)
    full = sums.distance(np.ones(number, dtype=bool))
    without = np.array([sums.distance(np.arange(number) != block) for block in range(number)])
    estimate = jackknife(full, without, bias_reduced=False)
    name = f"full U-statistic, {number}-block jackknife interval"
    return Estimate(full, estimate.se, estimate.ci, name, without=estimate.without)


class _Sums:
    """Kernel sums between blocks: leaving blocks out then costs nothing."""

    def __init__(
        self,
        one: Floats,
        two: Floats,
        left: NDArray[np.intp],
        right: NDArray[np.intp],
        number: int,
    ) -> None:
        self.rr = _block_sums(one, one, left, left, number) - _diagonal(one, left, number)
        self.ss = _block_sums(two, two, right, right, number) - _diagonal(two, right, number)
        self.rs = _block_sums(one, two, left, right, number)
        self.n = np.bincount(left, minlength=number)
        self.m = np.bincount(right, minlength=number)

    def distance(self, kept: NDArray[np.bool_]) -> float:
        n, m = int(self.n[kept].sum()), int(self.m[kept].sum())
        pick = np.ix_(kept, kept)
        within = self.rr[pick].sum() / (n * (n - 1)) + self.ss[pick].sum() / (m * (m - 1))
        return float(within - 2.0 * self.rs[pick].sum() / (n * m))


def _block_sums(
    x: Floats, y: Floats, rows: NDArray[np.intp], columns: NDArray[np.intp], number: int
) -> Floats:
    total = np.zeros((number, number))
    member = np.eye(number)
    for top in range(0, len(x), _TILE):
        for start in range(0, len(y), _TILE):
            kernel = (x[top : top + _TILE] @ y[start : start + _TILE].T / x.shape[1] + 1.0) ** 3
            total += member[rows[top : top + _TILE]].T @ (
                kernel @ member[columns[start : start + _TILE]]
            )
    return total


def _fewest_kept(block: NDArray[np.intp]) -> int:
    """Rows left when the largest block is left out."""
    return len(block) - int(np.bincount(block).max())


def _diagonal(x: Floats, rows: NDArray[np.intp], number: int) -> Floats:
    own = ((x**2).sum(axis=1) / x.shape[1] + 1.0) ** 3
    return np.diag(np.bincount(rows, weights=own, minlength=number))
