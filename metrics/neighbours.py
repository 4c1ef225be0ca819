"""How far it is from each row to its k-th nearest other one, exactly, from float32 tiles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metrics.arrays import Floats, Matrix, slabs
from metrics.clouds import TINY, Cloud, Tile, clouds, differences, products, relative_error, tiles

_SPARE = 8  # neighbours kept beyond the k-th, in case rounding has put them in the wrong order
_STRIP = 2**23  # float64 numbers in a strip of distances to all rows
_SLAB = 2048  # rows of the other side at once
_FAR = 1e3  # from itself: beyond every scaled distance, which are 4 at most


@dataclass(frozen=True)
class Reach:
    """How far it is from each row to its k-th nearest other one.

    Attributes:
        squared: float64 [n], the squared distance.
        nearest: int [n, k], which rows the k nearest are, in no order.
    """

    squared: Floats
    nearest: NDArray[np.intp]


def reach(rows: Matrix, k: int) -> Reach:
    """The k-th nearest other row of each row.

    Args:
        rows: [n, d], k + 1 at least.
        k: from 1.
    """
    (cloud,) = clouds(rows)
    kept = min(k + _SPARE, len(rows) - 1)
    values = np.full((len(rows), kept), np.inf, dtype=np.float32)
    others = np.zeros((len(rows), kept), dtype=np.intp)
    for one, two, tile in tiles(cloud, cloud):
        if one == two:
            np.fill_diagonal(tile, _FAR)
        _keep(values[one], others[one], tile, two.start)
        if one != two:
            _keep(values[two], others[two], tile.T, one.start)
    found, sure = _kth(cloud, np.arange(len(rows)), values, others, k, np.float32)
    if kept < len(rows) - 1 and not sure.all():
        _again(cloud, np.flatnonzero(~sure), k, found)
    return found


def _keep(values: Tile, others: NDArray[np.intp], tile: Tile, start: int) -> None:
    """Replace what is kept of each row by the smallest of it and of the tile."""
    kept, width = values.shape[1], tile.shape[1]
    limit = values.max(axis=1)
    if width > kept:
        limit = np.minimum(limit, np.partition(tile, kept - 1, axis=1)[:, kept - 1])
    row, column = np.divmod(np.flatnonzero(tile <= limit[:, None]), width)
    # Fewer than ``kept`` lie below the limit; of those at it any will do.
    at_limit = np.cumsum(tile[row, column] == limit[row])
    before = np.concatenate([[0], at_limit])[np.searchsorted(row, row)]
    enough = (tile[row, column] < limit[row]) | (at_limit - before <= kept)
    row, column = row[enough], column[enough]
    place = np.arange(len(row)) - np.searchsorted(row, row)  # among the candidates of its row
    most = int(place.max(initial=-1)) + 1
    both = np.full((len(values), kept + most), np.inf, dtype=values.dtype)
    index = np.zeros(both.shape, dtype=np.intp)
    both[:, :kept], index[:, :kept] = values, others
    both[row, kept + place], index[row, kept + place] = tile[row, column], column + start
    order = np.argpartition(both, kept - 1, axis=1)[:, :kept]
    values[:] = np.take_along_axis(both, order, axis=1)
    others[:] = np.take_along_axis(index, order, axis=1)


def _kth(
    cloud: Cloud,
    rows: NDArray[np.intp],
    values: Tile,
    others: NDArray[np.intp],
    k: int,
    dtype: type[np.floating],
) -> tuple[Reach, NDArray[np.bool_]]:
    """The k-th nearest of candidates, and whether it is the k-th nearest of all rows, [r].

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
    error = relative_error(cloud.rows.shape[1], dtype) * np.maximum(norms, near) + TINY
    low, high = near - error, near + error
    at = np.partition(near, k - 1, axis=1)[:, k - 1 : k]
    margin = relative_error(cloud.rows.shape[1], dtype) * np.maximum(norms, at) + TINY
    below = high < at - margin
    undecided = (low <= at + margin) & ~below
    row, column = np.nonzero(undecided)
    exact = np.where(below, -1.0, np.inf)  # nearer for sure, farther for sure
    exact[row, column] = differences(cloud, cloud, rows[row], others[row, column])
    order = np.argsort(exact, axis=1, kind="stable")[:, :k]
    squared = np.take_along_axis(exact, order[:, -1:], axis=1)[:, 0]
    found = Reach(squared, np.take_along_axis(others, order, axis=1))
    return found, low.max(axis=1) > (at + margin)[:, 0]


def _again(cloud: Cloud, rows: NDArray[np.intp], k: int, found: Reach) -> None:
    """The neighbours of some rows, from float64 distances to all others."""
    count = len(cloud.rows)
    for part in slabs(len(rows), max(1, _STRIP // count)):
        mine = rows[part]
        a = (np.asarray(cloud.rows[mine], dtype=np.float64) - cloud.centre) * cloud.scale
        strip = np.empty((len(mine), count))
        for right in slabs(count, _SLAB):
            b = cloud.part(right, np.float64)
            strip[:, right] = products(a, b, cloud.norms[mine], cloud.norms[right])
        strip[np.arange(len(mine)), mine] = _FAR
        others = np.broadcast_to(np.arange(count), strip.shape)
        again, _ = _kth(cloud, mine, strip, others, k, np.float64)
        found.squared[mine], found.nearest[mine] = again.squared, again.nearest
