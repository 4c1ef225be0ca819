"""Logistic regression with an L2 penalty, to its optimum: one model a finding, along a path.

For each finding the mean cross-entropy over the images that state it plus ``strength / 2 |w|²`` is
minimised; the intercept is not penalised. The optimum is unique, so that no seed decides it. The
Hessian is nowhere above ``X'X / 4n + strength`` (Böhning & Lindsay 1988), and in the coordinates
that make this bound the identity L-BFGS needs a few dozen steps however correlated the features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import minimize
from scipy.special import expit

from metrics.arrays import Floats
from synth.errors import SynthError

_STEPS = 500
_GRADIENT = 1e-6  # largest component at the optimum, in the coordinates of the bound


@dataclass(frozen=True)
class Logistic:
    """One fitted model a finding.

    Attributes:
        centre: float64 [d], of the training features.
        scale: float64 [d], their standard deviations; 1 for a feature that is constant.
        weights: float64 [d, findings], of standardized features.
        intercept: float64 [findings].
        learnt: bool [findings]; a finding that the training images show on one side only teaches
            nothing, and its probability is 0.5 for all.
    """

    centre: Floats
    scale: Floats
    weights: Floats
    intercept: Floats
    learnt: NDArray[np.bool_]

    def probabilities(self, features: Floats) -> Floats:
        """float64 [n, d] -> float64 [n, findings] in [0, 1]."""
        return np.asarray(expit(self.logits(features)), dtype=np.float64)

    def logits(self, features: Floats) -> Floats:
        """float64 [n, d] -> float64 [n, findings], any size."""
        standard = (features - self.centre) / self.scale
        return np.asarray(standard @ self.weights + self.intercept, dtype=np.float64)


def logistic_path(features: Floats, labels: Floats, strengths: Sequence[float]) -> list[Logistic]:
    """Fit for every strength of the penalty.

    Args:
        features: [n, d].
        labels: [n, findings], 1 present, 0 absent, anything else left out.
        strengths: positive.

    Returns:
        A model a strength, in the given order.

    Raises:
        SynthError: shapes disagree, or a strength is not positive.
    """
    if features.ndim != 2 or labels.ndim != 2 or len(features) != len(labels) or not len(labels):
        raise SynthError(
            "labels do not fit the features",
            where="logistic_path",
            got=f"{features.shape} and {labels.shape}",
            expected="[n, d] and [n, findings] with n > 0",
        )
    if not strengths or min(strengths) <= 0:
        raise SynthError("a penalty is positive", where="logistic_path", got=list(strengths))
    found = dict(_path(features, labels, sorted(set(strengths), reverse=True)))
    return [found[strength] for strength in strengths]


def _path(
    features: Floats, labels: Floats, strengths: Sequence[float]
) -> Iterator[tuple[float, Logistic]]:
    """From the strongest penalty down, each fit started from the one before."""
    positive, negative = labels == 1, labels == 0
    learnt = positive.any(axis=0) & negative.any(axis=0)
    centre, spread = features.mean(axis=0), features.std(axis=0)
    scale = np.where(spread > 1e-12 * np.maximum(1.0, np.abs(centre)), spread, 1.0)
    design = np.hstack([(features - centre) / scale, np.ones((len(features), 1))])
    gram = design.T @ design / (4 * len(design))
    known = (positive | negative)[:, learnt].astype(np.float64)
    share = known / np.maximum(known.sum(axis=0), 1)
    targets = positive[:, learnt].astype(np.float64)
    weights = np.zeros((design.shape[1], int(learnt.sum())))
    for strength in strengths:
        weights = _optimum(design, targets, share, gram, strength, weights)
        whole = np.zeros((design.shape[1], len(learnt)))
        whole[:, learnt] = weights
        yield strength, Logistic(centre, scale, whole[:-1], whole[-1], learnt)


def _optimum(
    design: Floats, targets: Floats, share: Floats, gram: Floats, strength: float, start: Floats
) -> Floats:
    """Weights [d + 1, findings] that minimise the penalised loss of all findings at once.

    Args:
        design: standardized features and a column of ones.
        targets: 1 or 0.
        share: what each image counts in its finding's mean; 0 where it does not state it.
        gram: ``design' design / 4n``.
        strength: of the penalty.
        start: weights to start from.
    """
    if not start.size:
        return start
    penalty = np.full((len(gram), 1), strength)
    penalty[-1] = 0.0  # the intercept
    root = cholesky(gram + np.diagflat(penalty), lower=True)
    shape = start.shape

    def loss(flat: Floats) -> tuple[float, Floats]:
        weights = solve_triangular(root, flat.reshape(shape), lower=True, trans="T")
        logits = design @ weights
        value = (share * (np.logaddexp(0.0, logits) - targets * logits)).sum()
        value += 0.5 * (penalty * weights**2).sum()
        slope = design.T @ (share * (expit(logits) - targets)) + penalty * weights
        return float(value), solve_triangular(root, slope, lower=True).ravel()

    options = {"maxiter": _STEPS, "maxfun": 2 * _STEPS, "gtol": _GRADIENT, "ftol": 0.0}
    found = minimize(loss, (root.T @ start).ravel(), jac=True, method="L-BFGS-B", options=options)
    return np.asarray(
        solve_triangular(root, found.x.reshape(shape), lower=True, trans="T"), dtype=np.float64
    )
