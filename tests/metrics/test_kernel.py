from __future__ import annotations

import numpy as np
import pytest
from numpy.random import RandomState
from numpy.typing import NDArray

import metrics.kernel
from metrics.arrays import blocks
from metrics.kernel import kernel_distance, kernel_estimate

GOLDEN = 0.373951425203948


def _golden() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    stream = RandomState(0)
    one = stream.randn(2000, 32)
    return one, 1.2 * stream.randn(2000, 32) + 0.3


def test_hand_case() -> None:
    # d = 2: within real (0/2 + 1)³ = 1, within synthetic (2/2 + 1)³ = 8, across 1.5³ · 2, 2³, 1
    across = (1.5**3 + 1.5**3 + 2.0**3 + 1.0) / 4
    assert 1.0 + 8.0 - 2 * across == 1.125
    assert kernel_distance(real=[[1, 0], [0, 1]], synthetic=[[1, 1], [2, 0]]) == 1.125


def test_frozen_draws_give_the_golden_full_statistic() -> None:
    one, two = _golden()
    assert kernel_distance(real=one, synthetic=two) == pytest.approx(GOLDEN, rel=1e-11)
    found = kernel_estimate(real=one, synthetic=two)
    assert found.value == pytest.approx(GOLDEN, rel=1e-11)
    assert found.ci is not None
    assert found.ci[0] < GOLDEN < found.ci[1]
    assert found.ci[1] - found.ci[0] < 0.2


def test_unequal_sizes_equal_the_plain_double_sum() -> None:
    stream = RandomState(1)
    one, two = stream.randn(7, 3), stream.randn(5, 3) + 0.5

    def mean(x: NDArray[np.float64], y: NDArray[np.float64], same: bool) -> float:
        pairs = [
            (float(a @ b) / 3 + 1) ** 3
            for i, a in enumerate(x)
            for j, b in enumerate(y)
            if not (same and i == j)
        ]
        return float(np.mean(pairs))

    plain = mean(one, one, True) + mean(two, two, True) - 2 * mean(one, two, False)
    assert kernel_distance(real=one, synthetic=two) == pytest.approx(plain, rel=1e-12)


def test_tiles_do_not_change_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = RandomState(2)
    one, two = stream.randn(50, 4), stream.randn(41, 4)
    whole = kernel_estimate(real=one, synthetic=two)
    monkeypatch.setattr(metrics.kernel, "_TILE", 7)
    tiled = kernel_estimate(real=one, synthetic=two)
    assert tiled.value == pytest.approx(whole.value, rel=1e-10)
    assert tiled.se == pytest.approx(whole.se, rel=1e-8)


def test_equal_distributions_average_to_zero_within_three_standard_errors() -> None:
    stream = RandomState(3)
    values = np.array(
        [
            kernel_distance(real=stream.randn(60, 8), synthetic=stream.randn(60, 8))
            for _ in range(100)
        ]
    )
    assert abs(values.mean()) < 3 * values.std(ddof=1) / 10
    assert (values < 0).sum() > 20  # never clipped


def test_rotation_keeps_the_value_and_a_shift_changes_it() -> None:
    stream = RandomState(4)
    one, two = stream.randn(80, 6), 1.3 * stream.randn(70, 6)
    plain = kernel_distance(real=one, synthetic=two)
    rotation, _ = np.linalg.qr(stream.randn(6, 6))
    rotated = kernel_distance(real=one @ rotation, synthetic=two @ rotation)
    assert rotated == pytest.approx(plain, rel=1e-9)
    assert abs(kernel_distance(real=one + 5, synthetic=two + 5) - plain) > 0.5


def test_the_standard_error_is_the_spread_over_repetitions() -> None:
    stream = RandomState(5)
    found = [
        kernel_estimate(real=stream.randn(150, 5), synthetic=1.5 * stream.randn(150, 5) + 0.5)
        for _ in range(40)
    ]
    spread = float(np.std([one.value for one in found], ddof=1))
    claimed = float(np.sqrt(np.mean([(one.se or 0.0) ** 2 for one in found])))
    assert 0.7 < claimed / spread < 1.4


def test_the_jackknife_equals_leaving_patients_out_one_by_one() -> None:
    stream = RandomState(6)
    one, two = stream.randn(12, 3), stream.randn(12, 3) + 1.0
    groups = [f"p{index // 3}" for index in range(12)]  # four patients: four blocks
    found = kernel_estimate(real=one, synthetic=two, real_groups=groups, synthetic_groups=groups)
    assert "4-block" in found.estimator
    assert found.value == pytest.approx(kernel_distance(real=one, synthetic=two), rel=1e-10)
    left = blocks(12, groups, number=4, seed=0, side="real")
    right = blocks(12, groups, number=4, seed=0, side="synthetic")
    without = np.array(
        [
            kernel_distance(real=one[left != block], synthetic=two[right != block])
            for block in range(4)
        ]
    )
    assert found.se == pytest.approx(np.sqrt(3 / 4 * ((without - without.mean()) ** 2).sum()))


@pytest.mark.parametrize("groups", [["a"] * 30, ["a", "b"] * 15])
def test_too_few_patients_withhold_the_interval(groups: list[str]) -> None:
    stream = RandomState(7)
    one, two = stream.randn(30, 3), stream.randn(30, 3)
    found = kernel_estimate(real=one, synthetic=two, real_groups=groups)
    assert found.value == kernel_distance(real=one, synthetic=two)
    assert found.ci is None
    assert found.se is None
    assert "patients" in found.note


def test_one_patient_with_nearly_all_images_withholds_the_interval() -> None:
    stream = RandomState(8)
    groups = ["a"] * 18 + ["b", "c"]
    found = kernel_estimate(
        real=stream.randn(3, 2), synthetic=stream.randn(20, 2), synthetic_groups=groups
    )
    assert np.isfinite(found.value)
    assert kernel_estimate(real=stream.randn(2, 2), synthetic=stream.randn(2, 2)).ci is None
