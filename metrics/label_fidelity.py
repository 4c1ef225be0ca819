"""Do the images show what they were asked to show? A classifier trained on real images judges.

The same classifier on held-out real images is the ceiling: it says how much of a low score is the
judge's own weakness.

AUROC ranks, and so rewards faint differences between images that show nothing of a finding: the
texts that ask for it differ in other ways from those that deny it. ``detected`` does not: the share
of images asked to show a finding in which the judge sees it, at the threshold that it passes by
mistake on 5 % of real images without it. Nothing learned gives about 0.05. The threshold is an
estimate too: its interval holds that of the quantile, by ranks of real patients, and is withheld
where fewer than 50 of them set it.

Intervals of an AUROC are DeLong's, with patients as units where they are known; that of the mean is
built from them; the difference to the ceiling is that of ``metrics.ceiling``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from metrics.arrays import Floats, Groups, group_names
from metrics.ceiling import gap_to_ceiling
from metrics.finding_auroc import finding_table, macro_auroc, macro_columns
from metrics.intervals import LEVEL, wilson
from metrics.multiplicity import holm_by_name
from metrics.records import Estimate

if TYPE_CHECKING:  # both load torch, which this function of a judge and two sets need not
    from metrics.ingest import ImageSet
    from synth.extractors.classifier import Classifier

FALSE_ALARMS = 0.05  # share of real images without a finding in which the judge sees it
LEAST_WITHOUT = 20  # real images without a finding below which that share has no threshold
LEAST_PATIENTS = 50  # and their patients, below which it has no interval


def label_fidelity(
    judge: Classifier,
    *,
    synthetic: ImageSet,
    real: ImageSet,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """AUROC per conditioned finding on synthetic images, beside the same on real ones.

    Args:
        judge: fitted on real training images.
        synthetic: images with the labels they were conditioned on.
        real: held-out real images, for the ceiling.
        resamples: of patients, behind the correlation of findings in the interval of the mean.
        seed: of the resampling.

    Returns:
        The ``fidelity`` structure of ``metrics.records``.
    """
    findings = judge.findings
    made, asked = judge.probabilities(synthetic.image_u8), synthetic.columns(findings)
    seen, truth = judge.probabilities(real.image_u8), real.columns(findings)
    table = finding_table(made, asked, findings, synthetic.groups)
    ceiling = finding_table(seen, truth, findings, real.groups)
    thresholds = detection_thresholds(seen, truth)
    bounds = threshold_bounds(seen, truth, real.groups)
    for column, (name, row) in enumerate(table.items()):
        levels = np.array([thresholds[column], *bounds[column]])
        real_row = ceiling[name] | detected(seen[:, column], truth[:, column], levels, real.groups)
        row |= detected(made[:, column], asked[:, column], levels, synthetic.groups)
        row |= {f"real_{key}": value for key, value in real_row.items()}
        row |= difference_to_ceiling(row)
    adjusted = holm_by_name({name: row["p"] for name, row in table.items()})
    for name, row in table.items():
        row["p_holm"] = adjusted[name]
    columns = macro_columns(asked)
    drawn = {"resamples": resamples, "seed": seed}
    area = macro_auroc(made, asked, columns, groups=synthetic.groups, **drawn)
    judged = [column for column in columns if column in macro_columns(truth)]
    ceiling_area = macro_auroc(seen, truth, judged, groups=real.groups, **drawn)
    macro = {
        **_mean(area, ""),
        "findings": [findings[column] for column in columns],
        **_mean(ceiling_area, "real_"),
    }
    if judged == columns:  # else the two means are over different findings
        macro |= difference_to_ceiling(macro)
    return {"macro": macro, "findings": table}


def _mean(found: Estimate | None, prefix: str) -> dict[str, Any]:
    interval = None if found is None else found.ci
    return {
        f"{prefix}auroc": None if found is None else found.value,
        f"{prefix}ci": None if interval is None else list(interval),
        f"{prefix}note": "" if found is None else found.note,
    }


def difference_to_ceiling(row: Mapping[str, Any]) -> dict[str, Any]:
    """AUROC on synthetic images minus that on real ones, with interval and two-sided p.

    Args:
        row: ``auroc`` and ``ci``, ``real_auroc`` and ``real_ci``; None where unknown.

    Returns:
        ``difference``, ``difference_ci`` and ``p``; None where an AUROC or an interval is missing.
    """
    found = gap_to_ceiling(*(row[key] for key in ("auroc", "ci", "real_auroc", "real_ci")))
    return dict(found)


def detection_thresholds(probabilities: NDArray[np.floating], truth: Floats) -> Floats:
    """Probability that each finding exceeds in 5 % of real images without it; NaN where too few.

    Args:
        probabilities: [N, findings] on held-out real images.
        truth: [N, findings], 1, 0 or NaN.

    Returns:
        float64 [findings].
    """
    thresholds = np.full(truth.shape[1], np.nan)
    for column in range(truth.shape[1]):
        without = probabilities[truth[:, column] == 0, column]
        if len(without) >= LEAST_WITHOUT:
            thresholds[column] = np.quantile(without.astype(np.float64), 1.0 - FALSE_ALARMS)
    return thresholds


def threshold_bounds(
    probabilities: NDArray[np.floating], truth: Floats, groups: Groups = None
) -> Floats:
    """Where each threshold may lie: quantiles of the same scores, 95 % by ranks (Clopper-Pearson).

    Args:
        probabilities: [N, findings] on held-out real images.
        truth: [N, findings], 1, 0 or NaN.
        groups: the patient of each image: so many ranks count, however many images there are.

    Returns:
        float64 [findings, 2]; NaN where fewer than ``LEAST_PATIENTS`` patients are without it.
    """
    names = np.array(group_names(len(truth), groups, side="real"))
    bounds, share, tail = np.full((truth.shape[1], 2), np.nan), 1.0 - FALSE_ALARMS, (1 - LEVEL) / 2
    for column in range(truth.shape[1]):
        without = truth[:, column] == 0
        count = len(np.unique(names[without]))
        if count >= LEAST_PATIENTS:
            below, above = share * count, FALSE_ALARMS * count
            ranks = (
                stats.beta.ppf(tail, below, above + 1),
                stats.beta.ppf(1 - tail, below + 1, above),
            )
            bounds[column] = np.quantile(probabilities[without, column].astype(np.float64), ranks)
    return bounds


def detected(
    scores: NDArray[np.floating], labels: Floats, levels: Floats, groups: Groups = None
) -> dict[str, Any]:
    """Share above the threshold among images labelled 1, with its interval.

    Args:
        scores: [N] of one finding.
        labels: [N], 1, 0 or NaN.
        levels: threshold and where it may lie, [3]; NaN where unknown.
        groups: the patient of each image.

    Returns:
        ``detected`` and ``detected_ci``: Wilson's, on as many trials as there are patients, joined
        with that of the threshold (Zou & Donner 2008).
    """
    asked = np.asarray(scores, dtype=np.float64)[labels == 1]
    if len(asked) == 0 or np.isnan(levels[0]):
        return {"detected": None, "detected_ci": None}
    share, least, most = (float((asked > level).mean()) for level in levels[[0, 2, 1]])
    if np.isnan(levels).any():
        return {"detected": share, "detected_ci": None}
    names = np.array(group_names(len(labels), groups, side="judged"))
    trials = len(np.unique(names[labels == 1]))
    low, high = wilson(round(share * trials), trials)
    below = float(np.hypot(share - min(low, share), share - least))
    above = float(np.hypot(max(high, share) - share, most - share))
    return {
        "detected": share,
        "detected_ci": [max(0.0, share - below), min(1.0, share + above)],
    }
