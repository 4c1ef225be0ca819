"""The same numbers as other packages, on random data: prdc, scikit-learn, torchmetrics, SciPy.

Where a package is known to be wrong, the test says so and compares with our preset of its defect.
"""

from __future__ import annotations

from collections.abc import Callable
from math import lcm

import numpy as np
import pytest
import torch
from numpy.random import RandomState
from numpy.typing import NDArray
from prdc import compute_prdc
from scipy.linalg import sqrtm
from scipy.optimize import linear_sum_assignment
from scipy.stats import wasserstein_distance
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
from sklearn.metrics.pairwise import polynomial_kernel, rbf_kernel
from sklearn.neighbors import KNeighborsRegressor, NearestNeighbors
from torchmetrics.functional.image import peak_signal_noise_ratio
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import poly_mmd

from metrics import c2st, copy_rate, kernel_distance, mmd_rbf, sliced_wasserstein
from metrics.arrays import blocks
from metrics.compat import compatible
from metrics.compat.torch_fidelity import eigenvalue_fid
from metrics.compat.torchmetrics_1_9 import raw_moment_fid
from metrics.delong import delong
from metrics.frechet import frechet_distance
from metrics.intervals import auroc, resampling_weights, weighted_aurocs
from metrics.memorization import nearest_distance
from metrics.neighbours import reach
from metrics.prdc import prdc
from metrics.reconstruction import psnr
from metrics.utility_scores import _calibration

Floats = NDArray[np.float64]


def _pair(seed: int, n: int, m: int, d: int) -> tuple[Floats, Floats]:
    stream = RandomState(seed)
    return stream.randn(n, d) + 2.0, 1.2 * stream.randn(m, d) + 2.1


# ------------------------------------------------------------------------------ neighbours


@pytest.mark.parametrize(
    ("n", "m", "d", "k"), [(80, 80, 3, 5), (120, 70, 20, 3), (60, 90, 150, 1), (200, 200, 600, 5)]
)
def test_prdc_is_the_packages(n: int, m: int, d: int, k: int) -> None:
    real, synthetic = _pair(n + d, n, m, d)
    theirs = compute_prdc(real, synthetic, nearest_k=k)
    ours = prdc(real=real, synthetic=synthetic, k=k)  # without ties open and closed balls agree
    assert ours == pytest.approx(theirs, abs=1e-12)
    if k == 5:
        assert compatible("prdc", real=real, synthetic=synthetic) == pytest.approx(
            theirs, abs=1e-12
        )


def test_prdc_counts_copies_as_outside_and_we_do_not() -> None:
    """A ball that ends at a copy's distance is open there: naeemchoi/generative-evaluation-prdc."""
    same = np.ones((30, 4))
    theirs = compute_prdc(same, same, nearest_k=5)
    assert set(theirs.values()) == {0.0}
    assert compatible("prdc", real=same, synthetic=same) == theirs
    ours = prdc(real=same, synthetic=same, k=5)
    assert (ours["precision"], ours["recall"], ours["coverage"]) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize("d", [2, 40, 300])
def test_radii_and_nearest_rows_are_scikit_learns(d: int, k: int) -> None:
    one, two = _pair(d, 150, 90, d)
    brute = NearestNeighbors(algorithm="brute").fit(one)
    assert np.sqrt(reach(one, k).squared) == pytest.approx(
        brute.kneighbors(n_neighbors=k)[0][:, -1], rel=1e-9
    )
    distance, index = brute.kneighbors(two, n_neighbors=1)
    found, which = nearest_distance(two, one)
    assert found == pytest.approx(distance[:, 0], rel=1e-9)
    assert which.tolist() == index[:, 0].tolist()


# ------------------------------------------------------------------------------ kernels


def test_kernel_distance_is_torchmetrics_on_all_rows() -> None:
    """Equal sides and one subset: there its mixture of U- and V-statistic is the U-statistic."""
    real, synthetic = _pair(1, 150, 150, 24)
    theirs = float(poly_mmd(torch.tensor(real), torch.tensor(synthetic)))
    assert kernel_distance(real=real, synthetic=synthetic).value == pytest.approx(theirs, rel=1e-9)


