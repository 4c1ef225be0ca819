"""Controls that must fail when a metric is broken, and metrics broken as other tools were.

Every control passes for our metric and fails for the defect named beside it. A control that a
defect passes would be worth nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.random import RandomState
from numpy.typing import NDArray
from PIL import Image
from scipy import stats

from metrics import authenticity, mifid
from metrics.compat.prdc_0_2 import open_ball_prdc
from metrics.compat.torch_fidelity import eigenvalue_fid
from metrics.compat.torchmetrics_1_9 import raw_moment_fid, reversed_mifid
from metrics.covariance import Spread
from metrics.delong import paired_delong
from metrics.finding_auroc import finding_table
from metrics.frechet import frechet_distance, frechet_estimate
from metrics.intervals import auroc
from metrics.kernel import kernel_distance
from metrics.memorization import nearest_distance
from metrics.mmd import mmd_rbf
from metrics.moments import frechet_of_moments, moments_of, streamed_moments
from metrics.prdc import expected_coverage, prdc
from metrics.vendi import vendi_of_rows
from synth.images import grey_to_u8, load_grey

Floats = NDArray[np.float64]
Metric = Callable[..., Any]


def _pair(seed: int, n: int = 120, d: int = 6) -> tuple[Floats, Floats]:
    stream = RandomState(seed)
    return stream.randn(n, d), 1.3 * stream.randn(n, d) + 0.2


# ------------------------------------------------------------------------------ Fréchet distance


def far_from_the_origin(distance: Metric) -> None:
    one, two = _pair(0)
    assert distance(one + 1e7, two + 1e7) == pytest.approx(distance(one, two), rel=1e-5)


def axes_do_not_matter(distance: Metric) -> None:
    one, two = _pair(1)
    two = two @ np.diag([1, 1, 1, 1, 3.0, 5.0])
    turned, _ = np.linalg.qr(RandomState(2).randn(6, 6))
    assert distance(one @ turned, two @ turned) == pytest.approx(distance(one, two), rel=1e-9)


def a_set_has_no_distance_from_itself(distance: Metric) -> None:
    few = RandomState(3).randn(20, 64)  # fewer rows than dimensions
    assert abs(distance(few, few)) < 1e-10


def shards_are_the_whole(distance_of_shards: Metric) -> None:
    one, two = _pair(4)
    whole = frechet_distance(real=one, synthetic=two)
    found = distance_of_shards(np.split(one, 4), np.split(two, 4))
    assert found == pytest.approx(whole, rel=1e-10)


def _frechet(one: Floats, two: Floats) -> float:
    return frechet_distance(real=one, synthetic=two)


def _only_variances(one: Floats, two: Floats) -> float:
    shift, gap = one.mean(axis=0) - two.mean(axis=0), one.std(axis=0) - two.std(axis=0)
    return float(shift @ shift + gap @ gap)


def _merged(one: list[Floats], two: list[Floats]) -> float:
    return frechet_of_moments(real=streamed_moments(one), synthetic=streamed_moments(two))


def _averaged(one: list[Floats], two: list[Floats]) -> float:
    return float(np.mean([_frechet(a, b) for a, b in zip(one, two, strict=True)]))


def _summed(one: list[Floats], two: list[Floats]) -> float:
    """Scatters added up as if they were about one mean, on shards that are not alike."""
    sides = []
    for parts in (one, two):
        of = [moments_of(part) for part in parts]
        n = sum(part.n for part in of)
        mean = sum((part.mean * part.n for part in of), start=np.zeros(6)) / n
        sides.append((mean, sum((part.scatter for part in of), start=np.zeros((6, 6))) / (n - 1)))
    (mean_1, s1), (mean_2, s2) = sides
    roots = np.sqrt(np.linalg.eigvals(s1 @ s2).astype(complex)).real.sum()
    return float(((mean_1 - mean_2) ** 2).sum() + np.trace(s1) + np.trace(s2) - 2 * roots)


# ------------------------------------------------------------------------------ inference


def an_interval_covers_the_truth(interval: Metric) -> None:
    covered = 0
    for seed in range(20):
        stream = RandomState(seed)
        one, two = stream.randn(200, 12), stream.randn(200, 12) + 0.2
        low, high = interval(one, two, seed)
        covered += low <= 12 * 0.2**2 <= high
    assert covered >= 17


def _jackknife(one: Floats, two: Floats, seed: int) -> tuple[float, float]:
    return frechet_estimate(real=one, synthetic=two, seed=seed).ci or (-np.inf, np.inf)


def _percentiles(one: Floats, two: Floats, seed: int) -> tuple[float, float]:
    """What a bootstrap gives of a biased statistic: an interval above its own estimate."""
    stream = RandomState(seed)
    draws = [
        _frechet(one[stream.randint(0, 200, 200)], two[stream.randint(0, 200, 200)])
        for _ in range(40)
    ]
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)


def equal_sets_average_to_zero(distance: Metric) -> None:
    stream = RandomState(5)
    values = np.array([distance(stream.randn(60, 8), stream.randn(60, 8)) for _ in range(50)])
    assert abs(values.mean()) < 3 * values.std(ddof=1) / np.sqrt(50)


def a_common_shift_is_seen(distance: Metric) -> None:
    one, two = _pair(6)
    assert abs(distance(one + 5, two + 5) / distance(one, two) - 1) > 1


def _kernel(one: Floats, two: Floats) -> float:
    return kernel_distance(real=one, synthetic=two)


def _v_statistic(one: Floats, two: Floats) -> float:
    means = [((a @ b.T / a.shape[1] + 1) ** 3).mean() for a, b in ((one, one), (two, two))]
    return float(sum(means) - 2 * ((one @ two.T / one.shape[1] + 1) ** 3).mean())


def _standardised(one: Floats, two: Floats) -> float:
    centre = one.mean(axis=0)
    return kernel_distance(real=one - centre, synthetic=two - centre)


def _gaussian_kernel(one: Floats, two: Floats) -> float:
    return mmd_rbf(real=one, synthetic=two, permutations=0).value or 0.0


def _biased_gaussian(one: Floats, two: Floats) -> float:
    """CMMD's code, called unbiased: the diagonals are in it."""
    gaps = [
        ((a[:, None] - b[None]) ** 2).sum(axis=2) for a, b in ((one, one), (two, two), (one, two))
    ]
    rr, ss, rs = (np.exp(gap / -8).mean() for gap in gaps)
    return float(rr + ss - 2 * rs)


