"""Intervals of rare findings and of classifiers that are almost always right hold, and are of use.

The scores are of two Gaussian classes, so that the AUROC is Φ(gap / √2). Of 100 test images 5, 10
or 20 are positive. A percentile bootstrap held 70 to 86 % of these truths at 95 %.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.random import RandomState
from numpy.typing import NDArray
from scipy import stats

from metrics.delong import auroc_delong, paired_delong
from metrics.finding_auroc import MEAN, macro_auroc, mean_over_findings
from metrics.intervals import resampling_weights, student_of_sum
from metrics.mover import correlations, difference_interval, mean_interval
from metrics.records import Estimate
from metrics.seed_luck import seed_picks
from metrics.utility_groups import gap_interval, underdiagnosis
from metrics.utility_scores import Bench, Judged, arm_scores, judged

COUNT, TRIALS, DRAWS = 100, 50, 60
LUCK = 0.2  # standard deviation of the gap between training seeds
Floats = NDArray[np.float64]


def gap_of(area: float) -> float:
    return float(np.sqrt(2.0) * stats.norm.ppf(area))


def truth_of(area: float, luck: float) -> float:
    """Mean over the luck of training, by quadrature."""
    quantiles = stats.norm.ppf((np.arange(2000) + 0.5) / 2000)
    return float(stats.norm.cdf((gap_of(area) + luck * quantiles) / np.sqrt(2.0)).mean())


def bench_of(labels: Floats, seeds: int, seed: int, patients: list[str] | None = None) -> Bench:
    weights = resampling_weights(len(labels), patients, resamples=DRAWS, seed=seed)
    names = tuple("abc"[: labels.shape[1]])
    return Bench(labels, names, patients, {}, weights, seed_picks(seeds, DRAWS, seed), None)


def rare(positives: int, findings: int = 2) -> Floats:
    return np.repeat((np.arange(COUNT) < positives).astype(float)[:, None], findings, axis=1)


def classifiers(
    stream: RandomState, labels: Floats, shared: Floats, area: float, seeds: int
) -> list[Floats]:
    """Runs that see the same images, each with noise and luck of its own."""
    luck = LUCK * (seeds > 1)
    own = np.sqrt(0.3)
    return [
        (gap_of(area) + luck * stream.randn(1, labels.shape[1])) * labels
        + np.sqrt(0.7) * shared
        + own * stream.randn(*labels.shape)
        for _ in range(seeds)
    ]


def scored(positives: int, areas: tuple[float, float], seeds: int, seed: int) -> dict[str, Any]:
    stream, labels = RandomState(seed), rare(positives)
    shared, bench = stream.randn(*labels.shape), bench_of(labels, seeds, seed)
    base, arm = (
        judged(classifiers(stream, labels, shared, area, seeds), [None] * seeds, bench)
        for area in areas
    )
    return arm_scores(arm, base, bench)


@pytest.mark.parametrize("seeds", [1, 2, 3])
@pytest.mark.parametrize("areas", [(0.92, 0.98), (0.98, 0.98)])
@pytest.mark.parametrize("positives", [5, 10, 20])
def test_what_is_shown_of_rare_findings_holds(
    positives: int, areas: tuple[float, float], seeds: int
) -> None:
    luck = LUCK * (seeds > 1)
    before, after = (truth_of(area, luck) for area in areas)
    truths = {"ci": after, "delta_ci": after - before}
    hits = {("mean", key): 0 for key in truths} | {("a", key): 0 for key in truths}
    for seed in range(TRIALS):
        found = scored(positives, areas, seeds, seed)
        for (what, key), count in hits.items():
            low, high = (found if what == "mean" else found["findings"]["a"])[key]
            assert low < high
            hits[what, key] = count + (low <= truths[key] <= high)
    assert min(hits.values()) >= 0.9 * TRIALS, hits


@pytest.mark.parametrize("positives", [5, 10, 20])
@pytest.mark.parametrize("area", [0.92, 0.983])
def test_the_mean_that_judges_labels_holds(positives: int, area: float) -> None:
    labels, hits = rare(positives, 3), 0
    for seed in range(100):
        scores = gap_of(area) * labels + RandomState(seed).randn(*labels.shape)
        found = macro_auroc(scores, labels, [0, 1, 2], groups=None, resamples=DRAWS, seed=seed)
        assert found is not None
        assert found.ci is not None
        hits += found.ci[0] <= area <= found.ci[1]
    assert hits >= 90


@pytest.mark.parametrize("area", [0.76, 0.92])
@pytest.mark.parametrize("positives", [2, 3, 5])
def test_the_normal_law_is_too_narrow_for_few_positives(positives: int, area: float) -> None:
    labels, hits, normal = rare(positives, 1)[:, 0], 0, 0
    logit = np.log(area / (1.0 - area))
    for seed in range(200):
        found = auroc_delong(labels, gap_of(area) * labels + RandomState(seed).randn(COUNT))
        assert found.ci is not None
        hits += found.ci[0] <= area <= found.ci[1]
        if found.value < 1.0 and found.se:
            centre = np.log(found.value / (1.0 - found.value))
            half = 1.96 * found.se / (found.value * (1.0 - found.value))
            normal += abs(centre - logit) <= half
        else:
            normal += 1
    assert hits >= 190
    assert normal < 185


def test_the_paired_test_of_few_positives_holds_its_level() -> None:
    labels, rejected, normal = rare(5, 1)[:, 0], 0, 0
    for seed in range(300):
        stream = RandomState(seed)
        shared = stream.randn(COUNT)
        one, two = (gap_of(0.76) * labels + shared + stream.randn(COUNT) for _ in range(2))
        found = paired_delong(labels, one, two)
        rejected += found.p_few < 0.05
        normal += found.p < 0.05
    assert rejected <= 15
    assert normal > 20


def test_more_positives_and_more_gain_are_seen() -> None:
    """The other side of covering: an interval as wide as 0..1 would hold everything."""
    few, many = scored(5, (0.76, 0.98), 3, 0), scored(40, (0.76, 0.98), 3, 0)
    width = [found["delta_ci"][1] - found["delta_ci"][0] for found in (few, many)]
    assert width[1] < 0.6 * width[0]
    assert many["delta_ci"][0] > 0.0
    assert many["findings"]["a"]["p_holm"] < 0.05


def test_perfect_classifiers_are_not_certain() -> None:
    labels = rare(5)
    bench = bench_of(labels, 1, 0)
    right = judged([labels], [None], bench)
    again = judged([labels + 1.0], [None], bench)
    found = arm_scores(again, right, bench)
    bound = 0.025 ** (1 / 5)
    one = found["findings"]["a"]
    assert one["ci"] == pytest.approx([bound, 1.0])
    assert found["ci"] == pytest.approx([1.0 - (1.0 - bound) / 2**0.5, 1.0])  # of two findings
    assert found["delta"] == one["delta"] == 0.0
    assert found["delta_ci"][0] < -0.3  # no draw differs, and yet it is not certain
    # Nothing is known of how their errors go together: the two bounds as if independent.
    assert found["findings"]["a"]["delta_ci"] == pytest.approx([bound - 1.0, 1.0 - bound])


def test_seeds_that_differ_widen_the_interval() -> None:
    labels = rare(20, 1)
    shared = RandomState(0).randn(*labels.shape)
    alike = [1.5 * labels + shared] * 3
    apart = [gap * labels + shared for gap in (0.3, 1.5, 2.7)]
    bench = bench_of(labels, 3, 0)
    width = []
    for runs in (alike, apart):
        low, high = arm_scores(*[judged(runs, [None] * 3, bench)] * 2, bench)["ci"]
        width.append(high - low)
    assert width[1] > 1.5 * width[0]
    single = auroc_delong(labels[:, 0], alike[0][:, 0]).ci
    assert single is not None
    assert width[0] == pytest.approx(single[1] - single[0], rel=0.4)


def test_a_resample_without_positives_says_nothing_of_the_mean() -> None:
    """It was read as an AUROC of 0: a mean of [0.000, 0.782] beside a finding's [0.545, 0.784]."""
    labels = np.zeros((30, 1))
    labels[:5] = 1.0
    patients = ["p0", "p0", "p0", "p1", "p1"] + [f"n{row}" for row in range(25)]
    scores = RandomState(1).randn(30, 1) + labels
    bench = bench_of(labels, 1, 0, patients)
    arm = judged([scores], [None], bench)
    assert 0 < np.isnan(arm.draws).sum() < DRAWS
    found = arm_scores(arm, arm, bench)
    assert found["ci"] == pytest.approx(found["findings"]["a"]["ci"])
    assert found["macro_auroc"] == found["findings"]["a"]["auroc"]


