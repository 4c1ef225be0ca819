"""Every interval that is shown holds in nine of ten draws at least, of Gaussian and of t5 rows.

The truth is a closed form, or the mean over many more draws of the same sizes. Distances and MMD
for equal sets are in ``test_coverage``; AUROCs in ``test_delong``, ``test_intervals``,
``test_label_fidelity`` and, of rare findings, ``test_rare``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.random import RandomState
from numpy.typing import NDArray
from scipy import stats

import metrics
from metrics.finding_auroc import macro_auroc
from metrics.groups import GroupScores
from metrics.intervals import resampling_weights
from metrics.kernel import kernel_estimate
from metrics.label_fidelity import detected, detection_thresholds, threshold_bounds
from metrics.memorization import memorization
from metrics.nearest_share import nearest_share
from metrics.prdc import prdc_estimates
from metrics.reconstruction import mean_over_patients
from metrics.records import Record, recorded
from metrics.seed_luck import seed_picks
from metrics.subgroups import widest_gap
from metrics.utility_scores import Bench, arm_scores, judged

Floats = NDArray[np.float64]
Interval = tuple[float, float] | None

TRIALS, DRAWS = 50, 200
LAWS = pytest.mark.parametrize("heavy", [False, True], ids=["gaussian", "t5"])


def rows(stream: RandomState, heavy: bool, n: int, d: int, shift: float = 0.0) -> Floats:
    """Standard rows, or multivariate t with five degrees of freedom."""
    found = stream.randn(n, d)
    if heavy:
        found *= np.sqrt(5 / stream.chisquare(5, size=(n, 1)))
    return np.asarray(found + shift)


def holds(intervals: list[Interval], truth: float, *, shown: int = TRIALS) -> None:
    """The truth lies inside nine of ten of those that are shown, and so many are shown."""
    kept = [interval for interval in intervals if interval is not None]
    covered = sum(low <= truth <= high for low, high in kept)
    assert len(kept) >= shown, len(kept)
    assert covered >= 0.9 * len(kept), (covered, len(kept), truth)


def simulated(measure: Callable[[int], dict[str, Any]], *, draws: int = DRAWS) -> None:
    """Every estimate of ``measure`` by name; the truth is the mean of all draws."""
    found = [measure(seed) for seed in range(draws)]
    for name in found[0]:
        truth = float(np.mean([one[name].value for one in found]))
        holds([one[name].ci for one in found], truth, shown=draws)


@LAWS
@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (0.3, 1.3), (0.5, 0.7)])
def test_precision_recall_density_and_coverage(heavy: bool, shift: float, scale: float) -> None:
    def measure(seed: int) -> dict[str, Any]:
        stream = RandomState(seed)
        real, made = rows(stream, heavy, 80, 6), scale * rows(stream, heavy, 80, 6) + shift
        return prdc_estimates(real=real, synthetic=made, seed=seed)

    simulated(measure)


@LAWS
def test_shares_of_patients_with_several_images(heavy: bool) -> None:
    """Three images of each real patient, close to each other."""

    def measure(seed: int) -> dict[str, Any]:
        stream = RandomState(seed)
        person = np.repeat(rows(stream, heavy, 30, 4), 3, axis=0)
        real = np.sqrt(0.7) * person + np.sqrt(0.3) * stream.randn(90, 4)
        names = [str(row // 3) for row in range(90)]
        made = rows(stream, heavy, 90, 4)
        return prdc_estimates(real=real, synthetic=made, real_groups=names, seed=seed)

    simulated(measure)


@LAWS
@pytest.mark.parametrize(("shift", "scale"), [(0.4, 1.0), (0.5, 0.7)])
def test_kernel_distances_of_different_sets(heavy: bool, shift: float, scale: float) -> None:
    def measure(seed: int) -> dict[str, Any]:
        stream = RandomState(seed)
        real, made = rows(stream, heavy, 60, 4), scale * rows(stream, heavy, 60, 4) + shift
        found = metrics.mmd_rbf(real=real, synthetic=made, bandwidths=(3.0,), permutations=0)
        usual = metrics.mmd_rbf(real=real, synthetic=made, permutations=0)
        kernel = kernel_estimate(real=real, synthetic=made, seed=seed)
        return {"kd": kernel, "mmd": found, "mmd, widths of the real images": usual}

    simulated(measure)


@LAWS
@pytest.mark.parametrize("copied", [0.0, 0.2])
def test_memorization(heavy: bool, copied: float) -> None:
    def measure(seed: int) -> dict[str, Any]:
        stream = RandomState(seed)
        train, heldout, made = (rows(stream, heavy, 80, 6) for _ in range(3))
        count = round(copied * 80)
        made[:count] = train[:count] + 0.05 * stream.randn(count, 6)
        sets = {"train": train, "heldout": heldout, "synthetic": made}
        return {
            "authenticity": metrics.authenticity(**sets),
            "nn-auc": metrics.nearest_neighbour_auc(**sets, permutations=0, seed=seed),
            "copy-rate": metrics.copy_rate(**sets, pairs=1),
            "auc": memorization(train=train, held_out=heldout, synthetic=made).auc,
        }

    simulated(measure, draws=100)


@LAWS
@pytest.mark.parametrize("copied", [0.0, 0.2])
def test_share_closer(heavy: bool, copied: float) -> None:
    """Of a law's own rows a known share lies below its quantile, whatever the law; of copies all.

    ``test_share_closer`` has more sizes, repeated patients and those for whom it is withheld.
    """
    intervals: list[Interval] = []
    for seed in range(TRIALS):
        stream = RandomState(seed)
        train, heldout, made = (rows(stream, heavy, n, 6) for n in (80, 600, 80))
        count = round(copied * 80)
        made[:count] = train[:count] + 0.01 * stream.randn(count, 6)
        found = memorization(train=train, held_out=heldout, synthetic=made)
        intervals.append(found.share_closer.ci)
    holds(intervals, copied + (1.0 - copied) * 6 / 601)


@LAWS
@pytest.mark.parametrize(("n", "m"), [(60, 60), (120, 30)])
def test_nearest_share(heavy: bool, n: int, m: int) -> None:
    member = np.arange(n) % 3 == 0

    def measure(seed: int) -> dict[str, Any]:
        stream = RandomState(seed)
        real = rows(stream, heavy, n, 4) + 2.0 * member[:, None] * np.eye(4)[0]
        made = rows(stream, heavy, m, 4) + 2.0 * np.eye(4)[0]
        return {"": nearest_share(real=real, synthetic=made, member=member, seed=seed)}

    simulated(measure)


@LAWS
@pytest.mark.parametrize(("images", "patients"), [(60, 60), (150, 50)])
def test_detected(heavy: bool, images: int, patients: int) -> None:
    """The threshold is estimated on as many real images; several of one patient are alike."""
    law = stats.t(5) if heavy else stats.norm
    gap, each = 1.5, images // patients

    def scores(stream: RandomState, count: int, alike: int) -> Floats:
        person = np.repeat(stream.randn(count // alike), alike)
        mixed = np.sqrt(0.8) * person + np.sqrt(0.2) * stream.randn(count)
        drawn = law.ppf(stats.norm.cdf(mixed if alike > 1 else person))
        return np.asarray(drawn, dtype=np.float64)

    intervals: dict[str, list[Interval]] = {"synthetic": [], "real": []}
    names = [str(row // each) for row in range(2 * images)]
    truth = np.r_[np.zeros(images), np.ones(images)]
    for seed in range(4 * TRIALS):
        stream = RandomState(seed)
        real = np.r_[scores(stream, images, each), scores(stream, images, each) + gap]
        made = scores(stream, 60, 1) + gap
        level = detection_thresholds(real[:, None], truth[:, None])
        levels = np.r_[level, threshold_bounds(real[:, None], truth[:, None], names)[0]]
        found = detected(made, np.ones(60), levels), detected(real, truth, levels, names)
        for name, one in zip(intervals, found, strict=True):
            intervals[name].append(tuple(one["detected_ci"]))
    for kept in intervals.values():
        holds(kept, float(law.sf(law.ppf(0.95) - gap)), shown=4 * TRIALS)


def test_a_threshold_of_few_patients_has_no_interval() -> None:
    real, truth = RandomState(0).randn(98, 1), np.r_[np.zeros(49), np.ones(49)]
    levels = np.r_[
        detection_thresholds(real, truth[:, None]), threshold_bounds(real, truth[:, None])[0]
    ]
    found = detected(real[:, 0], truth, levels)
    assert found["detected"] is not None
    assert found["detected_ci"] is None


@LAWS
@pytest.mark.parametrize(("images", "patients"), [(60, 60), (60, 20)])
def test_mean_area_over_findings(heavy: bool, images: int, patients: int) -> None:
    gaps, each = np.array([0.5, 1.0, 1.5]), images // patients
    labels = np.repeat((np.arange(patients) % 2)[:, None], 3, axis=1).repeat(each, axis=0)
    names = [str(row // each) for row in range(images)]
    if heavy:  # of two independent t5 draws
        draws = RandomState(1).standard_t(5, size=(2, 200_000))
        truth = float(np.mean([(draws[0] + gap > draws[1]).mean() for gap in gaps]))
    else:
        truth = float(stats.norm.cdf(gaps / np.sqrt(2)).mean())
    intervals: list[Interval] = []
    for seed in range(4 * TRIALS):
        stream = RandomState(seed)
        draw = stream.standard_t if heavy else lambda _, size: stream.normal(size=size)  # noqa: B023
        noise = np.repeat(draw(5, size=(patients, 3)), each, axis=0)
        found = macro_auroc(
            labels * gaps + noise,
            labels.astype(float),
            [0, 1, 2],
            groups=names,
            resamples=200,
            seed=seed,
        )
        assert found is not None
        intervals.append(found.ci)
    holds(intervals, truth, shown=4 * TRIALS)


@LAWS
@pytest.mark.parametrize(("patients", "each"), [(60, 1), (10, 6), (6, 1)])
def test_reconstruction(heavy: bool, patients: int, each: int) -> None:
    intervals: list[Interval] = []
    for seed in range(4 * TRIALS):
        stream = RandomState(seed)
        person = np.repeat(rows(stream, heavy, patients, 1)[:, 0], each)
        values = 30 + 2 * person + 0.5 * stream.randn(patients * each)
        names = [str(row // each) for row in range(patients * each)]
        intervals.append(mean_over_patients(values, names).ci)
    holds(intervals, 30.0, shown=4 * TRIALS)


def test_ms_ssim_of_pairs() -> None:
    ramp = np.linspace(-1, 1, 24)[None, None]

    def measure(seed: int) -> dict[str, Any]:
        stream = RandomState(seed)
        images = 0.5 + 0.2 * stream.randn(24, 1, 1) * ramp + 0.15 * stream.randn(24, 24, 24)
        return {"": metrics.ms_ssim_diversity(synthetic=images.clip(0, 1), pairs=60, seed=seed)}

    simulated(measure, draws=100)


@LAWS
@pytest.mark.parametrize(("groups", "step"), [(3, 0.0), (3, 0.4)])
def test_the_widest_gap(heavy: bool, groups: int, step: float) -> None:
    """The interval is of the true difference of the two groups that were picked."""

    def scores(seed: int) -> dict[str, GroupScores]:
        stream, found = RandomState(seed), {}
        for group in range(groups):
            real, made = rows(stream, heavy, 30, 3), rows(stream, heavy, 30, 3, step * group)
            record = recorded(
                kernel_estimate(real=real, synthetic=made, seed=seed),
                n_real=30,
                n_synthetic=30,
                higher_is_better=False,
            )
            found[str(group)] = GroupScores({"kd": record}, None, 30, 30, 30, {})
        return found

    drawn = [scores(seed) for seed in range(2 * TRIALS)]
    truth = {name: np.mean([one[name].records["kd"].value for one in drawn]) for name in drawn[0]}
    covered = 0
    for one in drawn:
        gap = widest_gap(one)
        assert gap is not None
        assert gap.ci is not None
        covered += gap.ci[0] <= truth[gap.worst] - truth[gap.best] <= gap.ci[1]
    assert covered >= 0.9 * len(drawn)


@pytest.mark.parametrize("shared_luck", [False, True])
@pytest.mark.parametrize(
    ("seeds", "lucks"),
    [(2, (0.1, 0.5)), (2, (0.5, 0.5)), (2, (0.05, 0.05)), (3, (0.1, 0.5)), (5, (0.2, 0.2))],
)
def test_what_a_classifier_gains(seeds: int, lucks: tuple[float, float], shared_luck: bool) -> None:
    """Training seeds of each arm differ by its luck; both arms see the same test patients."""
    gaps, noise, count = (1.0, 1.3), 0.5, 100
    draws = RandomState(0).randn(100_000)
    spread = np.sqrt(2 * (1 + noise**2))
    areas = [
        stats.norm.cdf((gap + luck * draws) / spread).mean()
        for gap, luck in zip(gaps, lucks, strict=True)
    ]
    labels = np.repeat((np.arange(count) % 2.0)[:, None], 2, axis=1)
    names = [str(row) for row in range(count)]
    found: dict[str, list[Interval]] = {"mean": [], "a": [], "b": []}
    for seed in range(2 * TRIALS):
        stream = RandomState(seed)
        patients = stream.randn(count, 2)

        def runs(gap: float, luck: float) -> list[NDArray[np.float32]]:
            return [
                stats.norm.cdf(
                    (gap + luck * stream.randn(1, 1 if shared_luck else 2)) * labels  # noqa: B023
                    + patients  # noqa: B023
                    + noise * stream.randn(count, 2)  # noqa: B023
                ).astype(np.float32)
                for _ in range(seeds)
            ]

        weights = resampling_weights(count, names, resamples=200, seed=seed)
        picks = seed_picks(seeds, 200, seed)
        bench = Bench(labels, ("a", "b"), names, {}, weights, picks, None)
        base, arm = (
            judged(runs(gap, luck), [None] * seeds, bench)
            for gap, luck in zip(gaps, lucks, strict=True)
        )
        scores = arm_scores(arm, base, bench)
        for name, one in {"mean": scores, **scores["findings"]}.items():
            found[name].append(tuple(one["delta_ci"]))
    for intervals in found.values():
        holds(intervals, float(areas[1] - areas[0]), shown=2 * TRIALS)


# ------------------------------------------------------------------------------ or it is withheld


def _records() -> dict[str, Record]:
    stream = RandomState(0)
    real, made = stream.randn(120, 4), stream.randn(120, 4) + 0.1
    sides = {"real": real, "synthetic": made}
    copies = {"train": stream.randn(120, 4), "heldout": real, "synthetic": made}
    images = stream.rand(30, 24, 24)
    return {
        "fd": metrics.frechet_distance(**sides, cross_check=False),
        "fd plug-in": metrics.frechet_distance(**sides, estimator="plug-in", cross_check=False),
        "kd": metrics.kernel_distance(**sides),
        **metrics.prdc(**sides),
        "mmd": metrics.mmd_rbf(**sides, permutations=9),
        "sliced": metrics.sliced_wasserstein(**sides, projections=20),
        "c2st": metrics.c2st(**sides, permutations=9),
        "vendi": metrics.vendi_score(**sides),
        "authenticity": metrics.authenticity(**copies),
        "authenticity, raw": metrics.authenticity(train=copies["train"], synthetic=made),
        "nn-auc": metrics.nearest_neighbour_auc(**copies, permutations=9),
        "data-copying": metrics.data_copying(**copies, permutations=9),
        "copy-rate": metrics.copy_rate(**copies),
        "mifid": metrics.mifid(train=copies["train"], synthetic=made, real=real),
        "ms-ssim": metrics.ms_ssim_diversity(synthetic=images, pairs=40),
    }


SHOWN = {
    *("fd", "kd", "precision", "recall", "density", "coverage", "mmd"),
    *("authenticity", "nn-auc", "copy-rate", "ms-ssim"),
}


def test_every_metric_shows_an_interval_that_is_tested_here_or_says_why_not() -> None:
    found = _records()
    assert {name for name, record in found.items() if record.ci is not None} == SHOWN
    for name in set(found) - SHOWN:
        assert "interval withheld: " in found[name].note, name
