from __future__ import annotations

import numpy as np
import pytest
from numpy.random import RandomState
from numpy.typing import NDArray

from metrics.frechet import frechet_distance, frechet_estimate, frechet_from_moments
from synth.errors import SynthError

Floats = NDArray[np.float64]


def _pair(seed: int, rows: int, columns: int) -> tuple[Floats, Floats]:
    stream = RandomState(seed)
    return stream.randn(rows, columns), stream.randn(rows, columns)


def _exact(covariance: Floats, rows: int, stream: RandomState) -> Floats:
    """Rows whose sample covariance is exactly the one given, mean zero."""
    draw = stream.randn(rows, len(covariance))
    draw -= draw.mean(axis=0)
    whitened = draw @ np.linalg.inv(np.linalg.cholesky(draw.T @ draw / (rows - 1))).T
    return np.asarray(whitened @ np.linalg.cholesky(covariance).T)


def test_identity_covariances_give_the_squared_shift() -> None:
    eye = np.eye(2048)
    distance = frechet_from_moments(
        real_mean=np.zeros(2048),
        real_covariance=eye,
        synthetic_mean=np.ones(2048),
        synthetic_covariance=eye,
    )
    assert distance == pytest.approx(2048.0, rel=1e-12)


def test_diagonal_covariances_give_the_squared_difference_of_deviations() -> None:
    one, two = np.arange(1.0, 9.0), np.arange(2.0, 10.0)
    zero = np.zeros(8)
    by_moments = frechet_from_moments(
        real_mean=zero,
        real_covariance=np.diag(one**2),
        synthetic_mean=zero,
        synthetic_covariance=np.diag(two**2),
    )
    assert by_moments == pytest.approx(8.0, rel=1e-12)
    stream = RandomState(0)
    by_rows = frechet_distance(
        real=_exact(np.diag(one**2), 40, stream), synthetic=_exact(np.diag(two**2), 50, stream)
    )
    assert by_rows == pytest.approx(8.0, rel=1e-10)


def test_non_commuting_covariances_match_the_two_by_two_closed_form() -> None:
    a, b = np.array([[2, 0.5], [0.5, 1]]), np.array([[1, -0.3], [-0.3, 3]])
    shift = np.array([1.0, -2.0])
    # tr √M = √(tr M + 2 √det M) for M = AB
    root = np.sqrt(np.trace(a @ b) + 2 * np.sqrt(np.linalg.det(a @ b)))
    closed = shift @ shift + np.trace(a) + np.trace(b) - 2 * root
    assert closed == pytest.approx(5.929311854967774, rel=1e-12)
    by_moments = frechet_from_moments(
        real_mean=shift,
        real_covariance=a,
        synthetic_mean=[0, 0],
        synthetic_covariance=b,
    )
    stream = RandomState(1)
    by_rows = frechet_distance(real=_exact(a, 30, stream) + shift, synthetic=_exact(b, 20, stream))
    assert by_moments == pytest.approx(closed, rel=1e-12)
    assert by_rows == pytest.approx(closed, rel=1e-10)


@pytest.mark.parametrize(
    ("rows", "columns", "upstream", "exact"),
    [
        (4, 4, 3.440776799314933, 3.440776825816765),  # three dimensions of four
        (64, 16, 2.5895579182255375, 2.5895579182255446),
        (256, 64, 8.623356161617494, 8.62335616161755),
        (1024, 64, 2.2164077431911977, 2.2164077431912546),
        (4096, 256, 8.158484959374107, 8.158484959374164),
        (128, 256, 228.2222376594533, 228.22224543481053),  # singular covariances
    ],
)
def test_frozen_draws_give_the_golden_distance(
    rows: int, columns: int, upstream: float, exact: float
) -> None:
    one, two = _pair(2023, rows, columns)
    distance = frechet_distance(real=one, synthetic=two)
    assert distance == pytest.approx(exact, rel=1e-10)
    assert distance == pytest.approx(upstream, rel=1e-4)  # torch-fidelity 0.4.0


def test_a_scaled_and_shifted_gaussian_gives_the_golden_distance() -> None:
    one, two = _pair(0, 2000, 32)
    distance = frechet_distance(real=one, synthetic=1.2 * two + 0.3)
    assert distance == pytest.approx(4.869937777342656, rel=1e-10)


def test_rows_and_their_moments_give_one_distance() -> None:
    one, two = _pair(3, 60, 5)
    moments = frechet_from_moments(
        real_mean=one.mean(axis=0),
        real_covariance=np.cov(one.T),
        synthetic_mean=two.mean(axis=0),
        synthetic_covariance=np.cov(two.T),
    )
    assert moments == pytest.approx(frechet_distance(real=one, synthetic=two), rel=1e-10)


@pytest.mark.parametrize(("rows", "columns"), [(20, 64), (64, 20), (2, 3)])
def test_a_set_is_at_distance_zero_from_itself(rows: int, columns: int) -> None:
    one, _ = _pair(4, rows, columns)
    assert abs(frechet_distance(real=one, synthetic=one)) < 1e-10


def test_collinear_columns_and_constant_sets_are_no_special_case() -> None:
    one, two = _pair(5, 50, 4)
    doubled = frechet_distance(real=np.hstack([one, one]), synthetic=np.hstack([two, two]))
    assert doubled == pytest.approx(2 * frechet_distance(real=one, synthetic=two), rel=1e-9)
    assert frechet_distance(real=np.ones((5, 3)), synthetic=np.zeros((9, 3))) == pytest.approx(3.0)


