"""Mean and scatter of rows in slabs, and of all rows but a block: memory grows with d², not with n.

    m = ma + δ nb / n,   C = Ca + Cb + δ δᵀ na nb / n      (Chan, Golub & LeVeque 1983, eq. 2.1)

Centred and in float64 throughout: sums of squares lose all digits where the mean is large beside
the spread.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metrics.arrays import Floats, Matrix, slabs

_ENOUGH = 1024  # rows that pay for a d × d update


@dataclass(frozen=True)
class Spread:
    """Rows as a Gaussian sees them.

    Attributes:
        n: how many.
        mean: float64 [d].
        scatter: float64 [d, d], Σ (x - mean)(x - mean)ᵀ.
    """

    n: int
    mean: Floats
    scatter: Floats

    @property
    def covariance(self) -> Floats:
        """Σ with 1 / (n - 1); two rows at least."""
        covariance: Floats = self.scatter / (self.n - 1)
        return covariance


def spread_of(rows: Matrix) -> Spread:
    """The spread of rows [n, d], one at least."""
    return accumulated(rows[part] for part in slabs(len(rows)))


def accumulated(parts: Iterable[Matrix]) -> Spread:
    """The spread of all parts [b, d] together, in one pass; one row at least.

    Parts of a few rows are put together first: a part costs O(d²) however few it holds.
    """
    n, mean, scatter = 0, np.zeros(0), np.zeros((0, 0))
    for part in _filled(parts):
        own = part.mean(axis=0, dtype=np.float64)
        if n == 0:
            mean, scatter = own, np.zeros((len(own), len(own)))
        total = n + len(part)
        shift = own - mean
        # δ δᵀ na nb / n as one more row: no matrix is made for it.
        centred = np.empty((len(part) + 1, len(own)))
        np.subtract(part, own, out=centred[:-1])
        centred[-1] = shift * np.sqrt(n * (len(part) / total))
        scatter += centred.T @ centred
        mean = mean + shift * (len(part) / total)
        n = total
    return Spread(n, mean, scatter)


def _filled(parts: Iterable[Matrix]) -> Iterator[Matrix]:
    """The same rows in parts of a slab or more, the last one aside."""
    waiting: list[Matrix] = []
    for part in parts:
        for rows in slabs(len(part)):
            waiting.append(part[rows])
            if sum(map(len, waiting)) >= _ENOUGH:
                yield waiting[0] if len(waiting) == 1 else np.concatenate(waiting)
                waiting = []
    if waiting:
        yield waiting[0] if len(waiting) == 1 else np.concatenate(waiting)


def without_each(rows: Matrix, block: NDArray[np.intp], number: int) -> Iterator[Spread]:
    """The spread of all rows but those of block 0, 1, …, from one pass over the rows.

    Args:
        rows: [n, d].
        block: [n], the block of each row; none is empty.
        number: of blocks, two at least.
    """
    return left_out([_of_block(rows, block == which) for which in range(number)])


def pooled(parts: Sequence[Spread]) -> Spread:
    """The spread of all parts together; one at least."""
    sizes = np.array([part.n for part in parts], dtype=np.float64)
    means = np.array([part.mean for part in parts])
    mean = sizes @ means / sizes.sum()
    between = (means - mean) * np.sqrt(sizes)[:, None]
    scatter: Floats = sum((part.scatter for part in parts[1:]), start=parts[0].scatter.copy())
    scatter += between.T @ between
    return Spread(int(sizes.sum()), mean, scatter)


def left_out(parts: Sequence[Spread]) -> Iterator[Spread]:
    """The spread of all parts but the first, the second, …; two at least."""
    number = len(parts)
    sizes = np.array([part.n for part in parts], dtype=np.float64)
    means = np.array([part.mean for part in parts])
    within: Floats = sum((part.scatter for part in parts[1:]), start=parts[0].scatter.copy())
    for which, part in enumerate(parts):
        kept = np.arange(number) != which
        weights = sizes[kept]
        mean = weights @ means[kept] / weights.sum()
        between = (means[kept] - mean) * np.sqrt(weights)[:, None]
        scatter = within - part.scatter
        scatter += between.T @ between
        yield Spread(int(weights.sum()), mean, scatter)


def _of_block(rows: Matrix, member: NDArray[np.bool_]) -> Spread:
    own = np.flatnonzero(member)
    return accumulated(rows[own[part]] for part in slabs(len(own)))
