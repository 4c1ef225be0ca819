from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.random import RandomState
from numpy.typing import NDArray
from scipy import stats

from metrics.delong import auroc_delong, delong
from metrics.intervals import (
    auroc,
    jackknife,
    percentile_interval,
    resampling_weights,
    weighted_aurocs,
    wilson,
)
from synth.errors import SynthError

Floats = NDArray[np.float64]


def _golden() -> tuple[NDArray[np.bool_], Floats, Floats]:
    stream = RandomState(42)
    labels = stream.rand(200) < 0.4
    first = labels + stream.randn(200)
    second = 0.5 * labels + 0.5 * first + stream.randn(200)
    return labels, np.round(first, 1), np.round(second, 1)


def _brute_auc(labels: NDArray[np.int64], scores: Floats) -> tuple[float, Floats, Floats]:
    pairs = scores[labels == 1][:, None] - scores[labels == 0][None, :]
    wins = (pairs > 0) + 0.5 * (pairs == 0)
    return float(wins.mean()), wins.mean(axis=1), wins.mean(axis=0)


def test_delong_gives_the_golden_covariance_and_test() -> None:
    labels, first, second = _golden()
    found = delong(labels.astype(int), first, second)
    assert found.auc == pytest.approx([0.7612121212121212, 0.732979797979798], rel=1e-12)
    expected = [
        [0.0011512135113119705, 0.00037365164600516794],
        [0.00037365164600516794, 0.0013025093121807603],
    ]
    assert found.covariance == pytest.approx(np.array(expected), rel=1e-10)
    z, p = found.difference()
    assert z == pytest.approx(0.6834452208450043, rel=1e-9)
    assert p == pytest.approx(0.49432555356440655, rel=1e-9)


def test_delong_equals_the_sum_over_all_pairs() -> None:
    stream = RandomState(1)
    labels = (stream.rand(60) < 0.3).astype(int)
    scores = [np.round(labels + stream.randn(60), 1) for _ in range(3)]
    found = delong(labels, *scores)
    parts = [_brute_auc(labels, score) for score in scores]
    positive, negative = np.array([p[1] for p in parts]), np.array([p[2] for p in parts])
    covariance = np.cov(positive) / positive.shape[1] + np.cov(negative) / negative.shape[1]
    assert found.auc == pytest.approx([p[0] for p in parts], rel=1e-12)
    assert found.covariance == pytest.approx(covariance, rel=1e-10)
    for score, part in zip(scores, parts, strict=True):
        assert auroc(labels, score) == pytest.approx(part[0], rel=1e-12)


def test_delong_sees_ranks_only_and_no_difference_between_equal_scores() -> None:
    labels, first, _ = _golden()
    found = delong(labels.astype(int), first, np.exp(first))
    assert found.auc[0] == found.auc[1]
    assert found.difference() == (0.0, 1.0)


def test_delong_rejects_a_true_null_as_often_as_it_says() -> None:
    stream = RandomState(2)
    rejected = 0
    for _ in range(200):
        labels = np.arange(80) % 2
        rejected += (
            delong(labels, labels + stream.randn(80), labels + stream.randn(80)).difference()[1]
            < 0.05
        )
    assert 2 <= rejected <= 21


def test_the_interval_covers_the_population_value() -> None:
    stream, covered = RandomState(3), 0
    truth = stats.norm.cdf(1.5 / np.sqrt(2))
    for _ in range(200):
        labels = np.arange(100) % 2
        found = auroc_delong(labels, 1.5 * labels + stream.randn(100))
        assert found.ci is not None
        low, high = found.ci
        assert 0 < low < found.value < high < 1
        covered += low <= truth <= high
    assert covered >= 180


def test_perfect_separation_is_not_certain() -> None:
    labels = np.array([0] * 50 + [1] * 10)
    found = delong(labels, labels.astype(float), 1.0 - labels)
    assert found.auc.tolist() == [1.0, 0.0]
    assert found.interval(0) == pytest.approx((0.025 ** (1 / 10), 1.0))
    assert found.interval(1) == pytest.approx((0.0, 1 - 0.025 ** (1 / 10)))
    # Every case agrees on the gap: no variance, and no certainty beyond so many coins.
    assert found.difference() == (np.inf, 2 * 0.5**10)
    assert delong(labels, 0.0 * labels).interval() is None


@pytest.mark.parametrize("score", [auroc, delong])
@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([0, 1, -1, 0, 1], [0.0] * 5, r"labels must be a list of 0 and 1 \(got \[-1\]\)"),
        ([0, 1, 2, 0, 1], [0.0] * 5, r"labels must be a list of 0 and 1 \(got \[2\]\)"),
        ([0.0, 1.0, np.nan, 0.0], [0.0] * 4, r"labels must be a list of 0 and 1"),
        (
            [0, 0, 0, 0],
            [0.0] * 4,
            r"positive.*got 0 (positives, 4 negatives|with positives, 4 with)",
        ),
        ([0, 0, 1, 1], [0.0] * 3, r"one score a label is needed"),
        ([0, 0, 1, 1], [0.0, 1.0, np.nan, 0.0], r"scores hold NaN"),
    ],
)
def test_wrong_labels_and_scores_are_refused(
    score: Any, labels: list[float], scores: list[float], message: str
) -> None:
    with pytest.raises(SynthError, match=message):
        score(labels, scores)