def test_an_interval_of_one_patient_is_withheld_and_says_why() -> None:
    labels = rare(6)
    patients = ["one"] * 6 + [f"n{row}" for row in range(COUNT - 6)]
    bench = bench_of(labels, 1, 0, patients)
    found = arm_scores(judged([labels], [None], bench), _flat(bench), bench)
    assert (found["macro_auroc"], found["delta"]) == (1.0, 0.5)
    assert found["ci"] is found["delta_ci"] is None
    assert "interval withheld: 2 of 2 findings" in found["note"]
    row = found["findings"]["a"]
    assert row["ci"] is row["delta_ci"] is row["p"] is None
    assert "two patients each (got 1 with positives" in row["note"]


def test_a_gain_over_a_classifier_without_interval_has_none() -> None:
    labels = rare(20)
    bench = bench_of(labels, 1, 0)
    good = judged([labels + RandomState(0).randn(*labels.shape)], [None], bench)
    found = arm_scores(good, _flat(bench), bench)
    assert found["ci"] is not None
    assert found["delta_ci"] is None
    assert found["note"].startswith("interval withheld: of the gain: ")


def _flat(bench: Bench) -> Judged:
    return judged([np.zeros_like(bench.truth)], [None], bench)


# ---------------------------------------------------------------------------------- what they use


