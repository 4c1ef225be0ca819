"""Values that other tools printed once, or that follow by hand: those that no other test holds."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.random import RandomState

from metrics import mmd_rbf, vendi_score
from metrics.compat.torch_fidelity import eigenvalue_fid
from metrics.delong import delong
from metrics.frechet import frechet_distance, frechet_from_moments
from metrics.moments import moments_of
from metrics.prdc import expected_coverage, prdc


@pytest.mark.parametrize(
    ("rows", "columns", "printed", "precision"),
    [
        (4, 4, 3.440776799314933, 1e-7),  # singular: half the digits, on any machine
        (64, 16, 2.5895579182255375, 1e-11),
        (256, 64, 8.623356161617494, 1e-11),
        (1024, 64, 2.2164077431911977, 1e-11),
        (128, 256, 228.2222376594533, 1e-6),
    ],
)
def test_torch_fidelity_on_frozen_draws(
    rows: int, columns: int, printed: float, precision: float
) -> None:
    stream = RandomState(2023)
    one, two = stream.randn(rows, columns), stream.randn(rows, columns)
    assert eigenvalue_fid(one, two) == pytest.approx(printed, rel=precision)


def test_the_two_terms_and_the_population_value_of_a_scaled_and_shifted_gaussian() -> None:
    stream = RandomState(0)
    one, two = stream.randn(2000, 32), 1.2 * stream.randn(2000, 32) + 0.3
    means = float(((one.mean(axis=0) - two.mean(axis=0)) ** 2).sum())
    assert means == pytest.approx(3.195828951, abs=1e-9)
    centred = frechet_distance(real=one - one.mean(axis=0), synthetic=two - two.mean(axis=0))
    assert centred == pytest.approx(1.674108826, abs=1e-9)
    assert frechet_distance(real=one, synthetic=two) == pytest.approx(means + centred, rel=1e-12)
    population = frechet_from_moments(
        real_mean=np.zeros(32),
        real_covariance=np.eye(32),
        synthetic_mean=np.full(32, 0.3),
        synthetic_covariance=1.44 * np.eye(32),
    )
    assert population == pytest.approx(4.16, rel=1e-12)


def test_shares_of_equal_distributions() -> None:
    stream = RandomState(1)
    real, synthetic = stream.randn(5000, 16), stream.randn(5000, 16)
    found = prdc(real=real, synthetic=synthetic)
    expected = {"precision": 0.8736, "recall": 0.8702, "density": 0.98904, "coverage": 0.9688}
    assert found == pytest.approx(expected, abs=1e-9)
    assert expected_coverage(5000, 5000, 5) == pytest.approx(0.96875, abs=2e-4)
    assert expected_coverage(2000, 500, 5) == pytest.approx(0.673, abs=5e-4)


def test_unbiased_cmmd_of_unit_rows() -> None:
    stream = RandomState(0)
    rows = [stream.randn(2000, 32), 1.2 * stream.randn(2000, 32) + 0.3]
    one, two = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in rows)
    found = mmd_rbf(real=one, synthetic=two, bandwidths=(10.0,), permutations=0)
    assert 1000 * (found.value or 0.0) == pytest.approx(0.6277280, abs=5e-8)


def test_kernel_distance_with_the_diagonal_is_another_number() -> None:
    one, two = np.eye(2), np.array([[1.0, 1.0], [2.0, 0.0]])
    means = [((a @ b.T / 2 + 1) ** 3).mean() for a, b in ((one, one), (two, two), (one, two))]
    assert means[0] + means[1] - 2 * means[2] == 7.0625  # V-statistic; ours is 1.125


def test_statistics_of_three_constant_images() -> None:
    """pytorch-fid's own test: levels 0, 127 and 255 of three channels."""
    exact = moments_of(np.repeat([[0.0], [0.5], [1.0]], 3, axis=1))
    assert exact.mean.tolist() == [0.5] * 3
    assert exact.covariance == pytest.approx(np.full((3, 3), 0.25), rel=1e-15)
    stored = moments_of(np.repeat([[0], [127], [255]], 3, axis=1) / 255)
    assert stored.mean == pytest.approx([0.5] * 3, abs=1e-3)
    assert stored.covariance == pytest.approx(np.full((3, 3), 0.25), abs=1e-3)


def test_vendi_of_equal_rows_and_of_ten_axes() -> None:
    equal = vendi_score(synthetic=np.ones((50, 4))).value
    assert equal == pytest.approx(1.000000000000037, rel=1e-12)
    assert vendi_score(synthetic=np.eye(10)).value == pytest.approx(9.999999999999998, rel=1e-12)


def test_the_frozen_labels_of_the_delong_case() -> None:
    stream = RandomState(42)
    labels = stream.rand(200) < 0.4
    first = labels + stream.randn(200)
    assert int(labels.sum()) == 90
    found = delong(labels.astype(int), np.round(first, 1)).auc[0]
    assert found == pytest.approx(0.7612121212121212, rel=1e-15)
