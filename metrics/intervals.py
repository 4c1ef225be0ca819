"""Intervals: patient bootstrap, block jackknife, Wilson for a share, the logit scale."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.special import expit

from metrics.arrays import Floats, Groups, group_names
from metrics.records import Estimate, Interval
from synth.errors import SynthError
from synth.seeding import numpy_rng

LEVEL = 0.95


def auroc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve, ties counted half.

    Raises:
        SynthError: labels other than 0 and 1, none of either, or scores that are not one finite
            number a label.
    """
    truth = presence(labels, "auroc")
    m, n = int(truth.sum()), int((~truth).sum())
    if not m or not n:
        raise SynthError(
            "an AUROC needs a positive and a negative", got=f"{m} positives, {n} negatives"
        )
    ranks = stats.rankdata(finite_scores(scores, truth, "auroc"))
    return float((ranks[truth].sum() - m * (m + 1) / 2) / (m * n))


def presence(labels: ArrayLike, where: str) -> NDArray[np.bool_]:
    """Which of [n] labels are 1.

    Raises:
        SynthError: labels other than 0 and 1, or not a list.
    """
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


def finite_scores(scores: ArrayLike, truth: NDArray[np.bool_], where: str) -> Floats:
    """Scores as float64 [n].

    Raises:
        SynthError: not one finite number a label.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.shape != truth.shape:
        raise SynthError(
            "one score a label is needed", where=where, got=values.shape, expected=truth.shape
        )
    if not np.isfinite(values).all():
        raise SynthError("scores hold NaN or infinite values", where=where)
    return values


def logit_interval(area: float, reach: float) -> Interval:
    """Interval of an AUROC strictly between 0 and 1 on the logit scale, which stays inside it.

    Args:
        area: in 0..1, ends left out.
        reach: its standard error times a quantile, above 0.
    """
    half = reach / (area * (1.0 - area))
    centre = float(np.log(area / (1.0 - area)))
    return float(expit(centre - half)), float(expit(centre + half))


def perfect_interval(area: float, units: int) -> Interval:
    """Interval of an AUROC, or share, of 0 or 1, which shows no variance.

    Of 1, the lower end is that at which ``units`` independent cases would all be right with 2.5 %
    probability; of 0, the mirror image.
    """
    bound = float(((1.0 - LEVEL) / 2) ** (1.0 / units))
    return (bound, 1.0) if area == 1.0 else (0.0, 1.0 - bound)


def student(degrees: float, level: float = LEVEL) -> float:
    """Two-sided quantile of Student's t; the normal one for infinite degrees of freedom."""
    return float(stats.t.ppf(0.5 + level / 2, degrees))


def student_of_sum(
    variances: Sequence[float], degrees: Sequence[float], level: float = LEVEL
) -> float:
    """By what the error of a sum of independent errors is multiplied for its interval.

    Each part counts with Student's quantile of its own degrees of freedom, and their squares are
    added, as intervals of independent estimates are (Zou & Donner 2008). One t whose degrees are
    Satterthwaite's is too narrow where a part of one degree comes out small by luck: of gains over
    two training seeds 84 to 87 % of 95 % intervals held, where this way 94 % and more do
    (``tests/metrics/test_every_interval.py``).

    >>> round(student_of_sum([1.0, 0.0], [4, 1]), 3) == round(student(4), 3)
    True

    Args:
        variances: of the parts, as estimated.
        degrees: of freedom of each.
        level: of confidence.
    """
    total = sum(variances)
    if total <= 0.0:
        return student(np.inf, level)
    pairs = zip(variances, degrees, strict=True)
    return math.sqrt(sum(student(of, level) ** 2 * one for one, of in pairs if one > 0.0) / total)


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
    half = student(g - 1) * se
    name = f"{g}-block jackknife" + (", bias reduced" if bias_reduced else "")
    left_out = tuple(without.tolist())
    return Estimate(value, se, (value - half, value + half), name, without=left_out)


def wilson(successes: float, trials: float, level: float = LEVEL) -> Interval:
    """Wilson's score interval of a share (Wilson 1927); counts may be effective, not whole."""
    if trials < 1:
        raise SynthError("a share needs at least one trial", where="wilson", got=trials)
    if not 0 <= successes <= trials:
        raise SynthError("a share lies in 0..1", where="wilson", got=f"{successes} of {trials}")
    return wilson_of_share(successes / trials, trials, student(np.inf, level))


def wilson_of_share(share: float, cases: float, quantile: float) -> Interval:
    """The same of a share of so many cases, with the quantile given: the normal or a Student's."""
    squared = quantile**2
    centre = (share + squared / (2 * cases)) / (1 + squared / cases)
    spread = share * (1.0 - share) / cases + squared / (4 * cases**2)
    half = quantile / (1 + squared / cases) * math.sqrt(spread)
    low = 0.0 if share == 0.0 else max(0.0, centre - half)  # exact, whatever the rounding
    return low, 1.0 if share == 1.0 else min(1.0, centre + half)


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
    truth = presence(labels, "bootstrap")
    _, rank = np.unique(finite_scores(scores, truth, "bootstrap"), return_inverse=True)
    order = np.argsort(rank, kind="stable")
    starts = np.flatnonzero(np.diff(rank[order], prepend=-1))
    ordered = weights[:, order]
    positive = np.add.reduceat(ordered * truth[order], starts, axis=1)
    negative = np.add.reduceat(ordered * ~truth[order], starts, axis=1)
    below = np.cumsum(negative, axis=1) - 0.5 * negative  # ties count half
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(pairs > 0, (positive * below).sum(axis=1) / pairs, np.nan))


def widened(ends: Interval, value: float, n: int, quantile: float) -> Interval:
    """A bootstrap interval of n patients about its value, n at least 2.

    Resampling n has (n - 1) / n of the variance, and the normal law's quantile in place of the
    one given: both are made up for. The value stays inside.

    Args:
        ends: the percentiles.
        value: the estimate.
        n: patients, of the rarer label where there are two.
        quantile: by which its error is to be multiplied, as ``student_of_sum``.
    """
    n = max(n, 2)
    wider = quantile / student(np.inf) * math.sqrt(n / (n - 1))
    low, high = (value + wider * (end - value) for end in ends)
    return min(low, value), max(high, value)


def percentile_interval(draws: NDArray[np.float64]) -> Interval | None:
    """95 % percentile interval of bootstrap draws, undefined draws left out."""
    kept = draws[np.isfinite(draws)]
    if len(kept) < 20:
        return None
    low, high = np.quantile(kept, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
