"""DeLong's covariance of AUROCs on the same cases, also where patients hold many images.

Independent cases follow DeLong, DeLong and Clarke-Pearson (1988) by mid-ranks, O(N log N) (Sun & Xu
2014, algorithm 2). Where one patient gives several cases, their placement values are summed a
patient first (Obuchowski 1997), so that ten images of one patient do not count as ten patients.

An interval is built on the logit scale with Student's t of one degree of freedom less than there
are patients of the rarer label: with the normal law 75 % of 95 % intervals hold an AUROC of 0.76
with two positives, 87 % with five (``tests/metrics/test_rare.py``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from metrics.arrays import Floats, Groups, group_names
from metrics.intervals import (
    finite_scores,
    logit_interval,
    perfect_interval,
    presence,
    student,
)
from metrics.records import Estimate, Interval
from synth.errors import SynthError

LEAST = 2  # patients with a positive, and with a negative, below which there is no variance
ALIKE = "interval withheld: the placement values have no variance"
PERFECT = "every pair in order: the bound is that of as many independent pairs as the rarer class"
NO_VARIANCE = 1e-15


@dataclass(frozen=True)
class DeLong:
    """AUROCs of k scores on the same cases and their covariance.

    Attributes:
        auc: float64 [k].
        covariance: float64 [k, k].
        units: patients with a positive, or with a negative, whichever are fewer.
    """

    auc: Floats
    covariance: Floats
    units: int

    def interval(self, index: int = 0) -> Interval | None:
        """95 % interval, inside 0..1; the exact bound of perfect order; None without variance."""
        area, variance = float(self.auc[index]), float(self.covariance[index, index])
        if area in (0.0, 1.0):
            return perfect_interval(area, self.units)
        if variance <= NO_VARIANCE:
            return None
        return logit_interval(area, student(self.units - 1) * variance**0.5)

    def difference(self, first: int = 0, second: int = 1) -> tuple[float, float]:
        """Z and two-sided normal p of ``auc[first] == auc[second]``; (0, 1) for equal scores.

        Where all cases agree on a gap there is no variance: p is then that of so many coins.
        """
        gap, se = float(self.auc[first] - self.auc[second]), self.gap_error(first, second)
        if se == 0.0:
            sure = gap != 0.0
            return (float(np.sign(gap)) * np.inf, 2.0 * 0.5**self.units) if sure else (0.0, 1.0)
        return gap / se, float(2.0 * stats.norm.sf(abs(gap / se)))

    def gap_error(self, first: int = 0, second: int = 1) -> float:
        """Standard error of ``auc[first] - auc[second]``; 0 where it is rounding alone."""
        c = self.covariance
        variance = float(c[first, first] + c[second, second] - 2.0 * c[first, second])
        return variance**0.5 if variance > NO_VARIANCE else 0.0


@dataclass(frozen=True)
class Paired:
    """The difference of two AUROCs on the same cases.

    Attributes:
        difference: AUROC of the first minus that of the second.
        se: its standard error.
        z: difference over standard error; 0 for identical scores.
        p: two-sided, by the normal law.
        units: patients of the rarer label.
    """

    difference: float
    se: float
    z: float
    p: float
    units: int

    @property
    def p_few(self) -> float:
        """The same by Student's t of the rarer label's patients less one.

        The normal law rejects 9 % of true nulls at the 5 % level where five cases are positive.
        """
        if np.isinf(self.z):
            return self.p
        return float(2.0 * stats.t.sf(abs(self.z), self.units - 1))


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


def delong(labels: ArrayLike, *scores: ArrayLike, groups: Groups = None) -> DeLong:
    """AUROCs of scores of the same cases, with their covariance.

    Args:
        labels: [n] of 1 (present) and 0 (absent).
        scores: one or more [n], higher meaning present.
        groups: the patient of each case; None: every case stands alone.

    Raises:
        SynthError: labels other than 0 and 1, positives or negatives of fewer than two patients,
            or scores that are not one finite number a label.
    """
    found = _placements(labels, scores, groups)
    units = min(len(np.unique(found.of_positive)), len(np.unique(found.of_negative)))
    return DeLong(found.areas, _covariance(found), units)


def auroc_delong(labels: ArrayLike, scores: ArrayLike, groups: Groups = None) -> Estimate:
    """AUROC, its standard error and its 95 % interval on the logit scale.

    Args:
        labels: [n] of 1 (present) and 0 (absent).
        scores: [n], higher meaning present.
        groups: the patient of each case; None: every case stands alone.

    Raises:
        SynthError: as ``delong``.
    """
    found = delong(labels, scores, groups=groups)
    area, ends = float(found.auc[0]), found.interval()
    se = float(np.sqrt(max(found.covariance[0, 0], 0.0)))
    how = "DeLong" if groups is None else "DeLong, clustered by patient (Obuchowski)"
    if ends is None:  # no variance without separation: all scores of a class are equal
        return Estimate(area, se, None, how, ALIKE)
    if area in (0.0, 1.0):
        return Estimate(area, se, ends, f"{how}, exact one-class bound", PERFECT)
    return Estimate(area, se, ends, f"{how}, logit interval")


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
        SynthError: as ``delong``.
    """
    found = delong(labels, one, two, groups=groups)
    z, p = found.difference()
    return Paired(float(found.auc[0] - found.auc[1]), found.gap_error(), z, p, found.units)


def _placements(labels: ArrayLike, scores: tuple[ArrayLike, ...], groups: Groups) -> _Placements:
    present = presence(labels, "delong")
    names = np.unique(group_names(len(present), groups, side="delong"), return_inverse=True)[1]
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
        values = finite_scores(score, present, "delong")
        both = stats.rankdata(np.concatenate([values[present], values[~present]]))
        positive[row] = (both[:m] - stats.rankdata(values[present])) / n
        negative[row] = 1.0 - (both[m:] - stats.rankdata(values[~present])) / m
    return _Placements(positive.mean(axis=1), positive, negative, names[present], names[~present])


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
