"""Intervals: DeLong for an AUROC, patient bootstrap, block jackknife, Wilson for a share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from metrics.arrays import Floats, Groups, group_names
from metrics.records import Estimate, Interval
from synth.errors import SynthError
from synth.seeding import numpy_rng

LEVEL = 0.95


@dataclass(frozen=True)
class DeLong:
    """AUROCs of k scores on the same cases and their covariance.

    Attributes:
        auc: float64 [k].
        covariance: float64 [k, k].
    """

    auc: Floats
    covariance: Floats

    def interval(self, index: int = 0) -> Interval:
        """95 % interval on the logit scale, which stays inside [0, 1].

        Of no width where the variance is zero: see ``auroc_interval`` for perfect separation.
        """
        auc, variance = float(self.auc[index]), float(self.covariance[index, index])
        return _logit_interval(auc, variance)

    def difference(self, first: int = 0, second: int = 1) -> tuple[float, float]:
        """Z and two-sided p of ``auc[first] == auc[second]``; (0, 1) for identical scores."""
        c = self.covariance
        variance = float(c[first, first] + c[second, second] - 2.0 * c[first, second])
        gap = float(self.auc[first] - self.auc[second])
        if variance <= 1e-15:
            return (0.0, 1.0) if gap == 0.0 else (float(np.sign(gap)) * np.inf, 0.0)
        z = gap / variance**0.5
        return z, float(2.0 * stats.norm.sf(abs(z)))


def delong(labels: ArrayLike, *scores: ArrayLike) -> DeLong:
    """AUROC with DeLong's covariance by mid-ranks, O(N log N) (Sun & Xu 2014, algorithm 2).

    Args:
        labels: [n] of 1 (present) and 0 (absent).
        scores: one or more [n], higher meaning present.

    Raises:
        SynthError: labels other than 0 and 1, fewer than two of either, or scores that are not one
            finite number a label.
    """
    present = _presence(labels, "delong")
    m, n = int(present.sum()), int((~present).sum())
    if m < 2 or n < 2:
        raise SynthError(
            "an AUROC interval needs two positives and two negatives",
            got=f"{m} positives, {n} negatives",
        )
    positive_parts, negative_parts, areas = [], [], []
    for score in scores:
        values = _scores(score, present, "delong")
        both = stats.rankdata(np.concatenate([values[present], values[~present]]))
        v10 = (both[:m] - stats.rankdata(values[present])) / n
        v01 = 1.0 - (both[m:] - stats.rankdata(values[~present])) / m
        positive_parts.append(v10)
        negative_parts.append(v01)
        areas.append(float(v10.mean()))
    covariance = (
        np.atleast_2d(np.cov(positive_parts)) / m + np.atleast_2d(np.cov(negative_parts)) / n
    )
    return DeLong(np.array(areas), covariance)


def auroc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve, ties counted half.

    Raises:
        SynthError: labels other than 0 and 1, none of either, or scores that are not one finite
            number a label.
    """
    truth = _presence(labels, "auroc")
    m, n = int(truth.sum()), int((~truth).sum())
    if not m or not n:
        raise SynthError(
            "an AUROC needs a positive and a negative", got=f"{m} positives, {n} negatives"
        )
    ranks = stats.rankdata(_scores(scores, truth, "auroc"))
    return float((ranks[truth].sum() - m * (m + 1) / 2) / (m * n))


def _presence(labels: ArrayLike, where: str) -> NDArray[np.bool_]:
    truth = np.asarray(labels)
    if truth.ndim != 1 or not np.isin(truth, (0, 1)).all():
        strange = np.setdiff1d(truth, (0, 1))[:3].tolist()
        raise SynthError(
            "labels must be a list of 0 and 1",
            where=where,
            got=strange or truth.shape,
            fix="Leave out uncertain and unstated labels first.",
        )
    return np.asarray(truth == 1)


def _scores(scores: ArrayLike, truth: NDArray[np.bool_], where: str) -> Floats:
    values = np.asarray(scores, dtype=np.float64)
    if values.shape != truth.shape:
        raise SynthError(
            "one score a label is needed", where=where, got=values.shape, expected=truth.shape
        )
    if not np.isfinite(values).all():
        raise SynthError("scores hold NaN or infinite values", where=where)
    return values


