"""Intervals of a mean and of a difference from those of their parts.

Near 0 or 1 the parts' intervals are lopsided, and one of a part that is perfect is not of no width.
The method of variance estimates recovery (MOVER) keeps both: what each interval reaches below its
value is combined for the lower end, what it reaches above for the upper one (Zou & Donner 2008; for
correlated AUROCs Zou & Yue 2013). Correlations are those of bootstrap draws.
"""

from __future__ import annotations

import math

import numpy as np

from metrics.arrays import Floats
from metrics.records import Interval

_NO_SPREAD = 1e-12  # a standard deviation that is rounding alone
_LEAST_DRAWS = 20  # in which both parts are defined, below which their correlation is unknown


def mean_interval(values: Floats, bounds: Floats, correlation: Floats) -> Interval:
    """Of the mean of k values.

    Args:
        values: float64 [k].
        bounds: float64 [k, 2], the interval of each.
        correlation: float64 [k, k] of the values' errors; NaN where unknown, and then taken as 0:
            other patients carry another finding.
    """
    centre = float(values.mean())
    below = mean_error(values - bounds[:, 0], correlation)
    return centre - below, centre + mean_error(bounds[:, 1] - values, correlation)


def mean_error(errors: Floats, correlation: Floats) -> float:
    """Of the mean of k values with these errors; NaN correlations are taken as 0, as above."""
    known = np.where(np.isnan(correlation), 0.0, correlation)
    np.fill_diagonal(known, 1.0)
    return math.sqrt(max(float(errors @ known @ errors), 0.0)) / len(errors)


def difference_interval(
    one: float, one_ends: Interval, two: float, two_ends: Interval, correlation: float = 0.0
) -> Interval:
    """Of the first minus the second.

    Args:
        one: a value.
        one_ends: its interval.
        two: another one.
        two_ends: its interval.
        correlation: of their errors; NaN where unknown, and then taken as 0.
    """
    shared = 0.0 if np.isnan(correlation) else correlation

    def reach(mine: float, other: float) -> float:
        return math.sqrt(max(mine**2 + other**2 - 2.0 * shared * mine * other, 0.0))

    gap = one - two
    below = reach(one - one_ends[0], two_ends[1] - two)
    return gap - below, gap + reach(one_ends[1] - one, two - two_ends[0])


def correlations(draws: Floats) -> Floats:
    """Between k statistics over the draws in which both of a pair are defined.

    Args:
        draws: float64 [k, b], NaN where undefined.

    Returns:
        float64 [k, k]; NaN for a statistic without spread, and for pairs of few draws.
    """
    count = len(draws)
    found = np.full((count, count), np.nan)
    for row in range(count):
        for column in range(row, count):
            pair = draws[[row, column]]
            pair = pair[:, np.isfinite(pair).all(axis=0)]
            if pair.shape[1] < _LEAST_DRAWS:
                continue
            centred = pair - pair.mean(axis=1, keepdims=True)
            errors = np.sqrt((centred**2).mean(axis=1))
            if errors.min() > _NO_SPREAD:
                shared = float((centred[0] * centred[1]).mean() / errors.prod())
                found[row, column] = found[column, row] = min(1.0, max(-1.0, shared))
    return found
