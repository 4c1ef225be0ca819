"""C_T, the data-copying test (Meehan, Chaudhuri & Dasgupta 2020, eq. 4).

Space is cut into cells by k-means on the training set. In each, a Mann-Whitney test asks whether
synthetic images lie closer to the training set than held-out ones do; z-scores are averaged by the
held-out mass of their cells. Strongly negative: copying. Positive: underfitting. Its null spread is
not 1 (about 0.54 with three cells), so significance comes from permutation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from metrics.arrays import Floats, Groups, feature_pair, group_names
from metrics.memorization import nearest_distance
from metrics.records import Estimate, Record, recorded
from synth.errors import SynthError
from synth.seeding import numpy_rng

_ROUNDS = 50
_LEAST = 5  # rows of either kind below which a cell has no z-score


def data_copying(
    *,
    train: ArrayLike,
    heldout: ArrayLike,
    synthetic: ArrayLike,
    cells: int = 3,
    heldout_groups: Groups = None,
    permutations: int = 500,
    seed: int = 0,
) -> Record:
    """C_T with a one-sided permutation p-value for copying.

    Args:
        train: [t, d] features of the generator's training images.
        heldout: [h, d] features of real images of other patients.
        synthetic: [m, d] features of synthetic images.
        cells: k of k-means.
        heldout_groups: the patient of each held-out row; patients are exchanged whole.
        permutations: exchanges of held-out and synthetic labels behind the p-value; 0 leaves it
            out.
        seed: of k-means and the permutations.

    Returns:
        ``details`` holds ``p`` and ``null_se``, the spread under exchange: that of an honest
        generator, and no standard error of a copier's value. ``se`` is None.

    Raises:
        SynthError: too few rows, or no cell with five rows of both kinds.
    """
    least = max(2, cells)
    seen, made = feature_pair(train, synthetic, least=least, sides=("train", "synthetic"))
    _, unseen = feature_pair(train, heldout, sides=("train", "heldout"))
    points = np.vstack([unseen, made])
    distance, _ = nearest_distance(points, seen)
    cell = _cells(seen, points, cells, seed)
    is_made = np.arange(len(points)) >= len(unseen)
    names = [f"h{name}" for name in group_names(len(unseen), heldout_groups, side="heldout")]
    names += [f"g{row}" for row in range(len(made))]
    unique, group = np.unique(names, return_inverse=True)
    side = np.zeros(len(unique), dtype=bool)
    side[group] = is_made
    rng = numpy_rng("metrics", "data-copying", seed)
    drawn = [rng.permutation(side)[group] for _ in range(permutations)]
    scores = _scores(distance, cell, np.array([is_made, *drawn]))
    value, null = float(scores[0]), scores[1:][np.isfinite(scores[1:])]
    if not np.isfinite(value):
        raise SynthError(
            "no cell holds five held-out and five synthetic images",
            where="data_copying",
            fix="Use fewer cells.",
        )
    spread = float(null.std(ddof=1)) if len(null) > 1 else None
    p = float((1 + (null <= value).sum()) / (1 + len(null))) if permutations else None
    note = (
        "interval withheld: the spread of a copier is not known, read p; 0 is expected without "
        "memorization"
    )
    return recorded(
        Estimate(value, None, None, f"C_T over {cells} k-means cells", note),
        n_real=len(seen) + len(unseen),
        n_synthetic=len(made),
        seed=seed,
        higher_is_better=None,
        meaning="z-score of distances to training images; far below 0 is copying",
        details={"p": p, "null_se": spread, "cells": cells},
    )


def _cells(seen: Floats, points: Floats, cells: int, seed: int) -> NDArray[np.intp]:
    if cells == 1:
        return np.zeros(len(points), dtype=np.intp)
    return nearest_distance(points, _centres(seen, cells, seed))[1]


def _centres(rows: Floats, count: int, seed: int) -> Floats:
    """K-means from a k-means++ start (Arthur & Vassilvitskii 2007); an emptied cell stays put."""
    rng = numpy_rng("metrics", "data-copying", "cells", seed)
    centres = rows[[int(rng.integers(len(rows)))]]
    while len(centres) < count:
        squared = nearest_distance(rows, centres)[0] ** 2
        total = squared.sum()
        share = squared / total if total > 0 else None
        centres = np.vstack([centres, rows[rng.choice(len(rows), p=share)]])
    for _ in range(_ROUNDS):
        cell = nearest_distance(rows, centres)[1]
        sizes = np.bincount(cell, minlength=count)
        sums = np.zeros_like(centres)
        np.add.at(sums, cell, rows)
        moved = np.where(sizes[:, None] > 0, sums / np.maximum(sizes, 1)[:, None], centres)
        if np.array_equal(moved, centres):
            break
        centres = moved
    return centres


def _scores(distance: Floats, cell: NDArray[np.intp], made: NDArray[np.bool_]) -> Floats:
    """C_T [b] for labels [b, n] of what is synthetic; NaN where no cell has enough of both."""
    total, weight = np.zeros(len(made)), np.zeros(len(made))
    for which in np.unique(cell):
        ranks = stats.rankdata(distance[cell == which])
        inside = made[:, cell == which]
        g = inside.sum(axis=1)
        h = len(ranks) - g
        u = inside @ ranks - g * (g + 1) / 2
        spread = np.sqrt(np.maximum(g * h * (len(ranks) + 1), 1) / 12)
        counts = np.minimum(g, h) >= _LEAST
        total += np.where(counts, h * (u - g * h / 2) / spread, 0.0)
        weight += np.where(counts, h, 0)
    return np.where(weight > 0, total / np.maximum(weight, 1), np.nan)
