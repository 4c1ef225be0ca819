"""Which points lie in which balls, exactly, from float32 tiles; no matrix of pairs is held."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metrics.arrays import Floats, Matrix
from metrics.clouds import TINY, Cloud, Tile, clouds, differences, products, relative_error, tiles
from metrics.neighbours import reach

_OPEN = 0.02  # share of a tile left open above which its products are taken again in float64


@dataclass(frozen=True)
class Blocks:
    """Rows of both sets by blocks that are counted apart.

    Attributes:
        first: int [n], the block of each row of the first set.
        second: int [m].
        number: of blocks.
    """

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    number: int


@dataclass(frozen=True)
class Balls:
    """How many points lie in how many balls, by the blocks of what is counted.

    Attributes:
        holding: float64 [m, blocks], balls of the first set that a point of the second lies in.
        held: float64 [n, blocks], points of the second set in a ball of the first.
        inside: float64 [n, blocks], balls of the second set that a point of the first lies in.
        nearest: int [n, k], the nearest rows of its own set to each row of the first.
    """

    holding: Floats
    held: Floats
    inside: Floats
    nearest: NDArray[np.intp]


def balls(
    first: Matrix, second: Matrix, k: int, *, closed: bool = True, blocks: Blocks | None = None
) -> Balls:
    """Balls that reach the k-th nearest other row of a point's own set.

    Args:
        first: [n, d].
        second: [m, d].
        k: from 1; both sets hold more rows.
        closed: whether a point at exactly the radius lies inside.
        blocks: what to count apart; None counts all together.
    """
    own, other = reach(first, k), reach(second, k)
    one, two = clouds(first, second)
    by = blocks or Blocks(np.zeros(len(first), np.intp), np.zeros(len(second), np.intp), 1)
    holding = np.zeros((len(second), by.number))
    held, inside = np.zeros((2, len(first), by.number))
    for left, right, tile in tiles(one, two):
        ask = _Question(one, two, left, right, closed)
        within = ask.within(tile, own.squared[left][:, None], one.norms[left][:, None])
        holding[right] += _counts(within.T, by.first[left], by.number)
        held[left] += _counts(within, by.second[right], by.number)
        found = ask.within(tile, other.squared[right][None, :], two.norms[right][None, :])
        inside[left] += _counts(found, by.second[right], by.number)
    return Balls(holding, held, inside, own.nearest)


def _counts(pairs: NDArray[np.bool_], block: NDArray[np.intp], number: int) -> Floats:
    """How many pairs of each row hold, by the blocks of the columns, [rows, number]."""
    if number == 1:
        return np.asarray(np.count_nonzero(pairs, axis=1)[:, None], dtype=np.float64)
    member = np.eye(number, dtype=np.float32)[block]
    return np.asarray(pairs.astype(np.float32) @ member, dtype=np.float64)


@dataclass(frozen=True)
class _Question:
    """Which pairs of one tile lie within a radius."""

    one: Cloud
    two: Cloud
    left: slice
    right: slice
    closed: bool

    def within(
        self, tile: Tile, squared: Floats, norms: Floats, dtype: type[np.floating] = np.float32
    ) -> NDArray[np.bool_]:
        """Bool [b, c]; squared radii and norms are of one side alone, [b, 1] or [1, c]."""
        scaled = squared * self.one.scale**2
        margin = relative_error(self.one.rows.shape[1], dtype) * np.maximum(norms, scaled) + TINY
        inside = tile < (scaled - margin).astype(dtype)
        maybe = (tile <= (scaled + margin).astype(dtype)) & ~inside
        rows, columns = np.divmod(np.flatnonzero(maybe), tile.shape[1])
        if dtype is np.float32 and len(rows) > _OPEN * tile.size:
            return self.within(self._double(), squared, norms, np.float64)
        if len(rows):
            exact = differences(
                self.one, self.two, rows + self.left.start, columns + self.right.start
            )
            radius = np.broadcast_to(squared, tile.shape)[rows, columns]
            inside[rows, columns] = exact <= radius if self.closed else exact < radius
        return inside

    def _double(self) -> Tile:
        a, b = self.one.part(self.left, np.float64), self.two.part(self.right, np.float64)
        return products(a, b, self.one.norms[self.left], self.two.norms[self.right])
