"""Squared distances in tiles of float32 products, with a bound on what rounding does to them.

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

_ANYTHING = 1e6  # the bound where it says nothing: millions of dimensions in float32
TINY = 1e-30  # of the scaled squares: below it float32 underflows
_TILE = 2048  # rows a side
_PAIRS = 64  # differences that are taken at once: they fit a cache

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
        centred = np.empty(given.shape, dtype)
        double = given.dtype == np.float64 or dtype is np.float64
        # Subtracted in the wider precision, rounded once as it is written.
        wide = np.float64 if double else np.float32
        np.subtract(given, self.centre, out=centred, dtype=wide, casting="same_kind")
        centred *= dtype(self.scale)
        return centred


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


def tiles(one: Cloud, two: Cloud) -> Iterator[tuple[slice, slice, Tile]]:
    """Squared distances in float32, a tile at a time; within one cloud each pair once."""
    for left in slabs(len(one.rows), _TILE):
        a = one.part(left, np.float32)
        for right in slabs(len(two.rows), _TILE):
            if one is two and right.start < left.start:
                continue
            b = a if one is two and left == right else two.part(right, np.float32)
            yield left, right, products(a, b, one.norms[left], two.norms[right])


def products(a: Matrix, b: Matrix, norms: Floats, others: Floats) -> Tile:
    """Squared distances [b, c] of centred, scaled rows with their squared norms, in their dtype."""
    tile = (a * a.dtype.type(-2.0)) @ b.T
    tile += norms.astype(a.dtype)[:, None]
    tile += others.astype(a.dtype)[None, :]
    return tile


def relative_error(dim: int, dtype: type[np.floating]) -> float:
    """Five times the relative bound: |y|² ≤ 4 |x|², or else |x - y|² ≥ |y|² / 4.

    So the error is at most 5 γ max(|x|², |x - y|²), without |y|; 2 % more for rounding thresholds.
    """
    size = (dim + 16) * float(np.finfo(dtype).eps) / 2
    return 5.1 * size / (1.0 - size) if size < 0.5 else _ANYTHING


def differences(
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
