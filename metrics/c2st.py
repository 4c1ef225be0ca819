"""Classifier two-sample test: can one tell synthetic from real? (Lopez-Paz & Oquab 2017).

Out-of-fold AUROC of a linear classifier or of the nearest neighbour, patients kept whole: 0.5 is
indistinguishable, 1 is always told apart. The p-value refits under exchanged labels, which is exact
whatever the classifier; a linear rule makes all the refits one matrix product.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.spatial.distance import cdist

from metrics.arrays import (
    Floats,
    Groups,
    Matrix,
    at_most,
    block_count,
    blocks,
    group_names,
    matrix_pair,
    picked,
)
from metrics.floor import floor_rows
from metrics.records import Estimate, Floor, Record, recorded
from synth.errors import SynthError, UsageError
from synth.seeding import numpy_rng

_FOLDS = 5
_NEIGHBOURS = 5
_RIDGE = 1e-2  # of the mean variance: keeps the rule defined where d > n
_MOST = 4000  # rows a side


def c2st(
    *,
    real: ArrayLike,
    synthetic: ArrayLike,
    classifier: Literal["linear", "neighbour"] = "linear",
    real_groups: Groups = None,
    synthetic_groups: Groups = None,
    permutations: int = 200,
    seed: int = 0,
) -> Record:
    """Classifier two-sample test by five-fold cross-validation.

    Args:
        real: [n, d] features of real images.
        synthetic: [m, d] features of synthetic images; above 4000 rows a side, 4000 at random.
        classifier: ``linear`` (ridge-regularised discriminant) or ``neighbour`` (the share of
            synthetic among the five nearest training rows).
        real_groups: the patient of each real row; a patient is never on both sides of a fold.
        synthetic_groups: the same for synthetic rows.
        permutations: refits behind the p-value; 0 leaves it out.
        seed: of folds and permutations.

    Returns:
        ``details`` holds ``p`` and ``null_se``, the spread under exchanged labels. That is no
        standard error of the value, whose own is not known: ``se`` is None.

    Raises:
        SynthError: fewer than ten rows or five patients a side.
    """
    one, two = matrix_pair(real, synthetic, least=2 * _FOLDS)
    one, left = at_most(_MOST, one, real_groups, seed=seed, side="real")
    two, right = at_most(_MOST, two, synthetic_groups, seed=seed, side="synthetic")
    fold = _folds(one, two, left, right, seed)
    if fold is None:
        raise SynthError(
            "too few patients for five folds", where="c2st", expected="five a side at least"
        )
    made = np.arange(len(fold)) >= len(one)
    names = [f"r{name}" for name in group_names(len(one), left, side="real")]
    names += [f"s{name}" for name in group_names(len(two), right, side="synthetic")]
    labels = np.vstack([made[None], _exchanged(names, made, fold, permutations, seed)])
    rows = np.vstack([one, two]).astype(np.float64, copy=False)
    areas = _areas(rows, fold, labels.astype(np.float64), classifier)
    value, null = float(areas[0]), areas[1:]
    p = float((1 + (null >= value).sum()) / (1 + len(null))) if permutations else None
    spread = float(null.std(ddof=1)) if len(null) > 1 else None
    how = f"{classifier} classifier, mean AUROC of {_FOLDS} folds"
    note = (
        "interval withheld: folds share their training rows, read p; 0.5 is expected for equal "
        "distributions"
    )
    return recorded(
        Estimate(value, None, None, how, note),
        n_real=len(one),
        n_synthetic=len(two),
        seed=seed,
        higher_is_better=False,
        meaning="how well a classifier tells synthetic from real; 0.5 is not at all",
        floor=_floor(one, two, left, classifier, right, seed),
        details={"p": p, "null_se": spread, "permutations": permutations},
    )


def _folds(
    one: Matrix, two: Matrix, left: Groups, right: Groups, seed: int
) -> NDArray[np.intp] | None:
    """The fold of each row, patients kept whole; None where a side has too few of them."""
    sides = ((one, left, "real"), (two, right, "synthetic"))
    if min(block_count(len(rows), names, most=_FOLDS) for rows, names, _ in sides) < _FOLDS:
        return None
    return np.concatenate(
        [
            blocks(len(rows), names, number=_FOLDS, seed=seed, side=side)
            for rows, names, side in sides
        ]
    )


def _floor(
    one: Matrix, two: Matrix, groups: Groups, classifier: str, other: Groups, seed: int
) -> Floor | None:
    """How well two real halves that share no patient are told apart."""
    rows = floor_rows(len(one), len(two), groups, seed=seed)
    if rows is None:
        return None
    first, second, made = rows
    sides = ((one[second], picked(groups, second)), (two[made], picked(other, made)))
    values = []
    for side, names in sides:
        fold = _folds(one[first], side, picked(groups, first), names, seed)
        if fold is None:
            return None
        is_second = np.arange(len(fold)) >= len(first)
        both = np.vstack([one[first], side]).astype(np.float64, copy=False)
        values.append(float(_areas(both, fold, is_second[None].astype(np.float64), classifier)[0]))
    return Floor(values[0], len(first), values[1])


def _exchanged(
    names: list[str], made: NDArray[np.bool_], fold: NDArray[np.intp], count: int, seed: int
) -> NDArray[np.bool_]:
    """Labels [count, n + m] with whole groups exchanged within their fold."""
    _, first, group = np.unique(names, return_index=True, return_inverse=True)
    side, where = made[first], fold[first]
    rng = numpy_rng("metrics", "c2st", seed)
    drawn = np.empty((count, len(made)), dtype=bool)
    for draw in drawn:
        mixed = side.copy()
        for which in range(_FOLDS):
            inside = np.flatnonzero(where == which)
            mixed[inside] = side[rng.permutation(inside)]
        draw[:] = mixed[group]
    return drawn


def _areas(rows: Floats, fold: NDArray[np.intp], labels: Floats, classifier: str) -> Floats:
    """Mean out-of-fold AUROC [b] of labels [b, n]."""
    if classifier not in ("linear", "neighbour"):
        raise UsageError("no such classifier", got=classifier, expected="linear or neighbour")
    rule = _linear if classifier == "linear" else _neighbours
    total = np.zeros(len(labels))
    for which in range(_FOLDS):
        inside = fold == which
        scores = labels[:, ~inside] @ rule(rows[~inside], rows[inside]).T
        total += _auroc_rows(labels[:, inside] > 0.5, scores)
    return total / _FOLDS


def _linear(train: Floats, test: Floats) -> Floats:
    """Test scores are this [t, n] times the training labels: ridge regression on the labels."""
    centre = train.mean(axis=0)
    spread = train.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    x, z = (train - centre) / scale, (test - centre) / scale
    penalty = _RIDGE * len(x)
    if len(x) > x.shape[1]:
        weights = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T)
    else:
        weights = x.T @ np.linalg.inv(x @ x.T + penalty * np.eye(len(x)))
    hat: Floats = z @ (weights - weights.mean(axis=1, keepdims=True))
    return hat


def _neighbours(train: Floats, test: Floats) -> Floats:
    nearest = np.argpartition(cdist(test, train, "sqeuclidean"), _NEIGHBOURS, axis=1)[
        :, :_NEIGHBOURS
    ]
    share = np.zeros((len(test), len(train)))
    np.put_along_axis(share, nearest, 1 / _NEIGHBOURS, axis=1)
    return share


def _auroc_rows(truth: NDArray[np.bool_], scores: Floats) -> Floats:
    # Rounded: sums of equal terms in another order must tie.
    ranks = stats.rankdata(np.round(scores, 12), axis=1)
    m = truth.sum(axis=1)
    n = truth.shape[1] - m
    area: Floats = ((ranks * truth).sum(axis=1) - m * (m + 1) / 2) / np.maximum(m * n, 1)
    return np.where(m * n > 0, area, 0.5)
