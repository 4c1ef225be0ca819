"""Squared Euclidean distances in tiles of rows: memory grows with N, not with N²."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
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


def _squared(x: Floats, y: Floats) -> Floats:
    if x.shape[1] <= 64:  # exact differences: ties stay ties
        return np.asarray(cdist(x, y, "sqeuclidean"))
    norms = np.einsum("nd,nd->n", x, x)[:, None] + np.einsum("nd,nd->n", y, y)[None, :]
    squared: Floats = x @ y.T
    squared *= -2.0
    squared += norms
    squared[squared < _ROUNDING * norms] = 0.0  # equal points are at distance 0, as they are above
    return squared
