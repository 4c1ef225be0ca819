from __future__ import annotations

import sys

import numpy as np
import pytest
from numpy.random import RandomState
from scipy.spatial.distance import cdist

from metrics.arrays import blocks
from metrics.prdc import expected_coverage, membership, prdc, prdc_estimates
from synth.errors import SynthError


@pytest.mark.parametrize(
    ("k", "expected"),
    [
        (3, {"precision": 0.221, "recall": 0.945, "density": 0.137, "coverage": 0.28}),
        (5, {"precision": 0.282, "recall": 0.985, "density": 0.1304, "coverage": 0.393}),
    ],
)
def test_frozen_draws_give_the_golden_shares(k: int, expected: dict[str, float]) -> None:
    stream = RandomState(0)
    one = stream.randn(2000, 32)[:1000]
    two = (1.2 * stream.randn(2000, 32) + 0.3)[:1000]
    assert prdc(real=one, synthetic=two, k=k) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("k", "expected"),
    [
        (1, {"precision": 0.8, "recall": 0.8, "density": 1.4, "coverage": 1.0}),
        (2, {"precision": 0.8, "recall": 1.0, "density": 0.8, "coverage": 1.0}),
    ],
)
@pytest.mark.parametrize("dimensions", [1, 80])  # exact differences and products
def test_hand_case_on_a_line(k: int, expected: dict[str, float], dimensions: int) -> None:
    real, synthetic = np.zeros((5, dimensions)), np.zeros((5, dimensions))
    real[:, 0] = [0, 1, 2, 3, 10]
    synthetic[:, 0] = [0.4, 0.6, 2.5, 7, 50]
    assert prdc(real=real, synthetic=synthetic, k=k) == pytest.approx(expected)


def test_a_generator_stuck_on_one_mode_keeps_precision_and_loses_recall() -> None:
    stream = RandomState(1)
    centres = np.repeat([[-20.0, 0.0], [20.0, 0.0]], 200, axis=0)
    real = centres + stream.randn(400, 2)
    stuck = real[0] + 0.02 * stream.randn(400, 2)
    found = prdc(real=real, synthetic=stuck)
    assert found["precision"] > 0.95
    assert found["recall"] < 0.05
    assert found["coverage"] < 0.05
    swapped = prdc(real=stuck, synthetic=real)  # the sides are not interchangeable
    assert swapped["precision"] < 0.05
    assert swapped["recall"] > 0.95


def test_noise_costs_precision_step_by_step() -> None:
    stream = RandomState(2)
    real, clean, noise = stream.randn(3, 300, 4)
    shares = [
        prdc(real=real, synthetic=clean + level * noise)["precision"] for level in (0, 1, 2, 4)
    ]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > shares[-1] + 0.3


@pytest.mark.parametrize("dimensions", [3, 100])
def test_equal_points_count_as_inside(dimensions: int) -> None:
    same = np.full((20, dimensions), 0.1)
    found = prdc(real=same, synthetic=same)
    assert found == {"precision": 1.0, "recall": 1.0, "density": 4.0, "coverage": 1.0}
    draw = RandomState(3).randn(50, dimensions)
    copies = prdc(real=draw, synthetic=draw)
    assert copies["precision"] == copies["recall"] == copies["coverage"] == 1.0


@pytest.mark.parametrize("dimensions", [6, 90])
def test_place_orientation_and_scale_do_not_matter(dimensions: int) -> None:
    stream = RandomState(4)
    real, synthetic = stream.randn(120, dimensions), 1.1 * stream.randn(120, dimensions)
    plain = prdc(real=real, synthetic=synthetic)
    rotation, _ = np.linalg.qr(stream.randn(dimensions, dimensions))
    for change in (lambda x: x + 1e3, lambda x: x @ rotation, lambda x: 0.01 * x):
        moved = prdc(real=change(real), synthetic=change(synthetic))
        assert moved == pytest.approx(plain, abs=1e-12)


def test_tiles_do_not_change_the_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = RandomState(5)
    real, synthetic = stream.randn(70, 3), stream.randn(55, 3)
    whole = prdc(real=real, synthetic=synthetic)
    monkeypatch.setattr(sys.modules["metrics.clouds"], "_TILE", 16)
    assert prdc(real=real, synthetic=synthetic) == whole