def test_delong_needs_two_of_either() -> None:
    with pytest.raises(
        SynthError, match=r"two patients each .got 1 with positives, 3 with negatives"
    ):
        delong([0, 0, 0, 1], [0.1, 0.2, 0.3, 0.4])


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (0, 10, 0.0, 0.27753279),  # z² / (n + z²)
        (10, 10, 0.72246721, 1.0),
        (5, 10, 0.23659309, 0.76340691),
        (1, 1000, 0.00017655, 0.00564256),
    ],
)
def test_wilson(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson(successes, trials) == pytest.approx((low, high), abs=1e-7)
    reference = stats.binomtest(successes, trials).proportion_ci(method="wilson")
    assert wilson(successes, trials) == pytest.approx(tuple(reference), abs=1e-12)


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (3, 2), (-1, 5)])
def test_wilson_refuses_what_is_no_share(successes: int, trials: int) -> None:
    with pytest.raises(SynthError, match="wilson"):
        wilson(successes, trials)


def test_the_jackknife_of_a_mean_is_its_standard_error() -> None:
    values = RandomState(4).randn(25)
    without = (values.sum() - values) / 24
    found = jackknife(float(values.mean()), without, bias_reduced=False)
    half = stats.t.ppf(0.975, 24) * stats.sem(values)
    assert found.se == pytest.approx(stats.sem(values), rel=1e-12)
    assert found.ci == pytest.approx((values.mean() - half, values.mean() + half), rel=1e-10)


def test_the_jackknife_removes_the_bias_of_a_plug_in_variance() -> None:
    values = RandomState(5).randn(12)
    without = np.array([np.delete(values, row).var() for row in range(12)])
    found = jackknife(float(values.var()), without, bias_reduced=True)
    assert found.value == pytest.approx(values.var(ddof=1), rel=1e-12)


def test_unit_weights_give_the_plain_area() -> None:
    labels, first, _ = _golden()  # rounded: many ties
    truth = labels.astype(int)
    areas = weighted_aurocs(truth, first, np.ones((3, 200)))
    assert areas == pytest.approx([auroc(truth, first)] * 3, rel=1e-12)


def test_whole_weights_are_repeated_rows() -> None:
    labels, first, _ = _golden()
    weights = resampling_weights(200, None, resamples=5, seed=1)
    areas = weighted_aurocs(labels.astype(int), first, weights)
    for area, weight in zip(areas, weights.astype(int), strict=True):
        rows = np.repeat(np.arange(200), weight)
        assert area == pytest.approx(auroc(labels[rows].astype(int), first[rows]), rel=1e-12)


def test_a_resample_without_a_class_is_undefined() -> None:
    areas = weighted_aurocs([0, 1], [0.2, 0.9], np.array([[1.0, 0.0], [1.0, 1.0]]))
    assert np.isnan(areas[0])
    assert areas[1] == 1.0


def test_weighted_areas_refuse_uncertain_labels() -> None:
    with pytest.raises(SynthError, match=r"bootstrap: labels must be a list of 0 and 1"):
        weighted_aurocs([0, 1, -1], [0.1, 0.2, 0.3], np.ones((1, 3)))


def test_resamples_draw_whole_patients() -> None:
    groups = ["a", "b", "a", "c", "b", "b"]
    weights = resampling_weights(6, groups, resamples=400, seed=2)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 1] == weights[:, 4]).all()
    assert (weights[:, 1] == weights[:, 5]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()  # three patients drawn each time
    assert weights.mean() == pytest.approx(1.0, abs=0.1)
    assert (weights == resampling_weights(6, groups, resamples=400, seed=2)).all()
    with pytest.raises(SynthError, match="one group a row"):
        resampling_weights(6, ["a"], resamples=2, seed=0)


def test_the_bootstrap_agrees_with_delong() -> None:
    labels, first, _ = _golden()
    weights = resampling_weights(200, None, resamples=1000, seed=3)
    draws = weighted_aurocs(labels.astype(int), first, weights)
    expected = float(np.sqrt(delong(labels.astype(int), first).covariance[0, 0]))
    assert draws.std(ddof=1) == pytest.approx(expected, rel=0.15)
    interval = percentile_interval(draws)
    assert interval is not None
    assert interval[0] < auroc(labels.astype(int), first) < interval[1]


def test_percentiles_leave_out_undefined_draws() -> None:
    draws = np.append(np.linspace(0, 1, 101), [np.nan] * 50)
    assert percentile_interval(draws) == pytest.approx((0.025, 0.975))
    assert percentile_interval(np.full(100, np.nan)) is None
