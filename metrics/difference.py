"""The difference of one number between two runs, paired where both rest on the same real images.

Both runs leave the same blocks of real patients out, so that the difference of their leave-one-out
values is the jackknife of the difference: what the shared real images add to both cancels, as the
real-real term of a kernel distance does exactly. Where synthetic images come from one plan in one
order, their blocks are shared too. Other numbers are compared as if the runs were independent.

A number whose own interval is withheld has none for its difference either, whatever its error. The
exception are those that come with leave-one-out values, sliced Wasserstein and Vendi: they have no
fixed true value, but at equal N the bias of both runs is alike, and the interval of the difference
holds what is expected of it at that N.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import hypot, log
from typing import Any

import numpy as np
from scipy import stats

from metrics.intervals import LEVEL, jackknife
from metrics.records import Interval

_Z = float(stats.norm.ppf(0.5 + LEVEL / 2))
_OF_SYNTHETIC = ("precision", "density")  # shares of synthetic images: nothing real to pair by


@dataclass(frozen=True)
class Difference:
    """Second minus first.

    Attributes:
        value: the difference.
        ci: 95 % interval; None where a run gives no standard error, or withholds its own.
        p: two-sided, that it is 0; None likewise.
        paired: whether what both runs share was taken out of the error.
    """

    value: float
    ci: Interval | None
    p: float | None
    paired: bool


def of_records(metric: str, one: Mapping[str, Any], two: Mapping[str, Any]) -> Difference | None:
    """The difference of two records of one protocol; None where a value is missing.

    Args:
        metric: ``kd_pixel``, ``coverage``.
        one: the first run's record, as in ``scores.json``.
        two: the second run's.
    """
    if one.get("value") is None or two.get("value") is None:
        return None
    value = float(two["value"]) - float(one["value"])
    if not one.get("se") or not two.get("se"):  # a share of 0 or 1 shows no spread: no certainty
        return Difference(value, None, None, paired=False)
    left, right = one.get("without") or (), two.get("without") or ()
    leaves_out = len(left) == len(right) >= 3 and metric.split("_")[0] not in _OF_SYNTHETIC
    if leaves_out:
        gaps = np.asarray(right, dtype=np.float64) - np.asarray(left, dtype=np.float64)
        se = jackknife(value, gaps, bias_reduced=False).se or 0.0
        return _difference(value, se, degrees=len(gaps) - 1, paired=True)
    if any("ci" in record and record["ci"] is None for record in (one, two)):
        return Difference(value, None, None, paired=False)
    return _difference(value, hypot(one["se"], two["se"]), degrees=None, paired=False)


def of_aurocs(
    one: Mapping[str, Any], two: Mapping[str, Any], key: str = "auroc"
) -> Difference | None:
    """The difference of two AUROCs on different images: their errors are independent (DeLong).

    Args:
        one: the first run's row: ``key``, ``ci`` and, if known, ``se``.
        two: the second run's.
        key: of the AUROC.
    """
    if one.get(key) is None or two.get(key) is None:
        return None
    value = float(two[key]) - float(one[key])
    first, second = _auroc_error(one, key), _auroc_error(two, key)
    if first is None or second is None:
        return Difference(value, None, None, paired=False)
    return _difference(value, hypot(first, second), degrees=None, paired=False)


def _auroc_error(row: Mapping[str, Any], key: str) -> float | None:
    """The standard error, or the one that the interval's width on the logit scale implies."""
    if row.get("se"):
        return float(row["se"])
    area, ci = float(row[key]), row.get("ci")
    if ci is None:
        return None
    low, high = ci
    if not (0.0 < low < area < high < 1.0):  # at an end of 0..1 the width is all there is
        return float(high - low) / (2 * _Z)
    width = log(high / (1.0 - high)) - log(low / (1.0 - low))
    return width / (2 * _Z) * area * (1.0 - area)


def _difference(value: float, se: float, *, degrees: int | None, paired: bool) -> Difference:
    if se == 0.0:  # no spread at all: the same images, or a number without error
        return Difference(value, (value, value), 1.0 if value == 0.0 else 0.0, paired)
    law = stats.norm if degrees is None else stats.t(degrees)
    half = float(law.ppf(0.5 + LEVEL / 2)) * se
    p = float(2.0 * law.sf(abs(value) / se))
    return Difference(value, (value - half, value + half), p, paired)