def test_kernel_distances_are_those_of_scikit_learns_kernels() -> None:
    real, synthetic = _pair(2, 90, 70, 12)

    def statistic(kernel: Callable[[Floats, Floats], Floats]) -> float:
        rr, ss, rs = kernel(real, real), kernel(synthetic, synthetic), kernel(real, synthetic)
        within = (rr.sum() - np.trace(rr)) / (90 * 89) + (ss.sum() - np.trace(ss)) / (70 * 69)
        return float(within - 2 * rs.mean())

    cubic = statistic(lambda x, y: polynomial_kernel(x, y, degree=3, gamma=1 / 12, coef0=1))
    assert kernel_distance(real=real, synthetic=synthetic).value == pytest.approx(cubic, rel=1e-9)
    gaussian = statistic(lambda x, y: rbf_kernel(x, y, gamma=1 / (2 * 3.0**2)))
    found = mmd_rbf(real=real, synthetic=synthetic, bandwidths=(3.0,), permutations=0)
    assert found.value == pytest.approx(gaussian, rel=1e-9)


# ------------------------------------------------------------------------------ Fréchet


class _Same(torch.nn.Module):
    num_features = 20

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features


def test_frechet_distance_is_that_of_three_formulas() -> None:
    real, synthetic = _pair(3, 300, 260, 20)
    ours = frechet_distance(real=real, synthetic=synthetic)
    s1, s2 = np.cov(real.T), np.cov(synthetic.T)
    shift = real.mean(axis=0) - synthetic.mean(axis=0)
    root = sqrtm(s1.dot(s2))  # pytorch-fid 0.3.0
    pytorch_fid = float(shift @ shift + np.trace(s1) + np.trace(s2) - 2 * np.trace(root).real)
    assert ours == pytest.approx(pytorch_fid, rel=1e-9)
    assert ours == pytest.approx(eigenvalue_fid(real, synthetic), rel=1e-9)  # torch-fidelity 0.4.0
    metric = FrechetInceptionDistance(feature=_Same()).set_dtype(torch.float64)
    metric.update(torch.tensor(real), real=True)
    metric.update(torch.tensor(synthetic), real=False)
    assert ours == pytest.approx(float(metric.compute()), rel=1e-6)


def test_raw_moments_lose_what_centred_ones_keep() -> None:
    """torchmetrics 1.9: Σ x xᵀ - n μ μᵀ cancels where the mean is large beside the spread."""
    real, synthetic = _pair(4, 300, 260, 20)
    plain = frechet_distance(real=real, synthetic=synthetic)
    far, also = real + 1e7, synthetic + 1e7
    assert frechet_distance(real=far, synthetic=also) == pytest.approx(plain, rel=1e-6)
    assert raw_moment_fid(real, synthetic) == pytest.approx(plain, rel=1e-9)
    assert abs(raw_moment_fid(far, also) - plain) > 0.001 * plain


# ------------------------------------------------------------------------------ areas


@pytest.mark.parametrize("decimals", [1, 12])
def test_areas_are_scikit_learns(decimals: int) -> None:
    stream = RandomState(5)
    truth = (stream.rand(150) < 0.3).astype(int)
    scores = np.round(truth + stream.randn(150), decimals)
    assert auroc(truth, scores) == pytest.approx(roc_auc_score(truth, scores), rel=1e-12)
    assert delong(truth, scores).auc[0] == pytest.approx(roc_auc_score(truth, scores), rel=1e-12)
    weights = resampling_weights(150, None, resamples=5, seed=0)
    theirs = [roc_auc_score(truth, scores, sample_weight=weight) for weight in weights]
    assert weighted_aurocs(truth, scores, weights) == pytest.approx(theirs, rel=1e-12)


def test_average_precision_and_brier_score_are_scikit_learns() -> None:
    stream = RandomState(6)
    truth = (stream.rand(200) < 0.2).astype(float)[:, None]
    runs = [stream.rand(200, 1).astype(np.float32) * 0.5 + 0.4 * truth.astype(np.float32)] * 2
    found = _calibration(runs, truth, 0)
    assert found["auprc"] == pytest.approx(average_precision_score(truth[:, 0], runs[0][:, 0]))
    assert found["brier"] == pytest.approx(brier_score_loss(truth[:, 0], runs[0][:, 0]), rel=1e-5)


# ------------------------------------------------------------------------------ classifiers


