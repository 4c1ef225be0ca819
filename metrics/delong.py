"""DeLong's variance of an AUROC and of a paired difference, also where patients hold many images.

Independent cases follow DeLong, DeLong and Clarke-Pearson (1988) by mid-ranks (Sun & Xu 2014).
Where one patient gives several cases, their placement values are summed a patient first
(Obuchowski 1997), so that ten images of one patient do not count as ten patients.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from metrics.arrays import Floats, Groups, group_names
from metrics.intervals import LEVEL
from metrics.records import Estimate, Interval
from synth.errors import SynthError

LEAST = 2  # patients with a positive, and with a negative, below which there is no variance
_NO_VARIANCE = 1e-15
_PERFECT = "every pair in order: the bound is that of as many independent pairs as the rarer class"


@dataclass(frozen=True)
class Paired:
    """The difference of two AUROCs on the same cases.

    Attributes:
        difference: AUROC of the first minus that of the second.
        se: its standard error.
        z: difference over standard error; 0 for identical scores.
        p: two-sided.
        ci: 95 % interval of the difference, within -1..1.
    """

    difference: float
    se: float
    z: float
    p: float
    ci: Interval


@dataclass(frozen=True)
class _Placements:
    """Areas and placement values of k scores: each case's share of the other class it beats.

    ``positive`` is float64 [k, m], ``negative`` [k, n]; ``of_positive`` and ``of_negative`` number
    the patient of each case.
    """

    areas: Floats
    positive: Floats
    negative: Floats
    of_positive: NDArray[np.intp]
    of_negative: NDArray[np.intp]


def auroc_delong(labels: ArrayLike, scores: ArrayLike, groups: Groups = None) -> Estimate:
    """AUROC, its standard error and its 95 % interval on the logit scale.

    Args:
        labels: [n] of 1 (present) and 0 (absent).
        scores: [n], higher meaning present.
        groups: the patient of each case; None: every case stands alone.

    Raises:
        SynthError: labels other than 0 and 1, positives or negatives of fewer than two patients,
            or scores that are not one finite number a label.
    """
    found = _placements(labels, (scores,), groups)
    area = float(found.areas[0])
    se = float(np.sqrt(max(_covariance(found)[0, 0], 0.0)))
    how = "DeLong" if groups is None else "DeLong, clustered by patient (Obuchowski)"
    if se > 0.0 and 0.0 < area < 1.0:
        return Estimate(area, se, _logit_interval(area, se), f"{how}, logit interval")
    if area not in (0.0, 1.0):  # no variance without separation: all scores of a class are equal
        return Estimate(area, se, None, how, "the placement values have no variance")
    rare = min(len(np.unique(found.of_positive)), len(np.unique(found.of_negative)))
    bound = float(((1.0 - LEVEL) / 2) ** (1.0 / rare))
    ends = (bound, 1.0) if area == 1.0 else (0.0, 1.0 - bound)
    return Estimate(area, se, ends, f"{how}, exact one-class bound", _PERFECT)


def paired_delong(
    labels: ArrayLike, one: ArrayLike, two: ArrayLike, groups: Groups = None
) -> Paired:
    """Test two scores of the same cases for equal AUROC.

    Args:
        labels: [n] of 1 and 0.
        one: [n] scores.
        two: [n] scores of the same cases.
        groups: the patient of each case; None: every case stands alone.

    Raises:
        SynthError: as ``auroc_delong``.
    """
    found = _placements(labels, (one, two), groups)
    covariance = _covariance(found)
    gap = float(found.areas[0] - found.areas[1])
    variance = float(covariance[0, 0] + covariance[1, 1] - 2.0 * covariance[0, 1])
    if variance <= _NO_VARIANCE:
        sure = gap != 0.0
        z = float(np.sign(gap)) * np.inf if sure else 0.0
        return Paired(gap, 0.0, z, 0.0 if sure else 1.0, (gap, gap))
    se = variance**0.5
    half = float(stats.norm.ppf(0.5 + LEVEL / 2)) * se
    p = float(2.0 * stats.norm.sf(abs(gap / se)))
    return Paired(gap, se, gap / se, p, (max(-1.0, gap - half), min(1.0, gap + half)))


def _placements(labels: ArrayLike, scores: tuple[ArrayLike, ...], groups: Groups) -> _Placements:
    truth = np.asarray(labels)
    if truth.ndim != 1 or not np.isin(truth, (0, 1)).all():
        raise SynthError(
            "labels must be a list of 0 and 1",
            where="delong",
            got=np.setdiff1d(truth, (0, 1))[:3].tolist() or truth.shape,
            fix="Leave out uncertain and unstated labels first.",
        )
    present = truth == 1
    names = np.unique(group_names(len(truth), groups, side="delong"), return_inverse=True)[1]
    with_one, with_none = len(np.unique(names[present])), len(np.unique(names[~present]))
    if min(with_one, with_none) < LEAST:
        raise SynthError(
            "an AUROC interval needs positives and negatives of two patients each",
            where="delong",
            got=f"{with_one} with positives, {with_none} with negatives",
        )
    m, n = int(present.sum()), int((~present).sum())
    positive, negative = np.empty((len(scores), m)), np.empty((len(scores), n))
    for row, score in enumerate(scores):
        values = _checked(score, truth)
        both = stats.rankdata(np.concatenate([values[present], values[~present]]))
        positive[row] = (both[:m] - stats.rankdata(values[present])) / n
        negative[row] = 1.0 - (both[m:] - stats.rankdata(values[~present])) / m
    return _Placements(positive.mean(axis=1), positive, negative, names[present], names[~present])


def _checked(scores: ArrayLike, truth: NDArray[np.generic]) -> Floats:
    values = np.asarray(scores, dtype=np.float64)
    if values.shape != truth.shape or not np.isfinite(values).all():
        raise SynthError(
            "one finite score a label is needed",
            where="delong",
            got=values.shape if values.shape != truth.shape else "NaN or infinite scores",
            expected=truth.shape,
        )
    return values


def _covariance(found: _Placements) -> Floats:
    """Covariance [k, k] of the areas, patients as the units (Obuchowski 1997, eq. 5 to 8).

    With one case a patient the cross term is zero and DeLong's estimate is left, exactly.
    """
    m, n = found.positive.shape[1], found.negative.shape[1]
    clusters = int(max(found.of_positive.max(), found.of_negative.max())) + 1
    ten = _sums(found.positive - found.areas[:, None], found.of_positive, clusters)
    one = _sums(found.negative - found.areas[:, None], found.of_negative, clusters)
    i_ten, i_one = len(np.unique(found.of_positive)), len(np.unique(found.of_negative))
    total = ten @ ten.T * (i_ten / ((i_ten - 1) * m * m))
    total += one @ one.T * (i_one / ((i_one - 1) * n * n))
    cross = ten @ one.T * (clusters / ((clusters - 1) * m * n))
    covariance: Floats = total + cross + cross.T
    return covariance


def _sums(deviations: Floats, of: NDArray[np.intp], clusters: int) -> Floats:
    """Sums a patient, [k, clusters]."""
    return np.array([np.bincount(of, weights=row, minlength=clusters) for row in deviations])


def _logit_interval(area: float, se: float) -> Interval:
    half = float(stats.norm.ppf(0.5 + LEVEL / 2)) * se / (area * (1.0 - area))
    centre = float(np.log(area / (1.0 - area)))
    ends = [float(1.0 / (1.0 + np.exp(-value))) for value in (centre - half, centre + half)]
    return ends[0], ends[1]