def _logit_interval(auc: float, variance: float) -> Interval:
    if auc <= 0.0 or auc >= 1.0 or variance <= 0.0:
        return auc, auc
    z = float(stats.norm.ppf(0.5 + LEVEL / 2))
    centre = np.log(auc / (1.0 - auc))
    half = z * variance**0.5 / (auc * (1.0 - auc))
    low, high = centre - half, centre + half
    return float(1.0 / (1.0 + np.exp(-low))), float(1.0 / (1.0 + np.exp(-high)))


def auroc_interval(labels: ArrayLike, scores: ArrayLike) -> tuple[float, Interval]:
    """AUROC with its 95 % DeLong interval.

    A perfect separation has no DeLong variance; its lower bound is then the exact one-class bound:
    the AUROC at which as many independent pairs as the rarer class has cases would all be ordered
    rightly with 2.5 % probability.
    """
    found = delong(labels, scores)
    area = float(found.auc[0])
    truth = np.asarray(labels)
    rare = int(min((truth == 1).sum(), (truth == 0).sum()))
    bound = ((1.0 - LEVEL) / 2) ** (1.0 / rare)
    if area >= 1.0:
        return area, (bound, 1.0)
    if area <= 0.0:
        return area, (0.0, 1.0 - bound)
    return area, found.interval()


def jackknife(full: float, without: Floats, *, bias_reduced: bool) -> Estimate:
    """Block jackknife (Efron & Stein 1981) from leave-one-block-out values, Student t interval.

    Args:
        full: the statistic on all blocks.
        without: [g] the statistic with each block left out.
        bias_reduced: report ``g·full - (g-1)·mean(without)`` instead of ``full``.
    """
    g = len(without)
    mean = float(without.mean())
    value = g * full - (g - 1) * mean if bias_reduced else full
    se = float(np.sqrt((g - 1) / g * ((without - mean) ** 2).sum()))
    half = float(stats.t.ppf(0.5 + LEVEL / 2, g - 1)) * se
    name = f"{g}-block jackknife" + (", bias reduced" if bias_reduced else "")
    left_out = tuple(without.tolist())
    return Estimate(value, se, (value - half, value + half), name, without=left_out)


def wilson(successes: int, trials: int) -> Interval:
    """Wilson's 95 % score interval of a share (Wilson 1927)."""
    if trials < 1:
        raise SynthError("a share needs at least one trial", where="wilson", got=trials)
    if not 0 <= successes <= trials:
        raise SynthError("a share lies in 0..1", where="wilson", got=f"{successes} of {trials}")
    z = float(stats.norm.ppf(0.5 + LEVEL / 2))
    share = successes / trials
    centre = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    low = 0.0 if successes == 0 else float(centre - half)  # exact, whatever the rounding
    return low, 1.0 if successes == trials else float(centre + half)


def resampling_weights(count: int, groups: Groups, *, resamples: int, seed: int) -> Floats:
    """How often each row occurs in bootstrap resamples of whole groups (patients).

    Returns:
        float64 [resamples, count].
    """
    names = group_names(count, groups, side="bootstrap")
    unique, inverse = np.unique(names, return_inverse=True)
    rng = numpy_rng("metrics", "bootstrap", seed)
    picks = rng.multinomial(len(unique), np.full(len(unique), 1 / len(unique)), size=resamples)
    return picks[:, inverse].astype(np.float64)


def weighted_aurocs(labels: ArrayLike, scores: ArrayLike, weights: Floats) -> Floats:
    """AUROC under each row of weights; NaN where a class is absent from a resample.

    Args:
        labels: [n] of 0 and 1.
        scores: [n].
        weights: [b, n] non-negative.

    Returns:
        float64 [b].
    """
    truth = _presence(labels, "bootstrap")
    _, rank = np.unique(_scores(scores, truth, "bootstrap"), return_inverse=True)
    order = np.argsort(rank, kind="stable")
    starts = np.flatnonzero(np.diff(rank[order], prepend=-1))
    ordered = weights[:, order]
    positive = np.add.reduceat(ordered * truth[order], starts, axis=1)
    negative = np.add.reduceat(ordered * ~truth[order], starts, axis=1)
    below = np.cumsum(negative, axis=1) - 0.5 * negative  # ties count half
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(pairs > 0, (positive * below).sum(axis=1) / pairs, np.nan))


def percentile_interval(draws: NDArray[np.float64]) -> Interval | None:
    """95 % percentile interval of bootstrap draws, undefined draws left out."""
    kept = draws[np.isfinite(draws)]
    if len(kept) < 20:
        return None
    low, high = np.quantile(kept, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