def the_test_holds_its_level(p_value: Metric) -> None:
    stream, rejected = RandomState(7), 0
    labels = np.arange(60) % 2
    for _ in range(200):
        shared = labels + stream.randn(60)
        one, two = (shared + 0.5 * stream.randn(60) for _ in range(2))
        rejected += p_value(labels, one, two) < 0.05
    assert 3 <= rejected <= 20


def _paired(labels: NDArray[np.int_], one: Floats, two: Floats) -> float:
    return paired_delong(labels, one, two).p


def _unpaired(labels: NDArray[np.int_], one: Floats, two: Floats) -> float:
    """As if the two scores were of different patients: never significant."""
    variances = []
    for scores in (one, two):
        wins = scores[labels == 1][:, None] > scores[labels == 0][None]
        variances.append(wins.mean(axis=1).var(ddof=1) / 30 + wins.mean(axis=0).var(ddof=1) / 30)
    gap = auroc(labels, one) - auroc(labels, two)
    return float(2 * stats.norm.sf(abs(gap) / np.sqrt(sum(variances))))


def ties_count_half(area: Metric) -> None:
    labels, scores = np.array([0, 1, 0, 1, 0, 1]), np.array([1.0, 1, 1, 1, 1, 1])
    assert area(labels, scores) == 0.5
    assert area(labels[::-1], scores) == 0.5


def _ordered(labels: NDArray[np.int_], scores: Floats) -> float:
    """Ranks by a stable sort: ties go by their place in the file."""
    rank = np.empty(len(scores))
    rank[np.argsort(scores, kind="stable")] = np.arange(1, len(scores) + 1)
    m = int(labels.sum())
    return float((rank[labels == 1].sum() - m * (m + 1) / 2) / (m * (len(labels) - m)))


# ------------------------------------------------------------------------------ neighbours


def equal_points_lie_inside(shares: Metric) -> None:
    same = np.full((20, 3), 0.1)
    found = shares(same, same)
    assert (found["precision"], found["recall"], found["coverage"]) == (1.0, 1.0, 1.0)


def noise_costs_precision_and_dropped_modes_recall(shares: Metric) -> None:
    stream = RandomState(8)
    real = np.repeat([[-20.0, 0.0], [20.0, 0.0]], 100, axis=0) + stream.randn(200, 2)
    noisy, dropped = real + 3 * stream.randn(200, 2), real[:100]
    clean = shares(real, real + 0.1 * stream.randn(200, 2))
    assert shares(real, noisy)["precision"] < clean["precision"] - 0.2
    assert shares(real, noisy)["recall"] > clean["recall"] - 0.1
    assert shares(real, dropped)["recall"] < clean["recall"] - 0.2
    assert shares(real, dropped)["precision"] > clean["precision"] - 0.1


def equal_sets_have_the_expected_coverage(shares: Metric) -> None:
    found = [
        shares(stream.randn(150, 3), stream.randn(150, 3))["coverage"]
        for stream in map(RandomState, range(20))
    ]
    error = np.std(found, ddof=1) / np.sqrt(20)
    assert abs(np.mean(found) - expected_coverage(150, 150, 5)) < 3 * error


