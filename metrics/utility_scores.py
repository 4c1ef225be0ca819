"""The scores of one arm: discrimination, calibration, groups, and its gain over real images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torchmetrics.functional.classification import (
    binary_average_precision,
    binary_calibration_error,
)

from metrics.arrays import Floats, Groups, group_names, picked
from metrics.auroc_over_seeds import auroc_over_seeds
from metrics.delong import paired_delong
from metrics.finding_auroc import LEAST, TOO_FEW, finding_draws, macro_columns
from metrics.gain import Gain, gain, mean_gain, same
from metrics.multiplicity import holm_by_name
from metrics.seed_luck import over_seeds
from metrics.utility_groups import Members, thresholds, underdiagnosis, worst_group
from synth.errors import SynthError

_BINS = 15  # of equal width, for the calibration error

Run = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Bench:
    """The test patients, and how they and the training seeds are resampled.

    Attributes:
        truth: float64 [N, findings], 1, 0 or NaN.
        findings: the columns' names.
        patients: of each image; None: every image stands alone.
        groups: members of each group of patients, by attribute.
        weights: bootstrap weights of patients [resamples, N].
        picks: weights of training seeds [seeds, resamples].
        validation: labels of the validation images, which set thresholds; None without any.
    """

    truth: Floats
    findings: tuple[str, ...]
    patients: Groups
    groups: dict[str, Members]
    weights: Floats
    picks: Floats
    validation: Floats | None


@dataclass(frozen=True)
class Judged:
    """What the classifiers of one arm say, one a training seed, and its bootstrap draws.

    ``draws`` is float64 [findings, resamples], means over the seeds; NaN where a resample holds no
    positive or no negative. ``areas`` is float64 [seeds, findings], the AUROCs themselves.
    """

    test: Sequence[Run]
    validation: Sequence[Run | None]
    draws: Floats
    areas: Floats


def judged(test: Sequence[Run], validation: Sequence[Run | None], bench: Bench) -> Judged:
    """Draw the AUROCs of an arm once, for itself and for what is compared with it."""
    every = range(len(bench.findings))
    draws = [finding_draws(run, bench.truth, every, bench.weights) for run in test]
    once = np.ones((1, len(bench.truth)))
    areas = [finding_draws(run, bench.truth, every, once)[:, 0] for run in test]
    return Judged(test, validation, over_seeds(draws, bench.picks), np.array(areas))


def arm_scores(arm: Judged, base: Judged, bench: Bench) -> dict[str, Any]:
    """One arm against training on real images alone; see ``metrics.utility`` for the keys."""
    columns = macro_columns(bench.truth)
    gains = [_gain(arm, base, bench, column) for column in range(len(bench.findings))]
    found = _findings(arm, base, bench, gains)
    judged_names = [bench.findings[column] for column in columns]
    levels = [thresholds(seen, bench.validation) for seen in arm.validation]
    macro = _macro(arm, base, bench, {column: gains[column] for column in columns})
    return {
        **_shown("macro_auroc", macro),
        **{f"macro_{key}": _mean(found, judged_names, key) for key in ("auprc", "ece", "brier")},
        "recovered": None if macro is None else _recovered(macro.arm.value, macro.base.value),
        "worst_group": worst_group(arm.test, bench.truth, bench.groups),
        "underdiagnosis": underdiagnosis(
            arm.test, levels, bench.truth, bench.groups, bench.patients
        ),
        "findings": found,
    }


def _macro(arm: Judged, base: Judged, bench: Bench, gains: dict[int, Gain | None]) -> Gain | None:
    """The mean over some of the columns."""
    columns = list(gains)
    if not columns:
        return None
    return mean_gain(
        list(gains.values()),
        arm.draws[columns],
        base.draws[columns],
        fewest=_fewest(bench, columns),
        seeds=(arm.areas - base.areas)[:, columns].mean(axis=1),
    )


def _fewest(bench: Bench, columns: Sequence[int]) -> int:
    """Patients of the rarest label of any finding."""
    names = np.array(group_names(len(bench.truth), bench.patients, side="test"))
    sizes = [
        len(np.unique(names[bench.truth[:, column] == label]))
        for column in columns
        for label in (0, 1)
    ]
    return min(sizes, default=0)


def _shown(name: str, gain: Gain | None) -> dict[str, Any]:
    if gain is None:
        return dict.fromkeys((name, "ci", "delta", "delta_ci")) | {"note": ""}
    return {
        name: gain.arm.value,
        "ci": None if gain.arm.ci is None else list(gain.arm.ci),
        "delta": gain.delta,
        "delta_ci": None if gain.delta_ci is None else list(gain.delta_ci),
        "note": gain.note,
    }


def _gain(arm: Judged, base: Judged, bench: Bench, column: int) -> Gain | None:
    """A finding's; None with fewer than two positives or negatives."""
    known, truth, patients = _known(bench, column)
    if min((truth == 1).sum(), (truth == 0).sum()) < LEAST:
        return None
    one, two = (
        auroc_over_seeds(truth, [run[known, column] for run in of.test], of.draws[column], patients)
        for of in (arm, base)
    )
    return same(one) if arm is base else gain(one, two, arm.draws[column], base.draws[column])


