from __future__ import annotations

import numpy as np
import pytest
from numpy.random import RandomState
from scipy.spatial.distance import pdist

from metrics import mmd_rbf
from metrics.floor import floor_rows
from synth.errors import SynthError


def test_two_points_a_side_match_the_sum_by_hand() -> None:
    real, made = np.array([[0.0], [1.0]]), np.array([[0.0], [2.0]])
    near, far = np.exp(-1 / 2), np.exp(-4 / 2)  # of distance 1 and 2; distance 0 is 1
    expected = near + far - 2 * (1 + far + near + near) / 4
    found = mmd_rbf(real=real, synthetic=made, bandwidths=(1.0,), permutations=0)
    assert found.value == pytest.approx(expected, rel=1e-12)
    assert found.details["p"] is None
    assert found.ci is None


def test_gaussians_match_the_closed_form() -> None:
    """E k = (σ²/(σ²+2s²))^(d/2) exp(-|δ|²/2(σ²+2s²)) for x - y ~ N(δ, 2s² I)."""
    width, dim, shift = 2.0, 3, 0.8
    spread = width**2 + 2.0
    same = (width**2 / spread) ** (dim / 2)
    expected = 2 * same * (1 - np.exp(-dim * shift**2 / (2 * spread)))
    values, errors = [], []
    for seed in range(12):
        stream = RandomState(seed)
        found = mmd_rbf(
            real=stream.randn(150, dim),
            synthetic=stream.randn(170, dim) + shift,
            bandwidths=(width,),
            permutations=0,
        )
        values.append(found.value or np.nan)
        errors.append(found.se or np.nan)
    spread_seen = np.std(values, ddof=1)
    assert abs(np.mean(values) - expected) < 3 * spread_seen / np.sqrt(12)
    assert 0.5 < np.mean(errors) / spread_seen < 2.0


def test_p_is_uniform_for_equal_distributions_and_small_for_others() -> None:
    p = []
    for seed in range(30):
        stream = RandomState(100 + seed)
        found = mmd_rbf(
            real=stream.randn(40, 3), synthetic=stream.randn(40, 3), permutations=99, seed=seed
        )
        p.append(found.details["p"])
    assert sum(value <= 0.05 for value in p) <= 5
    assert 0.3 < np.mean(p) < 0.7
    moved = mmd_rbf(real=stream.randn(60, 3), synthetic=stream.randn(60, 3) + 1, permutations=99)
    assert moved.details["p"] == 0.01  # the smallest that 99 permutations can give


def test_images_of_one_patient_are_not_independent_evidence() -> None:
    """Six patients a side, ten images each: rows exchanged singly reject what is no difference."""
    groups = [f"p{index // 10}" for index in range(60)]
    blind, aware = [], []
    for seed in range(12):
        stream = RandomState(200 + seed)
        one, two = (
            np.repeat(stream.randn(6, 2), 10, axis=0) + 0.1 * stream.randn(60, 2) for _ in range(2)
        )
        blind.append(mmd_rbf(real=one, synthetic=two, permutations=99).details["p"])
        found = mmd_rbf(
            real=one, synthetic=two, real_groups=groups, synthetic_groups=groups, permutations=99
        )
        aware.append(found.details["p"])
    assert np.mean(np.array(blind) <= 0.05) > 0.8
    assert np.mean(np.array(aware) <= 0.05) < 0.3


