"""Does an image lie closer to the sentence that states a finding than to the one that denies it?

"There is a pleural effusion." and "There is no pleural effusion." differ in one word. Most models
of images and texts do not read it and give both sentences the same place; their difference then
says nothing, on real images either, and the ceiling beside each number shows it.

The difference of the two cosines is judged against the labels: its AUROC, which does not depend on
where the model puts zero, and the balanced accuracy of its sign, which does.

A model that takes "no" for any other word still moves the sentence somewhere, and images that show
a finding may lie that way, or the other, by accident: some AUROCs then are high and others as low.
One finding therefore proves nothing; a sign test over the findings says whether more lie above one
half than a coin would put there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from metrics.ceiling import gap_to_ceiling
from metrics.finding_auroc import finding_draws, mean_over_findings
from metrics.intervals import LEVEL, resampling_weights
from metrics.leaning import (
    Judged,
    fewest_patients,
    labelled_cases,
    leaning_accuracy,
    leaning_auroc,
    p_of_chance,
)
from metrics.multiplicity import holm
from metrics.records import Estimate, Floor, Record, recorded
from synth.errors import SynthError

LEAST = 10  # patients with a finding, and without it, below which nothing is said of it
_MEANING = "whether images lie closer to the sentence that states a finding where it is present"


@dataclass(frozen=True)
class Negation:
    """Records of the findings, their mean, and the findings of which too little is known.

    ``findings`` holds for each ``auroc`` and ``balanced_accuracy``, ``p`` that the AUROC is 0.5
    and ``p_holm``, the same corrected for all findings, and how many images have it or not.
    """

    macro: Record
    findings: Mapping[str, Mapping[str, Any]]
    withheld: Mapping[str, str]


def negation(
    *,
    synthetic: Judged,
    real: Judged | None = None,
    findings: Sequence[str],
    resamples: int = 1000,
    seed: int = 0,
) -> Negation:
    """Judge negation pairs against labels, finding by finding.

    Args:
        synthetic: images and the labels that they were asked for.
        real: held-out real images, for the ceiling.
        findings: names of the columns.
        resamples: of patients, behind the correlation of findings in the interval of the mean.
        seed: of the resampling.

    Raises:
        SynthError: no finding is present in images of ``LEAST`` patients and absent in as many.
    """
    kept, withheld = _kept(synthetic, findings)
    if not kept:
        raise SynthError(
            "no finding is both present and absent often enough",
            where="negation pairs",
            expected=f"images of {LEAST} patients with it, and without",
        )
    table: dict[str, dict[str, Any]] = {}
    for column in kept:
        table[findings[column]] = _of_finding(synthetic, real, column, seed)
    corrected = holm([row["p"] for row in table.values()])
    for row, p in zip(table.values(), corrected.tolist(), strict=True):
        row["p_holm"] = p
    return Negation(_macro(synthetic, real, kept, resamples, seed), table, withheld)


def _kept(given: Judged, findings: Sequence[str]) -> tuple[list[int], dict[str, str]]:
    kept, withheld = [], {}
    for column, name in enumerate(findings):
        counts = [len(np.unique(labelled_cases(given, column, value)[1])) for value in (1, 0)]
        if min(counts) >= LEAST:
            kept.append(column)
        else:
            withheld[name] = f"{counts[0]} patients with it, {counts[1]} without"
    return kept, withheld


def _of_finding(made: Judged, real: Judged | None, column: int, seed: int) -> dict[str, Any]:
    if real is not None and fewest_patients(real, column) < LEAST:
        real = None
    held: dict[str, Any] = {}
    for name, measure in (("auroc", leaning_auroc), ("balanced_accuracy", leaning_accuracy)):
        found = measure(made, column)
        ceiling = None if real is None else measure(real, column)
        held[name] = _record(found, ceiling, made, real, [column], seed)
    positive, negative = (int((made.labels[:, column] == value).sum()) for value in (1, 0))
    p = p_of_chance(made, column)
    return {**held, "n_positive": positive, "n_negative": negative, "p": p}


def _macro(made: Judged, real: Judged | None, kept: list[int], resamples: int, seed: int) -> Record:
    found = _mean(made, kept, resamples, seed)
    if real is not None and any(fewest_patients(real, column) < LEAST for column in kept):
        real = None  # a mean over other findings is no ceiling of this one
    ceiling = None if real is None else _mean(real, kept, resamples, seed)
    record = _record(found, ceiling, made, real, kept, seed)
    above, p = _signs(made, kept)
    signs = {"findings": len(kept), "above_half": above, "p_sign": p}
    notes = (record.note, "" if real is None else _unread(real, kept))
    return replace(record, note="; ".join(filter(None, notes)), details={**record.details, **signs})


def _mean(given: Judged, kept: list[int], resamples: int, seed: int) -> Estimate:
    weights = resampling_weights(len(given.labels), given.groups, resamples=resamples, seed=seed)
    draws = finding_draws(given.leaning, given.labels, kept, weights)
    return mean_over_findings([leaning_auroc(given, column) for column in kept], draws)


def _signs(given: Judged, kept: list[int]) -> tuple[int, float]:
    """Findings with an AUROC above 0.5, and the two-sided p of a sign test; ties left out."""
    areas = np.array([leaning_auroc(given, column).value for column in kept])
    above, apart = int((areas > 0.5).sum()), int((areas != 0.5).sum())
    return above, float(stats.binomtest(above, apart).pvalue) if apart else 1.0


def _unread(given: Judged, kept: list[int]) -> str:
    """A note where real images do not show that the model reads the word."""
    above, p = _signs(given, kept)
    if p < 1.0 - LEVEL and above > len(kept) / 2:
        return ""
    return (
        f"of real images {above} of {len(kept)} findings lie above 0.5 (sign test p {p:.2g}): "
        'that this model reads "no" is not shown'
    )


def _record(
    found: Estimate,
    ceiling: Estimate | None,
    made: Judged,
    real: Judged | None,
    columns: list[int],
    seed: int,
) -> Record:
    n_made, n_real = (
        0 if side is None else int(np.isfinite(side.labels[:, columns]).any(axis=1).sum())
        for side in (made, real)
    )
    details: dict[str, Any] = {"chance": 0.5}
    if ceiling is not None:
        details |= {
            "real": ceiling.value,
            "real_ci": None if ceiling.ci is None else list(ceiling.ci),
            **gap_to_ceiling(found.value, found.ci, ceiling.value, ceiling.ci),
        }
    return recorded(
        found,
        n_real=n_real,
        n_synthetic=n_made,
        seed=seed,
        higher_is_better=True,
        meaning=_MEANING,
        floor=None if ceiling is None else Floor(ceiling.value, n_real),
        details=details,
    )