def test_expected_coverage_is_what_equal_distributions_give() -> None:
    assert expected_coverage(10**9, 10**9, 5) == pytest.approx(1 - 2**-5)
    # k = 1, n = 2, m = 1: the nearer of one real and one synthetic point, each equally likely
    assert expected_coverage(2, 1, 1) == pytest.approx(0.5)
    stream = RandomState(6)
    shares = [
        prdc(real=stream.randn(40, 2), synthetic=stream.randn(25, 2), k=3)["coverage"]
        for _ in range(150)
    ]
    error = np.std(shares, ddof=1) / np.sqrt(150)
    assert abs(np.mean(shares) - expected_coverage(40, 25, 3)) < 3 * error


def test_membership_says_which_points() -> None:
    real, synthetic = [[0.0], [1.0], [5.0]], [[0.5], [90.0], [91.0]]
    found = membership(real=real, synthetic=synthetic, k=1)
    assert found.precision.tolist() == [1, 0, 0]
    assert found.density.tolist() == [2, 0, 0]  # the ball at 5 reaches back to 1 only
    assert found.recall.tolist() == [1, 1, 1]  # the ball at 0.5 reaches 90
    assert found.coverage.tolist() == [1, 1, 0]


def test_estimates_carry_intervals_inside_their_range() -> None:
    stream = RandomState(7)
    real, synthetic = stream.randn(300, 8), 1.4 * stream.randn(300, 8)
    found = prdc_estimates(real=real, synthetic=synthetic)
    plain = prdc(real=real, synthetic=synthetic)
    assert set(found) == set(plain)
    for name, share in plain.items():
        one = found[name]
        assert one.value == pytest.approx(share)
        assert one.ci is not None
        assert one.se is not None
        assert 0.0 <= one.ci[0] < one.value <= one.ci[1]
        assert name == "density" or one.ci[1] <= 1.0
    assert f"{expected_coverage(300, 300, 5):.3f}" in found["coverage"].note


def test_a_share_of_one_is_not_certain() -> None:
    draw = RandomState(8).randn(40, 2)
    found = prdc_estimates(real=draw, synthetic=draw)["precision"]
    assert found.value == 1.0
    assert found.ci is not None
    assert 0.85 < found.ci[0] < 0.95
    assert found.ci[1] == 1.0


def test_one_patient_withholds_every_interval() -> None:
    """Real balls are of one person: no share can be said with more certainty than that."""
    stream = RandomState(9)
    found = prdc_estimates(
        real=stream.randn(30, 2), synthetic=stream.randn(30, 2), real_groups=["p"] * 30
    )
    for estimate in found.values():
        assert estimate.ci is None
        assert "too few patients" in estimate.note


def test_leaving_a_block_out_leaves_its_points_and_balls_out() -> None:
    stream = RandomState(10)
    real, synthetic = stream.randn(60, 3), stream.randn(50, 3)
    found = prdc_estimates(real=real, synthetic=synthetic, k=3, seed=1)
    left = blocks(60, None, number=10, seed=1, side="real")
    right = blocks(50, None, number=10, seed=1, side="synthetic")
    own, across = cdist(real, real), cdist(real, synthetic)
    within = across <= np.sort(own, axis=1)[:, 3][:, None]
    for block in range(10):
        kept = within[left != block][:, right != block]
        assert found["precision"].without[block] == pytest.approx(kept.any(axis=0).mean())
        assert found["coverage"].without[block] == pytest.approx(kept.any(axis=1).mean())
        near = np.argsort(own, axis=1)[:, 1:4]
        grown = 1 + (left[near] == block).sum(axis=1)[left != block] / 3
        density = (kept.sum(axis=1) * grown).sum() / (3 * (right != block).sum())
        assert found["density"].without[block] == pytest.approx(density)


def test_wrong_k_is_refused() -> None:
    with pytest.raises(SynthError, match=r"k: k must be positive \(got 0\)"):
        prdc(real=np.zeros((9, 2)), synthetic=np.zeros((9, 2)), k=0)
    with pytest.raises(SynthError, match=r"too few images \(got 5; expected at least 6\)"):
        prdc(real=np.zeros((5, 2)), synthetic=np.zeros((9, 2)), k=5)
