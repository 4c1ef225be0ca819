"""Who is served worst: AUROC by group of patients, and who is wrongly called healthy.

Underdiagnosis is the share of images with a finding in which the classifier calls none
(Seyyed-Kalantari et al. 2021, the false positive rate of "no finding"); its gap between groups is
what a classifier that is good on average may hide.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.arrays import Floats, Groups, group_names
from metrics.clustered import effective_number
from metrics.finding_auroc import macro_columns
from metrics.ingest import ImageSet
from metrics.intervals import LEVEL, auroc, student, student_of_sum, wilson
from metrics.mover import difference_interval
from metrics.records import Interval

ATTRIBUTES = ("sex", "age_band", "view")
LEAST_SICK = 10  # images with a finding below which a group has no underdiagnosis rate
_HALF = 0.5  # the threshold of a finding that validation patients cannot set

Members = Mapping[str, NDArray[np.bool_]]


def members(images: ImageSet) -> dict[str, dict[str, NDArray[np.bool_]]]:
    """``{attribute: {group: bool [N]}}`` where at least two groups are named."""
    found = {}
    for attribute in ATTRIBUTES:
        values = [getattr(picture.row, attribute, None) or "" for picture in images.pictures]
        names = sorted(set(values) - {""})
        if len(names) > 1:
            found[attribute] = {name: np.array([v == name for v in values]) for name in names}
    return found


def thresholds(probabilities: NDArray[np.floating] | None, labels: Floats | None) -> Floats | float:
    """Of each finding, the one with the largest Youden index on validation patients.

    0.5 for a finding with fewer than five present or absent, and without validation patients.
    """
    if probabilities is None or labels is None:
        return _HALF
    found = np.full(labels.shape[1], _HALF)
    for column in macro_columns(labels):
        known = np.isfinite(labels[:, column])
        present, scores = labels[known, column] == 1, probabilities[known, column]
        levels = np.unique(scores)
        called = scores[None] >= levels[:, None]
        youden = called[:, present].mean(axis=1) - called[:, ~present].mean(axis=1)
        found[column] = levels[int(youden.argmax())]
    return found


def worst_group(
    runs: Sequence[NDArray[np.floating]], truth: Floats, groups: Mapping[str, Members]
) -> dict[str, Any] | None:
    """The group with the lowest macro AUROC, over findings that every compared group can judge.

    Returns:
        ``{"attribute", "group", "auroc", "n", "by": {attribute: {"findings", "groups", "gap"}}}``;
        None where no attribute has two groups with a finding in common.
    """
    by: dict[str, Any] = {}
    for attribute, names in groups.items():
        found = _by_group(runs, truth, names)
        if found is not None:
            by[attribute] = found
    if not by:
        return None
    area, attribute, name = min(
        (entry["auroc"], attribute, name)
        for attribute, found in by.items()
        for name, entry in found["groups"].items()
    )
    n = by[attribute]["groups"][name]["n"]
    return {"attribute": attribute, "group": name, "auroc": area, "n": n, "by": by}


def _by_group(
    runs: Sequence[NDArray[np.floating]], truth: Floats, names: Members
) -> dict[str, Any] | None:
    """AUROC of every group over the findings that most groups can judge, and those groups only."""
    able = {name: set(macro_columns(truth[rows])) for name, rows in names.items()}
    able = {name: columns for name, columns in able.items() if columns}
    common = _most_shared(list(able.values()))
    kept = [name for name, columns in able.items() if common and common <= columns]
    if len(kept) < 2:
        return None
    columns = sorted(common)
    found = {
        name: {"auroc": _mean_auroc(runs, truth, names[name], columns), "n": int(names[name].sum())}
        for name in kept
    }
    areas = [entry["auroc"] for entry in found.values()]
    return {"findings": len(columns), "groups": found, "gap": max(areas) - min(areas)}


def _most_shared(able: Sequence[set[int]]) -> set[int]:
    """The findings of the largest number of groups, at least two, then the most findings."""
    candidates = [one & two for index, one in enumerate(able) for two in able[index + 1 :]]
    candidates = [columns for columns in candidates if columns]
    if not candidates:
        return set()
    whole = set.intersection(*able)
    return whole or max(
        candidates, key=lambda c: (sum(c <= one for one in able), len(c), sorted(c))
    )


def _mean_auroc(
    runs: Sequence[NDArray[np.floating]],
    truth: Floats,
    rows: NDArray[np.bool_],
    columns: Sequence[int],
) -> float:
    values = []
    for column in columns:
        known = rows & np.isfinite(truth[:, column])
        values += [auroc(truth[known, column], run[known, column]) for run in runs]
    return float(np.mean(values))


def underdiagnosis(
    runs: Sequence[NDArray[np.floating]],
    levels: Sequence[Floats | float],
    truth: Floats,
    groups: Mapping[str, Members],
    patients: Groups = None,
) -> dict[str, Any]:
    """Shares of sick images called healthy and of findings missed, and their gaps between groups.

    Args:
        runs: float [N, findings] probabilities, one a seed; rates are means over seeds.
        levels: their thresholds.
        truth: [N, findings], 1, 0 or NaN.
        groups: as ``members``.
        patients: of each image; None: every image stands alone.

    Returns:
        ``{"rate", "missed", "n", "by": {attribute: {"groups": {name: {"rate", "missed", "n"}},
        "worst", "best", "gap", "gap_ci", "missed_gap"}}}``. The interval is of the gap between the
        two groups named worst and best, simultaneous over all pairs of groups, since the widest gap
        was picked.
    """
    sick = (truth == 1).any(axis=1)
    calls = [run >= level for run, level in zip(runs, levels, strict=True)]
    healthy = np.array([~call.any(axis=1) for call in calls], dtype=np.float64)
    missed = np.mean([((truth == 1) & ~call).sum(axis=1) for call in calls], axis=0)
    present = (truth == 1).sum(axis=1)
    by: dict[str, Any] = {}
    for attribute, names in groups.items():
        rows = {name: one & sick for name, one in names.items()}
        rows = {name: one for name, one in rows.items() if one.sum() >= LEAST_SICK}
        if len(rows) > 1:
            by[attribute] = _gaps(rows, healthy, missed, present, patients)
    return _rates(sick, healthy, missed, present) | {"by": by}


def _rates(
    rows: NDArray[np.bool_], healthy: Floats, missed: Floats, present: NDArray[np.integer]
) -> dict[str, Any]:
    count = int(rows.sum())
    if not count:
        return {"rate": None, "missed": None, "n": 0}
    return {
        "rate": float(healthy[:, rows].mean()),
        "missed": float(missed[rows].sum() / present[rows].sum()),
        "n": count,
    }


def _gaps(
    rows: Members,
    healthy: Floats,
    missed: Floats,
    present: NDArray[np.integer],
    patients: Groups,
) -> dict[str, Any]:
    found = {name: _rates(one, healthy, missed, present) for name, one in rows.items()}
    worst = max(found, key=lambda name: (found[name]["rate"], name))
    best = min(found, key=lambda name: (found[name]["rate"], name))
    names = np.array(group_names(healthy.shape[1], patients, side="test"))
    low, high = gap_interval(
        healthy[:, rows[worst]],
        healthy[:, rows[best]],
        effective_number(names[rows[worst]]),
        effective_number(names[rows[best]]),
        pairs=math.comb(len(rows), 2),
    )
    shares = [entry["missed"] for entry in found.values()]
    return {
        "groups": found,
        "worst": worst,
        "best": best,
        "gap": found[worst]["rate"] - found[best]["rate"],
        "gap_ci": [low, high],
        "missed_gap": max(shares) - min(shares),
    }


def gap_interval(
    one: Floats, two: Floats, one_cases: float, two_cases: float, *, pairs: int
) -> Interval:
    """95 % interval of a share in one group minus that in another, means over training seeds.

    Wilson's intervals of both (Newcombe 1998, method 10), with the variance of the mean over seeds.
    A patient in both groups, as with two views, moves both alike, and the interval is then wider
    than need be.

    Args:
        one: float64 [seeds, n], 1 or 0 of each image of the first group.
        two: float64 [seeds, m], of the second.
        one_cases: independent cases that the first is worth.
        two_cases: the second.
        pairs: of groups among which this one was picked; the interval holds for all (Bonferroni).
    """
    level = 1.0 - (1.0 - LEVEL) / pairs
    shares = float(one.mean()), float(two.mean())
    ends = [
        wilson(share * cases, cases, level)
        for share, cases in zip(shares, (one_cases, two_cases), strict=True)
    ]
    gap = shares[0] - shares[1]
    seeds = len(one)
    luck = float((one.mean(axis=1) - two.mean(axis=1)).var(ddof=1)) / seeds if seeds > 1 else 0.0

    def reach(of_patients: float) -> float:
        variance = (of_patients / student(np.inf, level)) ** 2
        quantile = student_of_sum((variance, luck), (np.inf, max(seeds - 1, 1)), level)
        return quantile * math.sqrt(variance + luck)

    low, high = difference_interval(shares[0], ends[0], shares[1], ends[1])
    return max(-1.0, gap - reach(gap - low)), min(1.0, gap + reach(high - gap))
