"""Nearest neighbours and balls around points, exactly, in tiles of float32 products.

    |x - y|² = |x|² + |y|² - 2 x·y                              x, y centred and scaled

Float32 halves the time and the memory, and its error is bounded: with γ = k u / (1 - k u) and
u = 2⁻²⁴ (Higham 2002, section 3.1) a squared distance is off by γ (|x|² + |y|²) at most, where
k = d + 16 covers the product, the rounding of the rows and the three sums. Comparisons that this
leaves open are decided by float64 differences of the rows as they were given, so that ties stay
ties and equal rows are at distance 0. Tiles have a fixed size, pairs within one set are multiplied
once, and rows are read a tile at a time: they may be mapped from disk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metrics.arrays import Floats, Matrix, slabs

_TILE = 2048  # rows a side
_SPARE = 8  # neighbours kept beyond the k-th, in case rounding has put them in the wrong order
_PAIRS = 64  # differences that are taken at once: they fit a cache
_STRIP = 2**23  # float64 numbers in a strip of distances to all rows
_TINY = 1e-30  # of the scaled squares: below it float32 underflows
_FAR = 1e3  # from itself: beyond every scaled distance, which are 4 at most
_OPEN = 0.02  # share of a tile left open above which its products are taken again in float64

Tile = NDArray[np.floating]


@dataclass(frozen=True)
class Cloud:
    """Rows, and what tiles of distances need of them.

    Attributes:
        rows: [n, d] as given.
        centre: float64 [d], exact in float32, subtracted before multiplying.
        scale: a power of two that brings the squared norms to 1 and below.
        norms: float64 [n], squared norms of the centred, scaled rows.
        alike: int [n], one number for each different row: equal rows need no difference.
    """

    rows: Matrix
    centre: Floats
    scale: float
    norms: Floats
    alike: NDArray[np.intp]

    def part(self, rows: slice, dtype: type[np.floating]) -> Matrix:
        """Centred, scaled rows [b, d]; the centre is of float32, so float32 rows stay so."""
        given = self.rows[rows]
        double = given.dtype == np.float64 or dtype is np.float64
        centred = np.subtract(given, self.centre, dtype=np.float64 if double else np.float32)
        centred *= self.scale
        return np.asarray(centred, dtype=dtype)


def clouds(*sets: Matrix) -> list[Cloud]:
    """Sets of rows [n, d] about the mean of the first, at one scale."""
    centre = _mean(sets[0])
    squares = [_squares(rows, centre) for rows in sets]
    largest = max(float(values.max()) for values in squares)
    scale = 2.0 ** -np.ceil(np.log2(largest) / 2) if largest > 0.0 else 1.0
    alike = np.split(_alike(sets, np.concatenate(squares)), np.cumsum([len(s) for s in sets])[:-1])
    return [
        Cloud(rows, centre, float(scale), values * scale**2, numbers)
        for rows, values, numbers in zip(sets, squares, alike, strict=True)
    ]


def _mean(rows: Matrix) -> Floats:
    total = np.zeros(rows.shape[1])
    for part in slabs(len(rows)):
        total += rows[part].sum(axis=0, dtype=np.float64)
    return (total / len(rows)).astype(np.float32).astype(np.float64)


def _squares(rows: Matrix, centre: Floats) -> Floats:
    found = np.empty(len(rows))
    for part in slabs(len(rows)):
        centred = rows[part] - centre
        found[part] = np.einsum("nd,nd->n", centred, centred)
    return found


def _alike(sets: tuple[Matrix, ...], norms: Floats) -> NDArray[np.intp]:
    """A number for each different row of all sets; only rows of one norm are looked at."""
    _, inverse, counts = np.unique(norms, return_inverse=True, return_counts=True)
    number = np.arange(len(norms))
    first: dict[bytes, int] = {}
    starts = np.cumsum([0, *(len(rows) for rows in sets)])
    for at in np.flatnonzero(counts[inverse] > 1):
        of = int(np.searchsorted(starts, at, side="right")) - 1
        row = np.asarray(sets[of][at - starts[of]], dtype=np.float64).tobytes()
        number[at] = first.setdefault(hashlib.blake2b(row, digest_size=16).digest(), int(at))
    return number


def squared_radii(rows: Matrix, k: int) -> Floats:
    """Squared distance of each row to its k-th nearest other one, float64 [n].

    Args:
        rows: [n, d], k + 1 at least.
        k: from 1.
    """
    (cloud,) = clouds(rows)
    kept = min(k + _SPARE, len(rows) - 1)
    values = np.full((len(rows), kept), np.inf, dtype=np.float32)
    others = np.zeros((len(rows), kept), dtype=np.intp)
    for one, two, tile in _tiles(cloud, cloud):
        if one == two:
            np.fill_diagonal(tile, _FAR)
        _keep(values[one], others[one], tile, two.start)
        if one != two:
            _keep(values[two], others[two], tile.T, one.start)
    found, sure = _kth(cloud, np.arange(len(rows)), values, others, k, np.float32)
    if kept < len(rows) - 1 and not sure.all():
        _again(cloud, np.flatnonzero(~sure), k, found)
    return found


def _tiles(one: Cloud, two: Cloud) -> Iterator[tuple[slice, slice, Tile]]:
    """Squared distances in float32, a tile at a time; within one cloud each pair once."""
    for left in slabs(len(one.rows), _TILE):
        a = one.part(left, np.float32)
        for right in slabs(len(two.rows), _TILE):
            if one is two and right.start < left.start:
                continue
            b = a if one is two and left == right else two.part(right, np.float32)
            yield left, right, _products(a, b, one.norms[left], two.norms[right])


def _products(a: Matrix, b: Matrix, norms: Floats, others: Floats) -> Tile:
    tile = (a * a.dtype.type(-2.0)) @ b.T
    tile += norms.astype(a.dtype)[:, None]
    tile += others.astype(a.dtype)[None, :]
    return tile


def _keep(values: Tile, others: NDArray[np.intp], tile: Tile, start: int) -> None:
    """Replace what is kept of each row by the smallest of it and of the tile."""
    kept = values.shape[1]
    rows = np.flatnonzero((tile < values.max(axis=1)[:, None]).any(axis=1))
    if not len(rows):
        return
    both = np.concatenate([values[rows], tile[rows]], axis=1)
    order = np.argpartition(both, kept - 1, axis=1)[:, :kept]
    before = np.take_along_axis(others[rows], np.minimum(order, kept - 1), axis=1)
    values[rows] = np.take_along_axis(both, order, axis=1)
    others[rows] = np.where(order < kept, before, order - kept + start)


def _gamma(dim: int, dtype: type[np.floating]) -> float:
    """Five times the relative bound: |y|² ≤ 4 |x|², or else |x - y|² ≥ |y|² / 4.

    So the error is at most 5 γ max(|x|², |x - y|²), without |y|; 2 % more for rounding thresholds.
    """
    size = (dim + 16) * float(np.finfo(dtype).eps) / 2
    return 5.1 * size / (1.0 - size)


def _kth(
    cloud: Cloud,
    rows: NDArray[np.intp],
    values: Tile,
    others: NDArray[np.intp],
    k: int,
    dtype: type[np.floating],
) -> tuple[Floats, NDArray[np.bool_]]:
    """The k-th smallest exact squared distance of candidates, [r], and whether it is of all rows.

    Args:
        cloud: the rows.
        rows: [r], whose neighbours.
        values: [r, c], scaled squared distances of the candidates, rounded.
        others: [r, c], which rows the candidates are.
        k: from 1.
        dtype: that ``values`` were computed in.
    """
    near = values.astype(np.float64)
    norms = cloud.norms[rows][:, None]
    error = _gamma(cloud.rows.shape[1], dtype) * np.maximum(norms, near) + _TINY
    low, high = near - error, near + error
    at = np.partition(near, k - 1, axis=1)[:, k - 1 : k]
    reach = _gamma(cloud.rows.shape[1], dtype) * np.maximum(norms, at) + _TINY
    below = high < at - reach
    undecided = (low <= at + reach) & ~below
    row, column = np.nonzero(undecided)
    exact = np.full(near.shape, np.inf)
    exact[row, column] = _differences(cloud, cloud, rows[row], others[row, column])
    rank = k - 1 - below.sum(axis=1)  # so many of the undecided ones come before the k-th
    found = np.sort(exact, axis=1)[np.arange(len(near)), rank]
    return found, low.max(axis=1) > (at + reach)[:, 0]


def _again(cloud: Cloud, rows: NDArray[np.intp], k: int, found: Floats) -> None:
    """The radii of some rows, from float64 distances to all others."""
    count = len(cloud.rows)
    for part in slabs(len(rows), max(1, _STRIP // count)):
        mine = rows[part]
        a = (np.asarray(cloud.rows[mine], dtype=np.float64) - cloud.centre) * cloud.scale
        strip = np.empty((len(mine), count))
        for right in slabs(count, _TILE):
            b = cloud.part(right, np.float64)
            strip[:, right] = _products(a, b, cloud.norms[mine], cloud.norms[right])
        strip[np.arange(len(mine)), mine] = _FAR
        others = np.broadcast_to(np.arange(count), strip.shape)
        found[mine], _ = _kth(cloud, mine, strip, others, k, np.float64)


def _differences(
    one: Cloud, two: Cloud, rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> Floats:
    """Squared distances of pairs of rows, from their differences in float64."""
    found = np.zeros(len(rows))
    open_pairs = np.flatnonzero(one.alike[rows] != two.alike[columns])
    for part in slabs(len(open_pairs), _PAIRS):
        pairs = open_pairs[part]
        gap = np.subtract(one.rows[rows[pairs]], two.rows[columns[pairs]], dtype=np.float64)
        found[pairs] = np.einsum("nd,nd->n", gap, gap)
    return found


@dataclass(frozen=True)
class Balls:
    """Which points lie in which balls.

    Attributes:
        holding: int [m], balls of the first set that each point of the second lies in.
        held: bool [n], whether a ball of the first set holds a point of the second.
        inside: bool [n], whether a point of the first set lies in a ball of the second.
    """

    holding: NDArray[np.intp]
    held: NDArray[np.bool_]
    inside: NDArray[np.bool_]


def balls(first: Matrix, second: Matrix, k: int, *, closed: bool = True) -> Balls:
    """Balls that reach the k-th nearest other row of a point's own set.

    Args:
        first: [n, d].
        second: [m, d].
        k: from 1; both sets hold more rows.
        closed: whether a point at exactly the radius lies inside.
    """
    reach, other_reach = squared_radii(first, k), squared_radii(second, k)
    one, two = clouds(first, second)
    holding = np.zeros(len(second), dtype=np.intp)
    held, inside = np.zeros((2, len(first)), dtype=bool)
    for left, right, tile in _tiles(one, two):
        ask = _Question(one, two, left, right, closed)
        within = ask.within(tile, reach[left][:, None], one.norms[left][:, None])
        holding[right] += np.count_nonzero(within, axis=0)
        held[left] |= within.any(axis=1)
        found = ask.within(tile, other_reach[right][None, :], two.norms[right][None, :])
        inside[left] |= found.any(axis=1)
    return Balls(holding, held, inside)


@dataclass(frozen=True)
class _Question:
    """Which pairs of one tile lie within a radius."""

    one: Cloud
    two: Cloud
    left: slice
    right: slice
    closed: bool

    def within(
        self, tile: Tile, reach: Floats, norms: Floats, dtype: type[np.floating] = np.float32
    ) -> NDArray[np.bool_]:
        """Bool [b, c]; ``reach`` is squared, ``reach`` and ``norms`` are of one side alone."""
        scaled = reach * self.one.scale**2
        margin = _gamma(self.one.rows.shape[1], dtype) * np.maximum(norms, scaled) + _TINY
        inside = tile < (scaled - margin).astype(dtype)
        maybe = (tile <= (scaled + margin).astype(dtype)) & ~inside
        rows, columns = np.nonzero(maybe)
        if dtype is np.float32 and len(rows) > _OPEN * tile.size:
            return self.within(self._double(), reach, norms, np.float64)
        if len(rows):
            exact = _differences(
                self.one, self.two, rows + self.left.start, columns + self.right.start
            )
            radius = np.broadcast_to(reach, tile.shape)[rows, columns]
            inside[rows, columns] = exact <= radius if self.closed else exact < radius
        return inside

    def _double(self) -> Tile:
        a, b = self.one.part(self.left, np.float64), self.two.part(self.right, np.float64)
        return _products(a, b, self.one.norms[self.left], self.two.norms[self.right])
