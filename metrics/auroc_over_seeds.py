"""AUROC of several training runs on the same test patients: their mean, and how far it may be off.

Its variance is that of the test patients (DeLong's of the mean of the runs, clustered by patient),
plus that of the mean over training seeds, plus what bootstrap draws show beyond both, as where
resampled validation patients would choose another model. The second holds some of the first, so an
interval is rather too wide than too narrow. Two seeds say so little of their luck that it is wide.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from metrics.arrays import Floats, Groups
from metrics.delong import ALIKE, NO_VARIANCE, PERFECT, delong
from metrics.finding_auroc import WITHHELD
from metrics.intervals import auroc, logit_interval, perfect_interval, student_of_sum
from metrics.records import Estimate
from synth.errors import SynthError


def auroc_over_seeds(
    labels: ArrayLike, runs: Sequence[ArrayLike], draws: Floats, groups: Groups = None
) -> Estimate:
    """Mean AUROC over the runs, with its 95 % interval on the logit scale.

    Args:
        labels: [n] of 1 and 0.
        runs: [n] scores of each training seed, higher meaning present.
        draws: float64 [b] of the same mean over resampled patients, seeds and choices; NaN where a
            resample holds no positive or no negative.
        groups: the patient of each case; None: every case stands alone.

    Returns:
        The mean; its interval is withheld, and ``note`` says why, where positives or negatives are
        of one patient, and where every run says the same of every case.

    Raises:
        SynthError: labels other than 0 and 1, none of either, or scores that are not one finite
            number a label.
    """
    seeds = len(runs)
    how = f"DeLong by patient, {seeds} training seed{'s' * (seeds > 1)}"
    try:
        found = delong(labels, *runs, groups=groups)
    except SynthError as error:
        area = float(np.mean([auroc(labels, run) for run in runs]))  # or what else is wrong
        return Estimate(area, None, None, how, f"{WITHHELD}{error}")
    area = float(found.auc.mean())
    patients = max(float(found.covariance.mean()), 0.0)
    luck = float(found.auc.var(ddof=1)) / seeds if seeds > 1 else 0.0
    defined = draws[np.isfinite(draws)]
    spread = float(defined.var(ddof=1)) if len(defined) > 1 else 0.0
    choice = max(0.0, spread - patients - luck)
    se = float(np.sqrt(patients + luck + choice))
    if area in (0.0, 1.0):
        ends = perfect_interval(area, found.units)
        return Estimate(area, se, ends, f"{how}, exact one-class bound", PERFECT)
    if se**2 <= NO_VARIANCE:
        return Estimate(area, se, None, how, ALIKE)
    degrees = (found.units - 1, max(seeds - 1, 1), np.inf)
    reach = student_of_sum((patients, luck, choice), degrees) * se
    return Estimate(area, se, logit_interval(area, reach), f"{how}, logit interval")