def _findings(
    arm: Judged, base: Judged, bench: Bench, gains: Sequence[Gain | None]
) -> dict[str, dict[str, Any]]:
    found = {}
    for column, (name, one) in enumerate(zip(bench.findings, gains, strict=True)):
        truth = bench.truth[:, column]
        counts = {"n_positive": int((truth == 1).sum()), "n_negative": int((truth == 0).sum())}
        row = _shown("auroc", one) | {"se": None if one is None else one.arm.se} | counts
        if one is None:
            found[name] = row | dict.fromkeys(_EXTRA) | {"note": TOO_FEW}
            continue
        row |= _calibration(arm.test, bench.truth, column)
        found[name] = row | _paired(arm, base, bench, column)
    adjusted = holm_by_name({name: entry["p"] for name, entry in found.items()})
    return {name: entry | {"p_holm": adjusted[name]} for name, entry in found.items()}


_EXTRA = ("auprc", "ece", "brier", "p_seeds", "p")


def _calibration(runs: Sequence[Run], truth: Floats, column: int) -> dict[str, float]:
    """Average precision, expected calibration error and Brier score, means over the seeds."""
    known = np.isfinite(truth[:, column])
    labels = torch.from_numpy(truth[known, column]).long()
    rows = []
    for run in runs:
        scores = torch.from_numpy(np.ascontiguousarray(run[known, column]))
        area = float(binary_average_precision(scores, labels))
        error = float(binary_calibration_error(scores, labels, n_bins=_BINS, norm="l1"))
        rows.append((area, error, float((scores - labels).square().mean())))
    return dict(zip(("auprc", "ece", "brier"), np.mean(rows, axis=0).tolist(), strict=True))


def _paired(arm: Judged, base: Judged, bench: Bench, column: int) -> dict[str, Any]:
    """Paired DeLong within each seed; together by twice their mean.

    Twice the mean of p-values is a p-value under any dependence (Vovk & Wang 2020), and seeds that
    share their test patients are dependent.
    """
    if arm is base:
        return {"p_seeds": None, "p": None}
    known, truth, patients = _known(bench, column)
    try:
        p = [
            paired_delong(truth, one[known, column], two[known, column], patients).p_few
            for one, two in zip(arm.test, base.test, strict=True)
        ]
    except SynthError:  # all positives are of one patient
        return {"p_seeds": None, "p": None}
    return {"p_seeds": p, "p": p[0] if len(p) == 1 else min(1.0, 2.0 * float(np.mean(p)))}


def _known(bench: Bench, column: int) -> tuple[NDArray[np.intp], Floats, Groups]:
    """The images whose label of a finding is known, their labels and their patients."""
    known = np.flatnonzero(np.isfinite(bench.truth[:, column]))
    return known, bench.truth[known, column], picked(bench.patients, known)


def _mean(found: dict[str, dict[str, Any]], names: Sequence[str], key: str) -> float | None:
    values = [found[name][key] for name in names]
    return float(np.mean(values)) if values else None


def _recovered(value: float, baseline: float) -> float | None:
    """Share of what real images teach beyond chance that the arm teaches too."""
    return (value - 0.5) / (baseline - 0.5) if baseline > 0.5 else None