def _prdc(real: Floats, synthetic: Floats) -> dict[str, float]:
    found: Any = prdc(real=real, synthetic=synthetic, k=5)
    return dict(found)


def _swapped(real: Floats, synthetic: Floats) -> dict[str, float]:
    """torch-fidelity before its pull request 70."""
    found = _prdc(real, synthetic)
    return found | {"precision": found["recall"], "recall": found["precision"]}


def _open(real: Floats, synthetic: Floats) -> dict[str, float]:
    return open_ball_prdc(real, synthetic, k=5)


def _itself_a_neighbour(real: Floats, synthetic: Floats) -> dict[str, float]:
    """Each point counted as its own first neighbour: balls of k - 1."""
    found: Any = prdc(real=real, synthetic=synthetic, k=4)
    return dict(found)


# ------------------------------------------------------------------------------ memorization


def copies_are_not_authentic(share: Metric) -> None:
    train = RandomState(9).randn(200, 5)
    assert share(train, train[100:150]) == 0.0


def _authentic(train: Floats, made: Floats) -> float:
    return authenticity(train=train, synthetic=made).value or 0.0


def _synthcity(train: Floats, made: Floats) -> float:
    """Distances within the real set, looked up by the index of a synthetic image."""
    own = ((train[:, None] - train[None]) ** 2).sum(axis=2)
    np.fill_diagonal(own, np.inf)
    across = ((train[:, None] - made[None]) ** 2).sum(axis=2)
    nearest_made = across.argmin(axis=1)
    return float(1.0 - (own.min(axis=1)[nearest_made] > across.min(axis=1)).mean())


def an_honest_generator_scores_zero(value: Metric) -> None:
    for dim in (2, 64):
        train, heldout, made = RandomState(10).randn(3, 300, dim)
        assert abs(value(train, heldout, made)) < 0.12


def _calibrated(train: Floats, heldout: Floats, made: Floats) -> float:
    return authenticity(train=train, synthetic=made, heldout=heldout).value or 0.0


def _minus_fifty(train: Floats, heldout: Floats, made: Floats) -> float:
    """fld's AuthPct subtracts 50 % whatever the dimension."""
    return _authentic(train, made) - 0.5


def a_copier_is_penalised(value: Metric) -> None:
    train, fresh = RandomState(11).randn(2, 400, 8) + 1.0
    assert value(train, train[:100]) > 10 * value(train, fresh)


def _mifid(train: Floats, made: Floats) -> float:
    return mifid(train=train, synthetic=made).value or 0.0


def noise_is_nearer_than_another_image(distance: Metric) -> None:
    images = RandomState(12).randint(0, 256, size=(2, 32, 32)).astype(np.uint8)
    noisy = np.clip(images[0].astype(int) + RandomState(13).randint(-3, 4, (32, 32)), 0, 255)
    near, far = distance(images[0], noisy.astype(np.uint8)), distance(images[0], images[1])
    assert near < 0.1 * far


def _pixels(one: NDArray[np.uint8], two: NDArray[np.uint8]) -> float:
    found, _ = nearest_distance(
        one.reshape(1, -1).astype(np.float64), two.reshape(1, -1).astype(np.float64)
    )
    return float(found[0])


def _wrapped(one: NDArray[np.uint8], two: NDArray[np.uint8]) -> float:
    """CheXGenBench: uint8 minus uint8 wraps at 0."""
    return float(np.linalg.norm(one - two))


# ------------------------------------------------------------------------------ the others


def scale_and_repetition_are_no_diversity(score: Metric) -> None:
    stream = RandomState(14)
    rows = stream.randn(40, 6)
    scaled = rows * stream.uniform(0.1, 9, size=(40, 1))
    assert score(scaled) == pytest.approx(score(rows), rel=1e-9)
    assert score(np.vstack([rows, rows])) == pytest.approx(score(rows), rel=1e-9)


def _unscaled_vendi(rows: Floats) -> float:
    values = np.linalg.eigvalsh(rows @ rows.T)
    shares = values[values > 1e-12] / values.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def _distinct(rows: Floats) -> float:
    return float(len(rows))


def uncertain_labels_are_left_out(area: Metric) -> None:
    labels = np.array([1.0, 1, 0, 0, np.nan, np.nan])
    assert area(labels, np.array([0.9, 0.8, 0.1, 0.2, 0.99, 0.95])) == 1.0


def _masked(labels: Floats, scores: Floats) -> float:
    row = finding_table(scores[:, None], labels[:, None], ("spot",))["spot"]
    return float(row["auroc"])


def _as_absent(labels: Floats, scores: Floats) -> float:
    """CheXGenBench: -1 and NaN become 0."""
    return auroc(np.nan_to_num(labels, nan=0.0), scores)