def _out_of_fold(
    real: Floats, made: Floats, fit: Callable[[Floats, Floats, Floats], Floats]
) -> float:
    rows = np.vstack([real, made])
    truth = np.repeat([0.0, 1.0], [len(real), len(made)])
    fold = np.concatenate(
        [
            blocks(len(real), None, number=5, seed=0, side="real"),
            blocks(len(made), None, number=5, seed=0, side="synthetic"),
        ]
    )
    areas = []
    for which in range(5):
        seen, new = fold != which, fold == which
        mean, spread = rows[seen].mean(axis=0), rows[seen].std(axis=0)
        scores = fit((rows[seen] - mean) / spread, truth[seen], (rows[new] - mean) / spread)
        areas.append(roc_auc_score(truth[new], np.round(scores, 12)))
    return float(np.mean(areas))


@pytest.mark.parametrize("d", [4, 60, 200])  # above and below the number of rows
def test_the_linear_classifier_is_ridge_and_near_logistic_regression(d: int) -> None:
    stream = RandomState(7)
    real, made = stream.randn(100, d), stream.randn(90, d)
    made[:, :3] += 0.8
    found = c2st(real=real, synthetic=made, permutations=10)
    ridge = _out_of_fold(
        real, made, lambda x, y, z: Ridge(alpha=0.01 * len(x)).fit(x, y).predict(z)
    )
    assert found.value == pytest.approx(ridge, abs=1e-9)
    if d < 100:  # where the classes can be separated a logistic regression depends on its penalty
        logistic = _out_of_fold(
            real, made, lambda x, y, z: LogisticRegression(C=1.0).fit(x, y).decision_function(z)
        )
        assert found.value == pytest.approx(logistic, abs=0.04)


def test_the_neighbour_classifier_is_scikit_learns() -> None:
    stream = RandomState(8)
    real, made = stream.randn(100, 5), stream.randn(80, 5) + 0.5
    found = c2st(real=real, synthetic=made, classifier="neighbour", permutations=10)
    rows, truth = np.vstack([real, made]), np.repeat([0.0, 1.0], [100, 80])
    fold = np.concatenate(
        [
            blocks(100, None, number=5, seed=0, side="real"),
            blocks(80, None, number=5, seed=0, side="synthetic"),
        ]
    )
    areas = []
    for which in range(5):
        seen, new = fold != which, fold == which
        model = KNeighborsRegressor(5, algorithm="brute").fit(rows[seen], truth[seen])
        areas.append(roc_auc_score(truth[new], np.round(model.predict(rows[new]), 12)))
    assert found.value == pytest.approx(np.mean(areas), rel=1e-12)


# ------------------------------------------------------------------------------ the others


@pytest.mark.parametrize(("n", "m"), [(40, 40), (12, 18), (7, 5)])
def test_sliced_wasserstein_in_one_dimension_is_an_assignment(n: int, m: int) -> None:
    stream = RandomState(9)
    real, made = stream.randn(n), 1.5 * stream.randn(m) + 1
    times = lcm(n, m)
    left, right = np.repeat(real, times // n), np.repeat(made, times // m)
    cost = (left[:, None] - right[None]) ** 2
    rows, columns = linear_sum_assignment(cost)
    found = sliced_wasserstein(real=real[:, None], synthetic=made[:, None], projections=3)
    assert found.value == pytest.approx(cost[rows, columns].mean(), rel=1e-9)


def test_sliced_wasserstein_of_a_shift_is_scipys_distance_squared() -> None:
    """A shift moves every quantile alike: there W₂ is W₁, which SciPy has."""
    real = RandomState(10).randn(60)
    found = sliced_wasserstein(real=real[:, None], synthetic=real[::-1, None] + 0.7)
    assert found.value == pytest.approx(wasserstein_distance(real, real + 0.7) ** 2, rel=1e-9)


def test_correlations_are_numpys() -> None:
    stream = RandomState(11)
    train, heldout, made = stream.randn(3, 40, 30)
    pairs = copy_rate(train=train, heldout=heldout, synthetic=made, pairs=40).details["pairs"]
    table = np.corrcoef(made, train)[:40, 40:]
    assert {pair.synthetic: pair.train for pair in pairs} == dict(enumerate(table.argmax(axis=1)))
    for pair in pairs:
        assert pair.correlation == pytest.approx(table[pair.synthetic].max(), rel=1e-12)


def test_psnr_is_torchmetrics() -> None:
    one, two = torch.randint(0, 256, (2, 3, 1, 16, 16), generator=torch.Generator().manual_seed(0))
    theirs = [
        float(peak_signal_noise_ratio(a.double(), b.double(), data_range=255.0))
        for a, b in zip(one, two, strict=True)
    ]
    assert psnr(one.to(torch.uint8), two.to(torch.uint8)) == pytest.approx(theirs, rel=1e-6)
