"""A score of synthetic images beside the same on real ones: the ceiling, and what is missing to it.

The two rest on independent sets of images; the interval of their difference is built from theirs
(Zou & Donner 2008), so that it also exists where one of them is perfect, and its p-value agrees
with it.
"""

from __future__ import annotations

from typing import TypedDict

from scipy import stats

from metrics.intervals import LEVEL
from metrics.mover import difference_interval
from metrics.records import Interval


class Gap(TypedDict):
    """``difference``, its ``difference_ci`` and two-sided ``p``; None where unknown."""

    difference: float | None
    difference_ci: list[float] | None
    p: float | None


def gap_to_ceiling(
    value: float | None, ci: Interval | None, real: float | None, real_ci: Interval | None
) -> Gap:
    """A score on synthetic images minus that on real ones.

    Args:
        value: on synthetic images.
        ci: its 95 % interval.
        real: on real images.
        real_ci: its 95 % interval.
    """
    if value is None or real is None:
        return {"difference": None, "difference_ci": None, "p": None}
    gap = value - real
    if ci is None or real_ci is None:
        return {"difference": gap, "difference_ci": None, "p": None}
    low, high = difference_interval(value, ci, real, real_ci)
    below, above = gap - low, high - gap
    towards_zero = below if gap > 0 else above
    p = 1.0
    if gap:
        standard = stats.norm.ppf(0.5 + LEVEL / 2)
        p = float(2 * stats.norm.sf(standard * abs(gap) / towards_zero)) if towards_zero else 0.0
    return {"difference": gap, "difference_ci": [low, high], "p": p}
