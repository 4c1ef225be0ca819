"""The penalised optimum: known gradients, another optimiser, and labels that say nothing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from metrics.logistic import logistic_path
from synth.errors import SynthError

STRENGTHS = (1e-3, 1e-1, 10.0)


def correlated(n: int, d: int, findings: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(n, findings + 2))
    values = hidden @ rng.normal(size=(findings + 2, d)) + 0.1 * rng.normal(size=(n, d))
    labels = (hidden[:, :findings] + rng.normal(size=(n, findings)) > 0.7).astype(float)
    labels[rng.random(labels.shape) < 0.1] = np.nan
    return 3.0 + 50.0 * values, labels


@pytest.mark.parametrize(("n", "d"), [(300, 20), (60, 150)])
def test_the_gradient_is_zero_at_the_optimum(n: int, d: int) -> None:
    values, labels = correlated(n, d, 4)
    for strength, model in zip(STRENGTHS, logistic_path(values, labels, STRENGTHS), strict=True):
        standard = (values - model.centre) / model.scale
        known = np.isfinite(labels)
        error = np.where(known, model.probabilities(values) - np.nan_to_num(labels), 0.0)
        error /= known.sum(axis=0)
        assert np.abs(standard.T @ error + strength * model.weights).max() < 1e-5
        assert np.abs(error.sum(axis=0)).max() < 1e-5  # the intercept is not penalised


def test_another_optimiser_finds_the_same() -> None:
    values, labels = correlated(120, 5, 1, seed=3)
    (model,) = logistic_path(values, labels, (0.05,))
    known = np.isfinite(labels[:, 0])
    standard = ((values - values.mean(axis=0)) / values.std(axis=0))[known]
    truth = labels[known, 0]

    def loss(w: np.ndarray) -> float:
        p = np.clip(expit(standard @ w[:-1] + w[-1]), 1e-12, 1 - 1e-12)
        fit = -(truth * np.log(p) + (1 - truth) * np.log(1 - p)).mean()
        return float(fit + 0.025 * (w[:-1] ** 2).sum())

    found = minimize(loss, np.zeros(6), method="BFGS", options={"gtol": 1e-7}).x
    np.testing.assert_allclose(model.weights[:, 0], found[:-1], atol=1e-4)
    np.testing.assert_allclose(model.intercept, found[-1:], atol=1e-4)


def test_a_stronger_penalty_gives_smaller_weights_in_the_given_order() -> None:
    values, labels = correlated(200, 10, 2)
    sizes = [np.linalg.norm(m.weights) for m in logistic_path(values, labels, (10.0, 1e-3, 0.1))]
    assert sizes[0] < sizes[2] < sizes[1]


def test_one_sided_and_constant_columns_teach_nothing() -> None:
    values, labels = correlated(80, 6, 2)
    values[:, 2] = 7.0
    labels[:, 1] = 0.0
    (model,) = logistic_path(values, labels, (0.1,))
    assert model.learnt.tolist() == [True, False]
    assert (model.probabilities(values)[:, 1] == 0.5).all()
    assert (model.weights[2] == 0.0).all()
    nothing = logistic_path(values, np.full((80, 2), np.nan), (0.1,))[0]
    assert (nothing.probabilities(values) == 0.5).all()


def test_wrong_inputs() -> None:
    values, labels = correlated(20, 3, 1)
    with pytest.raises(SynthError, match="labels do not fit"):
        logistic_path(values, labels[:5], (1.0,))
    with pytest.raises(SynthError, match="a penalty is positive"):
        logistic_path(values, labels, (0.0,))