@pytest.mark.parametrize("rows", [200, 12])  # above and below the dimension
def test_distance_ignores_place_orientation_and_order_and_squares_the_scale(rows: int) -> None:
    one, two = _pair(6, rows, 16)
    two = 1.3 * two + 0.2
    plain = frechet_distance(real=one, synthetic=two)
    rotation, _ = np.linalg.qr(RandomState(7).randn(16, 16))
    order = RandomState(8).permutation(rows)
    for changed in (
        frechet_distance(real=one + 5.0, synthetic=two + 5.0),
        frechet_distance(real=one @ rotation, synthetic=two @ rotation),
        frechet_distance(real=one[order], synthetic=two),
        frechet_distance(real=two, synthetic=one),
        frechet_distance(real=3.0 * one, synthetic=3.0 * two) / 9.0,
    ):
        assert changed == pytest.approx(plain, rel=1e-9)


def test_the_interval_covers_the_truth_in_most_draws() -> None:
    covered, off = 0, 0
    for seed in range(20):
        one, two = _pair(100 + seed, 400, 4)
        two = two + 0.5  # population distance 4 · 0.5² = 1
        found = frechet_estimate(real=one, synthetic=two, seed=seed)
        if found.ci is None:
            off += 1  # the control is a 5 % test and flags now and then
            continue
        assert found.ci[0] < found.value < found.ci[1]
        assert found.ci[1] - found.ci[0] < 1.5  # a covering interval must also say something
        covered += found.ci[0] <= 1.0 <= found.ci[1]
    assert off <= 4
    assert covered >= 0.85 * (20 - off)


def test_bias_reduction_brings_equal_distributions_to_zero() -> None:
    values, plain = [], []
    for seed in range(10):
        one, two = _pair(200 + seed, 160, 16)
        values.append(frechet_estimate(real=one, synthetic=two, seed=seed).value)
        plain.append(frechet_distance(real=one, synthetic=two))
    assert min(plain) > 0.5
    assert abs(np.mean(values)) < 0.2 * np.mean(plain)


def test_few_rows_withhold_the_interval_and_say_why() -> None:
    one, two = _pair(9, 90, 10)
    found = frechet_estimate(real=one, synthetic=two)
    assert found.ci is None
    assert found.se is None
    assert found.note == "interval withheld: 90 images are fewer than 10 × 10 features"
    assert frechet_estimate(real=_pair(9, 300, 10)[0], synthetic=two).ci is None  # either side


def test_heavy_tails_withhold_the_interval_where_gaussian_rows_keep_it() -> None:
    for seed in range(2):  # multivariate t with five degrees of freedom, ten rows a dimension
        stream = RandomState(seed)
        gaussian = stream.randn(2, 2560, 256)
        heavy = gaussian * np.sqrt(5 / stream.chisquare(5, size=(2, 2560, 1)))
        kept = frechet_estimate(real=gaussian[0], synthetic=gaussian[1], seed=seed)
        withheld = frechet_estimate(real=heavy[0], synthetic=heavy[1], seed=seed)
        assert kept.ci is not None
        assert kept.ci[0] < 0 < kept.ci[1]  # equal distributions
        assert withheld.ci is None
        assert "two real halves come out apart" in withheld.note
        assert "heavy-tailed" in withheld.note


def test_too_few_patients_withhold_the_interval() -> None:
    one, two = _pair(10, 120, 3)
    few = [f"p{index % 4}" for index in range(120)]
    found = frechet_estimate(real=one, synthetic=two, real_groups=few)
    assert found.ci is None
    assert "patients" in found.note
    six = [f"p{index % 6}" for index in range(120)]  # three a half: no control
    assert "control" in frechet_estimate(real=one, synthetic=two, real_groups=six).note


def test_images_of_one_patient_widen_the_interval() -> None:
    stream = RandomState(11)
    patients = np.repeat(stream.randn(60, 3), 10, axis=0) + 0.05 * stream.randn(600, 3)
    other = stream.randn(600, 3) + 1.0
    groups = [f"p{index // 10}" for index in range(600)]
    blind = frechet_estimate(real=patients, synthetic=other, seed=1)
    aware = frechet_estimate(real=patients, synthetic=other, real_groups=groups, seed=1)
    blind_reason = blind.note
    assert "come out apart" not in aware.note
    assert aware.se is not None
    assert blind_reason or (blind.se is not None and aware.se > 1.5 * blind.se)


def test_estimates_repeat_for_a_seed() -> None:
    one, two = _pair(12, 120, 4)
    first = frechet_estimate(real=one, synthetic=two, seed=3)
    assert first == frechet_estimate(real=one, synthetic=two, seed=3)
    assert first.se != frechet_estimate(real=one, synthetic=two, seed=4).se


def test_an_estimate_refuses_fewer_rows_than_twice_the_dimension() -> None:
    one, two = _pair(13, 19, 10)
    with pytest.raises(SynthError, match=r"got 19 images, 10 features; expected at least 20"):
        frechet_estimate(real=one, synthetic=two)


@pytest.mark.parametrize(
    ("mean", "covariance", "message"),
    [
        ([0.0], np.eye(2), r"real: moments have the wrong shape"),
        ([0.0, 0.0, 0.0], np.eye(3), r"different dimensions \(got 3 and 2\)"),
        ([0.0, np.nan], np.eye(2), r"real: moments hold NaN"),
        ([0.0, 0.0], np.diag([1.0, -1.0]), r"negative eigenvalue \(got -1 beside 1"),
        ([0.0, 0.0], [[1.0, 2.0], [0.0, 1.0]], r"not symmetric"),
    ],
)
def test_wrong_moments_are_refused(mean: Floats, covariance: Floats, message: str) -> None:
    with pytest.raises(SynthError, match=message):
        frechet_from_moments(
            real_mean=mean,
            real_covariance=covariance,
            synthetic_mean=[0.0, 0.0],
            synthetic_covariance=np.eye(2),
        )
