"""AUROC of each finding and their mean, with intervals; uncertain and unstated labels left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.arrays import Floats, Groups, picked
from metrics.delong import auroc_delong
from metrics.intervals import (
    auroc,
    percentile_interval,
    resampling_weights,
    weighted_aurocs,
)
from metrics.records import Estimate, Interval
from synth.errors import SynthError

LEAST = 2  # positives and negatives below which a finding has no AUROC
LEAST_IN_MACRO = 5  # positives below which a finding is too noisy to enter the mean


def finding_table(
    probabilities: NDArray[np.floating],
    labels: Floats,
    findings: Sequence[str],
    groups: Groups = None,
) -> dict[str, dict[str, Any]]:
    """AUROC with DeLong interval for every finding.

    Args:
        probabilities: [N, findings].
        labels: [N, findings], 1, 0 or NaN; NaN is left out.
        findings: the columns' names.
        groups: the patient of each image; None: every image stands alone.

    Returns:
        ``{finding: {"auroc", "se", "ci", "n_positive", "n_negative"}}``; AUROC and interval are
        None for fewer than two positives or negatives, the interval also for fewer than two
        patients with either.
    """
    table = {}
    for column, name in enumerate(findings):
        truth, scores = _known(probabilities, labels, column)
        positive, negative = int((truth == 1).sum()), int((truth == 0).sum())
        found: Estimate | None = None
        if min(positive, negative) >= LEAST:
            known = np.flatnonzero(np.isfinite(labels[:, column]))
            found = _area(truth, scores, picked(groups, known))
        interval = None if found is None else found.ci
        table[name] = {
            "auroc": None if found is None else found.value,
            "se": None if found is None else found.se,
            "ci": None if interval is None else list(interval),
            "n_positive": positive,
            "n_negative": negative,
        }
    return table


def _area(truth: Floats, scores: Floats, groups: Groups) -> Estimate:
    try:
        return auroc_delong(truth, scores, groups)
    except SynthError as error:
        return Estimate(auroc(truth, scores), None, None, "AUROC", str(error))


def macro_columns(labels: Floats) -> list[int]:
    """Columns with enough positives and negatives to enter the mean over findings."""
    return [
        column
        for column in range(labels.shape[1])
        if min((labels[:, column] == 1).sum(), (labels[:, column] == 0).sum()) >= LEAST_IN_MACRO
    ]


def macro_auroc(
    probabilities: NDArray[np.floating],
    labels: Floats,
    columns: Sequence[int],
    *,
    groups: Groups,
    resamples: int,
    seed: int,
) -> tuple[float | None, Interval | None]:
    """Mean AUROC over columns, with a percentile interval over resampled patients."""
    if not columns:
        return None, None
    values = [auroc(*_known(probabilities, labels, column)) for column in columns]
    weights = resampling_weights(len(labels), groups, resamples=resamples, seed=seed)
    draws = macro_draws(probabilities, labels, columns, weights)
    return float(np.mean(values)), percentile_interval(draws)


def macro_draws(
    probabilities: NDArray[np.floating], labels: Floats, columns: Sequence[int], weights: Floats
) -> Floats:
    """Mean AUROC over columns under each row of bootstrap weights, float64 [resamples].

    A finding that loses its positives in a resample is left out of that resample's mean.
    """
    per_finding = finding_draws(probabilities, labels, columns, weights)
    known = np.isfinite(per_finding)
    total: Floats = np.where(known, per_finding, 0.0).sum(axis=0)
    mean: Floats = total / np.maximum(known.sum(axis=0), 1)
    return mean


def finding_draws(
    probabilities: NDArray[np.floating], labels: Floats, columns: Sequence[int], weights: Floats
) -> Floats:
    """AUROC of each column under each row of bootstrap weights, float64 [columns, resamples]."""
    draws = []
    for column in columns:
        known = np.isfinite(labels[:, column])
        draws.append(
            weighted_aurocs(labels[known, column], probabilities[known, column], weights[:, known])
        )
    return np.array(draws)


def _known(
    probabilities: NDArray[np.floating], labels: Floats, column: int
) -> tuple[Floats, Floats]:
    known = np.isfinite(labels[:, column])
    return labels[known, column], np.asarray(probabilities[known, column], dtype=np.float64)
