"""Kernel distance: squared maximum mean discrepancy with the cubic polynomial kernel.

    k(x, y) = (x·y / d + 1)³
    KD = Σ_{i≠j} k(ri, rj) / n(n-1) + Σ_{i≠j} k(si, sj) / m(m-1) - 2 Σ k(ri, sj) / nm

(Bińkowski et al. 2018, eq. 4.) All pairs are used, so the value is unbiased at any N and may be
negative. The standard error is a block jackknife: the spread over random subsets, which other tools
print, is not one. Values are comparable within one extractor only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metrics.arrays import Floats, Groups, Matrix, block_count, blocks, matrix_pair, slabs
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
    one, two = matrix_pair(real, synthetic)
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
    one, two = matrix_pair(real, synthetic)
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
        one: Matrix,
        two: Matrix,
        left: NDArray[np.intp],
        right: NDArray[np.intp],
        number: int,
    ) -> None:
        centre = _centre(one, two)
        self.rr = _own_sums(one, left, number, centre)
        self.ss = _own_sums(two, right, number, centre)
        self.rs = np.zeros((number, number))
        for top in slabs(len(one), _TILE):
            rows = _Tile.of(one, top, centre)
            for start in slabs(len(two), _TILE):
                kernel = rows.kernel(_Tile.of(two, start, centre))
                self.rs += _summed(kernel, left[top], right[start], number)
        self.n = np.bincount(left, minlength=number)
        self.m = np.bincount(right, minlength=number)

    def distance(self, kept: NDArray[np.bool_]) -> float:
        n, m = int(self.n[kept].sum()), int(self.m[kept].sum())
        pick = np.ix_(kept, kept)
        within = self.rr[pick].sum() / (n * (n - 1)) + self.ss[pick].sum() / (m * (m - 1))
        return float(within - 2.0 * self.rs[pick].sum() / (n * m))


def _centre(one: Matrix, two: Matrix) -> Floats | None:
    """Where float32 products are taken about; None where products are in float64.

    x·y = (x - c)·(y - c) + x·c + y·c - c·c: only the first term, the smallest, is of float32.
    """
    if np.float64 in (one.dtype, two.dtype):
        return None
    parts = (one[rows].sum(axis=0, dtype=np.float64) for rows in slabs(len(one)))
    total: Floats = sum(parts, start=np.zeros(one.shape[1])) / len(one)
    return total.astype(np.float32).astype(np.float64)


@dataclass(frozen=True)
class _Tile:
    """Some rows, centred, and x·c - c·c / 2 of each."""

    rows: Matrix
    beside: Floats | None

    @classmethod
    def of(cls, x: Matrix, rows: slice, centre: Floats | None) -> _Tile:
        if centre is None:
            return cls(np.asarray(x[rows], dtype=np.float64), None)
        centred = x[rows] - centre.astype(np.float32)
        return cls(centred, x[rows].astype(np.float64) @ centre - centre @ centre / 2)

    def kernel(self, other: _Tile) -> Floats:
        """(x·y / d + 1)³ of all pairs, float64."""
        value: Floats = np.asarray(self.rows @ other.rows.T, dtype=np.float64)
        if self.beside is not None and other.beside is not None:
            value += self.beside[:, None]
            value += other.beside[None, :]
        value /= self.rows.shape[1]
        value += 1.0
        square = value * value  # ** 3 would take a logarithm of every one
        square *= value
        return square


def _own_sums(x: Matrix, rows: NDArray[np.intp], number: int, centre: Floats | None) -> Floats:
    """Sums over pairs of different rows of one side, each pair multiplied once."""
    total = np.zeros((number, number))
    for top in slabs(len(x), _TILE):
        tile = _Tile.of(x, top, centre)
        for start in slabs(len(x), _TILE):
            if start.start < top.start:
                continue
            same = start == top
            kernel = tile.kernel(tile if same else _Tile.of(x, start, centre))
            if same:
                np.fill_diagonal(kernel, 0.0)
            part = _summed(kernel, rows[top], rows[start], number)
            total += part if same else part + part.T
    return total


def _summed(
    kernel: Floats, rows: NDArray[np.intp], columns: NDArray[np.intp], number: int
) -> Floats:
    """Sums over pairs of blocks, [number, number]."""
    member = np.eye(number)
    return np.asarray(member[rows].T @ (kernel @ member[columns]))


def _fewest_kept(block: NDArray[np.intp]) -> int:
    """Rows left when the largest block is left out."""
    return len(block) - int(np.bincount(block).max())
