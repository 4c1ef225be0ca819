"""Sliced Wasserstein distance, classifier test, Holm's correction."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.random import RandomState
from scipy.stats import norm, wasserstein_distance

from metrics import c2st, holm, sliced_wasserstein
from metrics.floor import floor_rows
from metrics.multiplicity import holm_by_name
from synth.errors import SynthError


def test_one_dimension_is_the_exact_transport() -> None:
    real, made = np.array([[0.0], [1.0], [3.0]]), np.array([[5.0], [6.0], [8.0]])
    assert sliced_wasserstein(real=real, synthetic=made).value == pytest.approx(25.0)
    two = sliced_wasserstein(real=real[:2], synthetic=made)  # 0,0,0,1,1,1 to 5,5,6,6,8,8 in sixths
    by_hand = (2 * 25 + 36 + 25 + 49 + 49) / 6
    assert two.value == pytest.approx(by_hand)
    # Steps of 0 and 1: W1 and W2² agree, an independent check of unequal sizes.
    stream = RandomState(0)
    one, other = stream.randint(0, 2, 37).astype(float), stream.randint(0, 2, 23).astype(float)
    found = sliced_wasserstein(real=one[:, None], synthetic=other[:, None]).value
    assert found == pytest.approx(wasserstein_distance(one, other))


def test_a_shift_is_its_mean_square_and_scales_to_mind() -> None:
    one = RandomState(1).randn(500, 20)
    found = sliced_wasserstein(real=one, synthetic=one + 0.5, projections=2000)
    assert found.value == pytest.approx(0.25, rel=0.1)
    assert found.details["mind"] == pytest.approx(3 * 20 * 0.25, rel=0.1)
    assert sliced_wasserstein(real=one, synthetic=one[::-1]).value == pytest.approx(0, abs=1e-20)
    assert found.floor is not None
    assert found.floor.value < 0.05
    with pytest.raises(SynthError, match="one projection"):
        sliced_wasserstein(real=one, synthetic=one, projections=0)


@pytest.mark.parametrize("classifier", ["linear", "neighbour"])
def test_equal_sets_cannot_be_told_apart_and_shifted_ones_can(classifier: str) -> None:
    p, areas = [], []
    for seed in range(25):
        stream = RandomState(seed)
        found = c2st(
            real=stream.randn(60, 3),
            synthetic=stream.randn(70, 3),
            classifier=classifier,  # type: ignore[arg-type]
            permutations=99,
            seed=seed,
        )
        p.append(found.details["p"])
        areas.append(found.value or 0.0)
    assert sum(value <= 0.05 for value in p) <= 4
    assert abs(np.mean(areas) - 0.5) < 0.03
    moved = c2st(real=stream.randn(100, 3), synthetic=stream.randn(100, 3) + 1, permutations=99)
    assert moved.details["p"] == 0.01


def test_a_linear_classifier_reaches_the_area_of_two_gaussians() -> None:
    stream = RandomState(2)
    real, made = stream.randn(1500, 4), stream.randn(1500, 4)
    made[:, 0] += 1.0
    found = c2st(real=real, synthetic=made, permutations=20)
    assert found.value == pytest.approx(norm.cdf(1 / np.sqrt(2)), abs=0.025)


def test_patients_seen_in_training_are_not_tested_on() -> None:
    """Neighbours of the same patient would give the label away."""
    stream = RandomState(3)
    one, two = (
        np.repeat(stream.randn(40, 6), 5, axis=0) + 0.01 * stream.randn(200, 6) for _ in range(2)
    )
    groups = [f"p{index // 5}" for index in range(200)]
    leaky = c2st(real=one, synthetic=two, classifier="neighbour", permutations=20)
    fair = c2st(
        real=one,
        synthetic=two,
        classifier="neighbour",
        real_groups=groups,
        synthetic_groups=groups,
        permutations=99,
    )
    assert (leaky.value or 0) > 0.95
    assert (fair.value or 1) < 0.75
    assert fair.details["p"] > 0.02


def test_two_real_halves_are_the_floor_of_the_classifier() -> None:
    stream = RandomState(5)
    person = np.repeat(stream.randn(40, 4), 3, axis=0)
    real, made = person + 0.1 * stream.randn(120, 4), stream.randn(90, 4) + 1.5
    groups = [f"p{row // 3}" for row in range(120)]
    found = c2st(real=real, synthetic=made, real_groups=groups, permutations=0, seed=1)
    assert (found.details["p"], found.details["null_se"]) == (None, None)
    rows = floor_rows(120, 90, groups, seed=1)
    assert rows is not None
    first, second, beside = rows
    names = [[groups[row] for row in half] for half in (first, second)]
    alone = c2st(
        real=real[first],
        synthetic=real[second],
        real_groups=names[0],
        synthetic_groups=names[1],
        permutations=0,
        seed=1,
    )
    other = c2st(
        real=real[first], synthetic=made[beside], real_groups=names[0], permutations=0, seed=1
    )
    assert found.floor is not None
    assert (found.floor.value, found.floor.synthetic_at_same_n) == (alone.value, other.value)
    assert found.floor.value < 0.75 < (found.floor.synthetic_at_same_n or 0)
    few = [f"p{row // 15}" for row in range(120)]  # eight patients: four a half
    assert c2st(real=real, synthetic=made, real_groups=few, permutations=0).floor is None


def test_wrong_classifiers_and_few_patients_are_refused() -> None:
    rows = RandomState(4).randn(20, 2)
    with pytest.raises(SynthError, match="no such classifier"):
        c2st(real=rows, synthetic=rows, classifier="forest")  # type: ignore[arg-type]
    with pytest.raises(SynthError, match="too few patients"):
        c2st(real=rows, synthetic=rows, real_groups=["a", "b"] * 10)


def test_holm_steps_down() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]).tolist() == [1.0, 1.0]
    assert holm([]).tolist() == []
    assert holm_by_name({"a": 0.01, "b": None, "c": 0.02}) == {"a": 0.02, "b": None, "c": 0.02}
    with pytest.raises(SynthError, match=r"p-values lie in 0\.\.1"):
        holm([0.5, np.nan])


def test_holm_holds_the_family_wise_error() -> None:
    draws = RandomState(5).rand(2000, 10)
    wrong = np.mean([(holm(row) <= 0.05).any() for row in draws])
    assert wrong < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 2000)
    assert wrong > 0.03