def sixteen_bits_keep_their_levels(read: Metric, folder: Path) -> None:
    ramp = np.linspace(0, 65535, 128 * 128).astype(np.uint16).reshape(128, 128)
    Image.fromarray(ramp).save(folder / "ramp.png")
    assert len(np.unique(read(folder / "ramp.png"))) >= 4096


def _clipped(path: Path) -> NDArray[np.uint8]:
    """pytorch-fid, torch-fidelity, clean-fid and others: everything above 255 is white."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def levels_are_rounded(convert: Metric) -> None:
    grey = RandomState(15).rand(10_000)
    assert abs(float((convert(grey) - 255.0 * grey).mean())) < 0.02


def _truncated(grey: Floats) -> NDArray[np.uint8]:
    """torchmetrics with ``normalize=True``: half a grey level darker."""
    return (grey * 255).astype(np.uint8)


_CASES: list[tuple[Metric, Metric, Metric]] = [
    (far_from_the_origin, _frechet, raw_moment_fid),
    (axes_do_not_matter, _frechet, _only_variances),
    (a_set_has_no_distance_from_itself, _frechet, eigenvalue_fid),
    (shards_are_the_whole, _merged, _averaged),
    (shards_are_the_whole, _merged, _summed),
    (an_interval_covers_the_truth, _jackknife, _percentiles),
    (equal_sets_average_to_zero, _kernel, _v_statistic),
    (equal_sets_average_to_zero, _gaussian_kernel, _biased_gaussian),
    (a_common_shift_is_seen, _kernel, _standardised),
    (the_test_holds_its_level, _paired, _unpaired),
    (ties_count_half, auroc, _ordered),
    (equal_points_lie_inside, _prdc, _open),
    (noise_costs_precision_and_dropped_modes_recall, _prdc, _swapped),
    (equal_sets_have_the_expected_coverage, _prdc, _itself_a_neighbour),
    (copies_are_not_authentic, _authentic, _synthcity),
    (an_honest_generator_scores_zero, _calibrated, _minus_fifty),
    (a_copier_is_penalised, _mifid, reversed_mifid),
    (noise_is_nearer_than_another_image, _pixels, _wrapped),
    (scale_and_repetition_are_no_diversity, vendi_of_rows, _unscaled_vendi),
    (scale_and_repetition_are_no_diversity, vendi_of_rows, _distinct),
    (uncertain_labels_are_left_out, _masked, _as_absent),
    (levels_are_rounded, grey_to_u8, _truncated),
]


@pytest.mark.parametrize(
    ("control", "sound", "broken"),
    _CASES,
    ids=[f"{control.__name__}-{broken.__name__.strip('_')}" for control, _, broken in _CASES],
)
def test_control_passes_and_fails_for_the_defect(
    control: Metric, sound: Metric, broken: Metric
) -> None:
    control(sound)
    with pytest.raises(AssertionError):
        control(broken)


def test_sixteen_bits_are_kept_and_clipping_is_seen(tmp_path: Path) -> None:
    sixteen_bits_keep_their_levels(load_grey, tmp_path)
    with pytest.raises(AssertionError):
        sixteen_bits_keep_their_levels(_clipped, tmp_path)


# ------------------------------------------------------------------ our own code, broken inside


def test_controls_see_a_radius_of_the_wrong_neighbour(monkeypatch: pytest.MonkeyPatch) -> None:
    import metrics.balls

    plain = metrics.balls.reach
    monkeypatch.setattr(metrics.balls, "reach", lambda rows, k: plain(rows, k + 1))
    with pytest.raises(AssertionError):
        equal_sets_have_the_expected_coverage(_prdc)


def test_controls_see_a_kept_diagonal(monkeypatch: pytest.MonkeyPatch) -> None:
    import metrics.kernel

    monkeypatch.setattr(metrics.kernel.np, "fill_diagonal", lambda *_: None)
    with pytest.raises(AssertionError):
        equal_sets_average_to_zero(_kernel)


def test_controls_see_a_scatter_that_forgets_the_shift(monkeypatch: pytest.MonkeyPatch) -> None:
    import metrics.moments

    shards_are_the_whole(_merged)
    plain = metrics.moments.accumulated

    def forgetful(parts: Iterable[Floats]) -> Spread:
        of = [plain([part]) for part in parts]
        n = sum(part.n for part in of)
        mean = sum((part.mean * part.n for part in of), start=np.zeros(6)) / n
        return Spread(n, mean, sum((part.scatter for part in of), start=np.zeros((6, 6))))

    monkeypatch.setattr(metrics.moments, "accumulated", forgetful)
    with pytest.raises(AssertionError):
        shards_are_the_whole(_merged)
