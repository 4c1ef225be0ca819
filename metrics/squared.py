"""Squared Euclidean distances in tiles of rows: memory grows with N, not with N²."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from metrics.arrays import Floats, slabs

_TILE = 1024
_NUMBERS = 2**23  # in a tile, at most: 64 MiB
_ROUNDING = 1e-12  # of |x|² - 2xy + |y|², relative to the norms


def tiles(x: Floats, y: Floats) -> Iterator[tuple[slice, Floats]]:
    """Rows of ``x`` and their squared distances [rows, m] to all of ``y``, a tile at a time.

    For rows near the origin: |x|² - 2xy + |y|² cancels where both lie far from it.
    """
    for rows in slabs(len(x), max(1, min(_TILE, _NUMBERS // max(1, len(y))))):
        yield rows, _squared(x[rows], y)


def centred_tiles(x: Floats, y: Floats) -> Iterator[tuple[slice, Floats]]:
    """The same for rows that lie anywhere."""
    centre = y.mean(axis=0)
    return tiles(x - centre, y - centre)


def nearest_of_others(rows: Floats, names: Sequence[str]) -> tuple[Floats, NDArray[np.intp]]:
    """Distance of each row to the nearest one of another name, and which row that is.

    Args:
        rows: [n, d] features.
        names: [n] the patient of each row; at least two different ones.
    """
    _, patient = np.unique(names, return_inverse=True)
    reach, nearest = np.empty(len(rows)), np.empty(len(rows), dtype=np.intp)
    for part, squared in centred_tiles(rows, rows):
        squared[patient[part][:, None] == patient[None, :]] = np.inf
        nearest[part] = squared.argmin(axis=1)
        reach[part] = np.sqrt(squared.min(axis=1))
    return reach, nearest


def _squared(x: Floats, y: Floats) -> Floats:
    if x.shape[1] <= 64:  # exact differences: ties stay ties
        return np.asarray(cdist(x, y, "sqeuclidean"))
    norms = np.einsum("nd,nd->n", x, x)[:, None] + np.einsum("nd,nd->n", y, y)[None, :]
    squared: Floats = x @ y.T
    squared *= -2.0
    squared += norms
    squared[squared < _ROUNDING * norms] = 0.0  # equal points are at distance 0, as they are above
    return squared