def test_intervals_are_built_from_their_parts_by_hand() -> None:
    values, ends = np.array([0.8, 0.9]), np.array([[0.7, 0.85], [0.6, 0.95]])
    alone = mean_interval(values, ends, np.eye(2))
    assert alone == pytest.approx((0.85 - np.hypot(0.1, 0.3) / 2, 0.85 + np.hypot(0.05, 0.05) / 2))
    unknown = mean_interval(values, ends, np.full((2, 2), np.nan))
    assert unknown == pytest.approx(alone)  # as if independent
    apart = difference_interval(0.8, (0.7, 0.85), 0.9, (0.6, 0.95))
    assert apart == pytest.approx((-0.1 - np.hypot(0.1, 0.05), -0.1 + np.hypot(0.05, 0.3)))
    paired = difference_interval(0.8, (0.7, 0.9), 0.9, (0.8, 1.0), 1.0)
    assert paired == pytest.approx((-0.1, -0.1))


def test_correlations_leave_out_undefined_draws() -> None:
    stream = RandomState(0)
    one = stream.randn(200)
    other = one + stream.randn(200)
    expected = np.corrcoef(one[50:], other[50:])[0, 1]
    holed = np.r_[np.full(50, np.nan), one[50:]]
    found = correlations(np.array([holed, other, np.ones(200)]))
    assert found[0, 1] == found[1, 0] == pytest.approx(expected)
    assert np.isnan(found[2]).all()
    assert np.isnan(correlations(np.array([one[:19], other[:19]]))).all()


def test_a_sum_of_errors_is_no_surer_than_its_parts() -> None:
    assert student_of_sum((2.0,), (7,)) == pytest.approx(stats.t.ppf(0.975, 7))
    both = student_of_sum((4.0, 1.0), (7, 1))
    parts = [stats.t.ppf(0.975, 7) * 2.0, stats.t.ppf(0.975, 1) * 1.0]
    assert both * np.sqrt(5.0) == pytest.approx(np.hypot(*parts))
    for none in ((0.0, 0.0), (4.0, 0.0)):  # a part without variance adds nothing
        assert student_of_sum(none, (np.inf, 1)) == pytest.approx(stats.norm.ppf(0.975))
    assert student_of_sum((1.0, 1.0), (7, 1), 0.9) < student_of_sum((1.0, 1.0), (7, 1))


def test_the_mean_names_what_it_lacks() -> None:
    known = Estimate(0.8, 0.1, (0.6, 0.9), "")
    lost = Estimate(0.5, None, None, "", "interval withheld: all alike")
    found = mean_over_findings([known, lost], RandomState(0).randn(2, 30))
    assert (found.value, found.ci, found.estimator) == (0.65, None, MEAN)
    assert found.note == "interval withheld: 1 of 2 findings have none: all alike"


# ------------------------------------------------------------------------------ underdiagnosis gap


@pytest.mark.parametrize("seeds", [1, 2])
@pytest.mark.parametrize("groups", [2, 4])
@pytest.mark.parametrize("rate", [0.05, 0.3])
def test_the_widest_gap_of_the_wrongly_healthy_holds(rate: float, groups: int, seeds: int) -> None:
    """Of groups that are served alike: their true gap is 0, whichever two are named."""
    each, hits = 15, 0
    patients = [str(row // 2) for row in range(2 * each * groups)]  # two images a patient
    of = np.repeat(np.arange(groups), 2 * each)
    members = {"sex": {str(group): of == group for group in range(groups)}}
    truth = np.ones((len(of), 1))
    for seed in range(100):
        stream = RandomState(seed)
        person = np.repeat(stream.rand(len(of) // 2), 2)
        runs = [np.clip(person + 0.02 * stream.randn(len(of)), 0, 1)[:, None] for _ in range(seeds)]
        found = underdiagnosis(runs, [rate] * seeds, truth, members, patients)
        low, high = found["by"]["sex"]["gap_ci"]
        assert -1.0 <= low < high <= 1.0
        hits += low <= 0.0 <= high
    assert hits >= 90


def test_a_gap_between_groups_is_seen_and_seeds_widen_it() -> None:
    one, two = np.ones((2, 40)), np.zeros((2, 40))
    low, high = gap_interval(one, two, 40, 40, pairs=1)
    assert (low > 0.8, high) == (True, 1.0)
    assert gap_interval(one, two, 40, 40, pairs=6)[0] < low
    assert gap_interval(one, two, 10, 10, pairs=1)[0] < low
    one[1, :20] = 0.0
    assert gap_interval(one, two, 40, 40, pairs=1)[0] < 0.0
