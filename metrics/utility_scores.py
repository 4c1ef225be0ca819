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

from metrics.arrays import Floats, Groups
from metrics.delong import paired_delong
from metrics.finding_auroc import finding_draws, finding_table, macro_columns
from metrics.intervals import auroc, percentile_interval
from metrics.multiplicity import holm_by_name
from metrics.utility_groups import Members, thresholds, underdiagnosis, worst_group
from synth.errors import SynthError
from synth.seeding import numpy_rng

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

    ``draws`` is float64 [findings, resamples], ``macro`` [resamples], means over the seeds.
    """

    test: Sequence[Run]
    validation: Sequence[Run | None]
    draws: Floats
    macro: Floats


def judged(test: Sequence[Run], validation: Sequence[Run | None], bench: Bench) -> Judged:
    """Draw the AUROCs of an arm once, for itself and for what is compared with it."""
    every = range(len(bench.findings))
    columns = macro_columns(bench.truth)
    draws = [finding_draws(run, bench.truth, every, bench.weights) for run in test]
    macro = [_over_findings(one[columns]) for one in draws]
    return Judged(
        test, validation, _over_seeds(draws, bench.picks), _over_seeds(macro, bench.picks)
    )


def arm_scores(arm: Judged, base: Judged, bench: Bench) -> dict[str, Any]:
    """One arm against training on real images alone; see ``metrics.utility`` for the keys."""
    columns = macro_columns(bench.truth)
    value, baseline = (_macro(one.test, bench.truth, columns) for one in (arm, base))
    found = _findings(arm, base, bench)
    judged_names = [bench.findings[column] for column in columns]
    levels = [thresholds(seen, bench.validation) for seen in arm.validation]
    return {
        "macro_auroc": value,
        "ci": _interval(arm.macro),
        "delta": None if value is None or baseline is None else value - baseline,
        "delta_ci": _interval(arm.macro - base.macro),
        **{f"macro_{key}": _mean(found, judged_names, key) for key in ("auprc", "ece", "brier")},
        "recovered": _recovered(value, baseline),
        "worst_group": worst_group(arm.test, bench.truth, bench.groups),
        "underdiagnosis": underdiagnosis(
            arm.test, levels, bench.truth, bench.groups, bench.weights
        ),
        "findings": found,
    }


def _findings(arm: Judged, base: Judged, bench: Bench) -> dict[str, dict[str, Any]]:
    tables = [finding_table(run, bench.truth, bench.findings) for run in arm.test]
    base_tables = [finding_table(run, bench.truth, bench.findings) for run in base.test]
    found = {}
    for column, name in enumerate(bench.findings):
        first = tables[0][name]
        if first["auroc"] is None:
            found[name] = first | dict.fromkeys(("delta", "delta_ci", *_EXTRA))
            continue
        value = float(np.mean([table[name]["auroc"] for table in tables]))
        before = float(np.mean([table[name]["auroc"] for table in base_tables]))
        found[name] = first | {
            "auroc": value,
            "ci": _interval(arm.draws[column]),
            "delta": value - before,
            "delta_ci": _interval(arm.draws[column] - base.draws[column]),
            **_calibration(arm.test, bench.truth, column),
            **_paired(arm, base, bench, column),
        }
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
    known = np.isfinite(bench.truth[:, column])
    patients = bench.patients and [
        name for name, kept in zip(bench.patients, known, strict=True) if kept
    ]
    if arm is base:
        return {"p_seeds": None, "p": None}
    try:
        p = [
            paired_delong(
                bench.truth[known, column], one[known, column], two[known, column], patients
            ).p
            for one, two in zip(arm.test, base.test, strict=True)
        ]
    except SynthError:  # all positives are of one patient
        return {"p_seeds": None, "p": None}
    return {"p_seeds": p, "p": p[0] if len(p) == 1 else min(1.0, 2.0 * float(np.mean(p)))}


def _mean(found: dict[str, dict[str, Any]], names: Sequence[str], key: str) -> float | None:
    values = [found[name][key] for name in names]
    return float(np.mean(values)) if values else None


def _recovered(value: float | None, baseline: float | None) -> float | None:
    """Share of what real images teach beyond chance that the arm teaches too."""
    if value is None or baseline is None or baseline <= 0.5:
        return None
    return (value - 0.5) / (baseline - 0.5)


def seed_picks(seeds: int, resamples: int, seed: int) -> Floats:
    """How much each training seed weighs in each resample: [seeds, resamples], columns sum to 1.

    Seeds are resampled together with patients, so that an interval holds the luck of training too.
    One less is drawn than there are: as many would give a mean of few seeds too little variance, by
    a factor of (seeds - 1) / seeds (McCarthy & Snowden 1985).
    """
    rng = numpy_rng("metrics", "utility-seeds", seed)
    drawn = max(1, seeds - 1)
    counts = rng.multinomial(drawn, np.full(seeds, 1.0 / seeds), size=resamples)
    return np.asarray(counts.T / drawn, dtype=np.float64)


def _over_findings(draws: Floats) -> Floats:
    """Mean over the findings a resample can judge, [resamples]."""
    known = np.isfinite(draws)
    total: Floats = np.where(known, draws, 0.0).sum(axis=0)
    mean: Floats = total / np.maximum(known.sum(axis=0), 1)
    return mean


def _over_seeds(draws: Sequence[Floats], picks: Floats) -> Floats:
    """Mean over seeds of [..., resamples] draws, weighted by ``picks``."""
    total: Floats = sum(
        (weight * one for weight, one in zip(picks, draws, strict=True)),
        start=np.zeros_like(draws[0]),
    )
    return total


def _macro(runs: Sequence[Run], truth: Floats, columns: Sequence[int]) -> float | None:
    """Mean over seeds and findings."""
    values = []
    for run in runs:
        for column in columns:
            known = np.isfinite(truth[:, column])
            values.append(auroc(truth[known, column], run[known, column]))
    return float(np.mean(values)) if values else None


def _interval(draws: Floats) -> list[float] | None:
    interval = percentile_interval(draws)
    return None if interval is None else list(interval)