def test_the_ruler_is_that_of_the_real_images_and_the_test_stays_exact() -> None:
    stream = RandomState(4)
    real, one, two = stream.randn(40, 3), stream.randn(30, 3), 5 * stream.randn(30, 3) + 2
    first, second = (mmd_rbf(real=real, synthetic=made, permutations=99) for made in (one, two))
    median = float(np.median(pdist(real)))
    assert first.details["bandwidths"] == pytest.approx([median / 2, median, 2 * median])
    assert second.details["bandwidths"] == first.details["bandwidths"]
    assert second.estimator == first.estimator
    assert "widths from real images" in first.estimator
    # What the test uses is the same whichever rows are called real: that makes its p exact.
    pooled = np.median(pdist(np.vstack([real, two])))
    assert second.details["test_bandwidths"][1] == pytest.approx(pooled)
    rows = np.vstack([real, two])[stream.permutation(70)]
    mixed = mmd_rbf(real=rows[:40], synthetic=rows[40:], permutations=9)
    assert mixed.details["test_bandwidths"] == pytest.approx(second.details["test_bandwidths"])
    # The p is that of the pooled kernels, the value that of the real ones.
    both = tuple(second.details["test_bandwidths"])
    given = mmd_rbf(real=real, synthetic=two, bandwidths=both, permutations=99)
    assert given.details["p"] == second.details["p"]
    assert given.value != pytest.approx(second.value, rel=0.05)
    assert "given widths" in given.estimator


def test_a_collapsed_synthetic_set_has_a_distance_and_a_test() -> None:
    """Most pairs of both sets together are equal then, and the median among all pairs is 0."""
    real, made = RandomState(5).randn(20, 2), np.zeros((60, 2))
    found = mmd_rbf(real=real, synthetic=made, permutations=99)
    assert found.details["p"] == 0.01
    assert (found.value or 0) > 0.1


def test_p_is_exact_where_sizes_and_scales_differ() -> None:
    """Widths of the ten real rows alone would reject too often here: see the module."""
    p = []
    for seed in range(400):
        stream = RandomState(seed)
        rows = np.where(stream.rand(50, 1) < 0.15, 8.0, 0.3) * stream.randn(50, 2)
        found = mmd_rbf(real=rows[:10], synthetic=rows[10:], permutations=99, seed=seed)
        p.append(found.details["p"])
    assert np.mean(np.array(p) <= 0.05) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


def test_two_real_halves_are_the_floor() -> None:
    stream = RandomState(6)
    real, made = stream.randn(60, 3), stream.randn(80, 3) + 1
    groups = [f"p{row // 2}" for row in range(60)]
    found = mmd_rbf(real=real, synthetic=made, real_groups=groups, permutations=0, seed=2)
    rows = floor_rows(60, 80, groups, seed=2)
    assert rows is not None
    first, second, beside = rows
    assert not {groups[row] for row in first} & {groups[row] for row in second}
    widths = tuple(found.details["bandwidths"])
    values = [
        mmd_rbf(real=real[first], synthetic=other, bandwidths=widths, permutations=0).value
        for other in (real[second], made[beside])
    ]
    assert found.floor is not None
    assert (found.floor.value, found.floor.synthetic_at_same_n) == pytest.approx(tuple(values))
    assert found.floor.n == len(first) == 30
    assert abs(found.floor.value) < 0.05 < (found.floor.synthetic_at_same_n or 0)
    assert mmd_rbf(real=real[:19], synthetic=made, permutations=0).floor is None


def test_covariance_is_seen_and_rotation_is_not() -> None:
    stream = RandomState(3)
    one, two = stream.randn(200, 4), 2.0 * stream.randn(200, 4)
    found = mmd_rbf(real=one, synthetic=two)
    assert found.details["p"] < 0.01
    rotation, _ = np.linalg.qr(stream.randn(4, 4))
    turned = mmd_rbf(real=one @ rotation + 3, synthetic=two @ rotation + 3)
    assert turned.value == pytest.approx(found.value, rel=1e-9)
    assert mmd_rbf(real=one, synthetic=two).to_json() == found.to_json()


def test_impossible_bandwidths_are_refused() -> None:
    same = np.ones((9, 2))
    with pytest.raises(SynthError, match="rows are equal"):
        mmd_rbf(real=same, synthetic=same)
    with pytest.raises(SynthError, match="bandwidths must be positive"):
        mmd_rbf(real=same, synthetic=same, bandwidths=(0.0,))
