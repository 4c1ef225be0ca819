"""Intervals of a mean, a share and an AUROC from their block jackknife, patients kept whole.

A t interval leaves 0..1 and has no width where every block says the same. A share therefore gets
Wilson's interval at the number of independent cases that its jackknife error stands for (Franco et
al. 2019, "Comparative study of confidence intervals for proportions in complex sample surveys"),
never more than there are units; an AUROC is built on the logit scale.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metrics.arrays import Floats, block_count, blocks
from metrics.intervals import (
    jackknife,
    logit_interval,
    perfect_interval,
    student,
    wilson_of_share,
)
from metrics.records import Estimate, Interval

BLOCKS = 20
LEAST_UNITS = 10  # patients, or single images, below which no interval is shown
_NO_SPREAD = 1e-12  # a standard error that is rounding alone


def unit_blocks(units: tuple[str, ...], *, seed: int, side: str) -> NDArray[np.intp]:
    """The block of each row, [n], of at most ``BLOCKS``; rows of one unit share a block."""
    number = block_count(len(units), units, most=BLOCKS)
    return blocks(len(units), units, number=number, seed=seed, side=side)


def mean_variance(values: Floats, names: Sequence[str]) -> float:
    """Of a mean over clusters: Σ (cluster sum of deviations)² / n², small-sample corrected.

    Args:
        values: [n].
        names: [n], the cluster of each; NaN comes back for a single one.
    """
    _, cluster = np.unique(names, return_inverse=True)
    sums = np.bincount(cluster, weights=values - values.mean())
    count = len(sums)
    if count < 2:
        return float("nan")
    return float((sums**2).sum() / len(values) ** 2 * count / (count - 1))


def effective_number(names: ArrayLike) -> float:
    """Independent cases that clustered rows are worth at least: (Σ n)² / Σ n² (Kish 1965)."""
    sizes = np.unique(names, return_counts=True)[1]
    return float(sizes.sum() ** 2 / (sizes**2).sum())


def effective_cases(names: Sequence[str]) -> int:
    """The same in whole cases, rounded down."""
    return int(effective_number(names))


def mean_estimate(full: float, without: Floats, units: int, note: str = "") -> Estimate:
    """An unbounded statistic with Student's t interval.

    Args:
        full: on all rows.
        without: [g] with each block left out.
        units: patients, or rows that stand alone.
        note: what a reader must know.
    """
    return _estimate(full, without, units, note, "t interval", lambda se: _t(full, se, without))


def share_estimate(full: float, without: Floats, units: int, note: str = "") -> Estimate:
    """A share of 0..1 with Wilson's interval at the effective number of cases; as above."""
    how = "Wilson interval at the effective N"
    return _estimate(full, without, units, note, how, lambda se: _wilson(full, se, units, without))


def area_estimate(full: float, without: Floats, units: int, note: str = "") -> Estimate:
    """An AUROC with an interval on the logit scale; at 0 or 1 the exact bound of its units."""
    how = "logit interval"
    return _estimate(full, without, units, note, how, lambda se: _logit(full, se, units, without))


def _estimate(
    full: float,
    without: Floats,
    units: int,
    note: str,
    how: str,
    bounded: Callable[[float], Interval | None],
) -> Estimate:
    name = f"{len(without)}-block jackknife by unit, {how}"
    if units < LEAST_UNITS or not np.isfinite(without).all():
        why = f"interval withheld: {units} independent units, {LEAST_UNITS} are needed"
        if units >= LEAST_UNITS:
            why = "interval withheld: without some patients there is nothing left to measure"
        return Estimate(full, None, None, name, "; ".join(filter(None, (note, why))))
    found = jackknife(full, without, bias_reduced=False)
    ci = bounded(found.se or 0.0)
    if ci is None:
        note = "; ".join(filter(None, (note, "interval withheld: all units say the same")))
    return Estimate(full, found.se, ci, name, note, without=found.without)


def _t(mean: float, se: float, without: Floats) -> Interval | None:
    half = student(len(without) - 1) * se
    return (mean - half, mean + half) if se > _NO_SPREAD else None


def _wilson(share: float, se: float, units: int, without: Floats) -> Interval:
    spread = share * (1.0 - share)
    cases = min(float(units), spread / se**2) if se > 0.0 and spread > 0.0 else float(units)
    return wilson_of_share(share, cases, student(len(without) - 1))


def _logit(area: float, se: float, units: int, without: Floats) -> Interval | None:
    if 0.0 < area < 1.0 and se <= _NO_SPREAD:
        return None
    if not 0.0 < area < 1.0:
        return perfect_interval(area, units)
    return logit_interval(area, student(len(without) - 1) * se)
