"""DeLong against a brute-force double loop, known values, and its own promises by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from metrics.delong import auroc_delong, delong, paired_delong
from synth.errors import SynthError


def kernel(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """psi [m, n] of every positive against every negative."""
    gap = scores[labels == 1][:, None] - scores[labels == 0][None]
    return np.asarray((gap > 0) + 0.5 * (gap == 0))


def brute_variance(psi: np.ndarray) -> float:
    m, n = psi.shape
    return float(psi.mean(axis=1).var(ddof=1) / m + psi.mean(axis=0).var(ddof=1) / n)


def cases(seed: int = 42) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.RandomState(seed)
    y = (rng.rand(200) < 0.4).astype(int)
    one = y + rng.randn(200)
    two = 0.5 * y + 0.5 * one + rng.randn(200)
    return y, np.round(one, 1), np.round(two, 1)


def test_known_values_of_a_rounded_sample() -> None:
    y, one, two = cases()
    first, second, gap = auroc_delong(y, one), auroc_delong(y, two), paired_delong(y, one, two)
    assert first.value == pytest.approx(0.7612121212, abs=1e-9)
    assert second.value == pytest.approx(0.7329797980, abs=1e-9)
    assert first.se is not None
    assert first.se**2 == pytest.approx(0.0011512135, abs=1e-9)
    assert second.se is not None
    assert second.se**2 == pytest.approx(0.0013025093, abs=1e-9)
    assert (gap.z, gap.p) == pytest.approx((0.6834452208, 0.4943255536), abs=1e-9)
    assert gap.se**2 == pytest.approx(0.0011512135 + 0.0013025093 - 2 * 0.0003736516, abs=1e-9)


def test_it_is_the_double_loop() -> None:
    y, one, two = cases(7)
    psi, other = kernel(y, one), kernel(y, two)
    found = auroc_delong(y, one)
    assert found.value == pytest.approx(psi.mean(), abs=1e-12)
    assert found.se == pytest.approx(brute_variance(psi) ** 0.5, abs=1e-12)
    logit, units = np.log(psi.mean() / (1 - psi.mean())), min(psi.shape)
    half = stats.t.ppf(0.975, units - 1) * found.se / (psi.mean() * (1 - psi.mean()))
    ends = 1 / (1 + np.exp([-logit + half, -logit - half]))
    assert found.ci == pytest.approx(tuple(ends), abs=1e-12)
    assert delong(y, two, one).interval(1) == found.ci
    gap = paired_delong(y, one, two)
    assert gap.se == pytest.approx(brute_variance(psi - other) ** 0.5, abs=1e-12)


def test_patients_of_one_image_change_nothing() -> None:
    y, one, two = cases()
    names = [f"p{index}" for index in range(len(y))]
    assert auroc_delong(y, one, names).se == pytest.approx(auroc_delong(y, one).se, abs=1e-14)
    assert paired_delong(y, one, two, names).p == pytest.approx(paired_delong(y, one, two).p)


def test_obuchowski_by_its_own_sums() -> None:
    # Patients with positives and negatives among their images: the cross term counts.
    y, one, _ = cases(3)
    of = np.random.RandomState(1).randint(0, 60, len(y))
    psi, m, n = kernel(y, one), int(y.sum()), int((1 - y).sum())
    area, ten, low = psi.mean(), psi.mean(axis=1), psi.mean(axis=0)
    sums = {p: [0.0, 0.0] for p in of}
    for value, patient in zip(ten, of[y == 1], strict=True):
        sums[patient][0] += value - area
    for value, patient in zip(low, of[y == 0], strict=True):
        sums[patient][1] += value - area
    i, i10, i01 = len(sums), len(set(of[y == 1])), len(set(of[y == 0]))
    s10 = i10 / ((i10 - 1) * m) * sum(a * a for a, _ in sums.values())
    s01 = i01 / ((i01 - 1) * n) * sum(b * b for _, b in sums.values())
    s11 = i / (i - 1) * sum(a * b for a, b in sums.values())
    found = auroc_delong(y, one, [str(p) for p in of])
    assert found.se is not None
    assert found.se**2 == pytest.approx(s10 / m + s01 / n + 2 * s11 / (m * n), abs=1e-12)


def test_repeated_images_of_a_patient_add_no_certainty() -> None:
    y, one, two = cases()
    names = [f"p{index}" for index in range(len(y))] * 5
    labels, first, second = (np.tile(values, 5) for values in (y, one, two))
    alone, clustered = auroc_delong(y, one), auroc_delong(labels, first, names)
    naive = auroc_delong(labels, first)
    assert clustered.se == pytest.approx(alone.se, rel=1e-12)
    assert naive.se is not None
    assert alone.se is not None
    assert naive.se < 0.5 * alone.se
    assert paired_delong(labels, first, second, names).p == pytest.approx(
        paired_delong(y, one, two).p
    )


def test_identical_scores_do_not_differ_and_monotone_maps_do_not_matter() -> None:
    y, one, two = cases()
    same = paired_delong(y, one, one)
    assert (same.difference, same.se, same.z, same.p) == (0.0, 0.0, 0.0, 1.0)
    assert paired_delong(y, np.exp(one), two**3).p == paired_delong(y, one, two).p
    there, back = paired_delong(y, one, two), paired_delong(y, two, one)
    assert there.difference == -back.difference
    assert there.p == back.p


def test_perfect_separation_has_a_bound_by_patients() -> None:
    y, scores = np.array([1] * 6 + [0] * 30), np.r_[np.ones(6), np.zeros(30)]
    alone = auroc_delong(y, scores)
    assert alone.value == 1.0
    assert alone.ci == pytest.approx((0.025 ** (1 / 6), 1.0))
    three = auroc_delong(y, scores, [f"a{i // 2}" for i in range(6)] + [f"b{i}" for i in range(30)])
    assert three.ci == pytest.approx((0.025 ** (1 / 3), 1.0))
    worst = auroc_delong(y, -scores)
    assert worst.ci == pytest.approx((0.0, 1 - 0.025 ** (1 / 6)))
    flat = auroc_delong(y, np.zeros(36))
    assert flat.value == 0.5
    assert flat.ci is None
    assert flat.note


def test_the_interval_covers_by_simulation() -> None:
    # Two Gaussian classes, AUROC = Phi(shift / sqrt 2); 200 trials allow 95 % +- 3 %.
    rng, shift, truth = np.random.default_rng(0), 1.0, float(stats.norm.cdf(1 / 2**0.5))
    y = np.r_[np.ones(40), np.zeros(80)]
    hits = 0
    for _ in range(200):
        found = auroc_delong(y, rng.standard_normal(120) + shift * y)
        assert found.ci is not None
        hits += found.ci[0] <= truth <= found.ci[1]
    assert 0.915 <= hits / 200 <= 0.985


def test_clustered_intervals_cover_where_naive_ones_do_not() -> None:
    # Eight images a patient, all of one label, sharing most of their noise.
    rng, truth = np.random.default_rng(1), float(stats.norm.cdf(1 / 2**0.5))
    of = np.repeat(np.arange(40), 8)
    y, names = np.repeat(np.arange(40) < 16, 8).astype(int), [str(p) for p in of]
    hits, naive = 0, 0
    for _ in range(200):
        noise = 0.9**0.5 * rng.standard_normal(40)[of] + 0.1**0.5 * rng.standard_normal(320)
        one, two = auroc_delong(y, noise + y, names).ci, auroc_delong(y, noise + y).ci
        assert one is not None
        assert two is not None
        hits += one[0] <= truth <= one[1]
        naive += two[0] <= truth <= two[1]
    assert hits / 200 >= 0.91
    assert naive / 200 < 0.75


def test_the_paired_test_holds_its_level() -> None:
    rng, y = np.random.default_rng(2), np.r_[np.ones(40), np.zeros(60)]
    rejected = 0
    for _ in range(300):
        shared = y + 0.5 * rng.standard_normal(100)
        one, two = (shared + rng.standard_normal(100) for _ in range(2))
        rejected += paired_delong(y, one, two).p < 0.05
    assert 0.02 <= rejected / 300 <= 0.085


@pytest.mark.parametrize(
    ("labels", "scores", "names", "problem"),
    [
        ([1, 0, 2, 0], [1, 2, 3, 4], None, "0 and 1"),
        ([1, 1, 1, 0], [1, 2, 3, 4], None, "two patients"),
        ([1, 1, 0, 0], [1, 2, 3, 4], ["a", "a", "b", "c"], "two patients"),
        ([1, 1, 0, 0], [1, 2, 3], None, "one score a label"),
        ([1, 1, 0, 0], [1, 2, 3, np.nan], None, "NaN or infinite"),
        ([1, 1, 0, 0], [1, 2, 3, 4], ["a"], "one group a row"),
    ],
)
def test_wrong_inputs(
    labels: list[int], scores: list[float], names: list[str] | None, problem: str
) -> None:
    with pytest.raises(SynthError, match=problem):
        auroc_delong(labels, scores, names)
