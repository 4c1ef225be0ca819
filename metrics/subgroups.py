"""Each group of patients on its own: sex, age band, view, source or site, and the widest gap.

A synthetic image belongs to the group that it was conditioned on; where a generator knows no sex,
nothing is said of sexes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
from scipy import stats

from metrics.group_scores import scores_of_groups
from metrics.groups import Group, GroupScores, Sides
from metrics.ingest import SUBGROUPS, ImageSet
from metrics.intervals import LEVEL
from metrics.records import Interval, Missing

WHAT = "per-subgroup"
_SPLIT = "\n"  # between column and value: in no name


@dataclass(frozen=True)
class Gap:
    """How much worse the generator serves one group of a column than another.

    Attributes:
        worst: the group with the largest kernel distance.
        best: the one with the smallest.
        value: the difference of their kernel distances.
        ci: 95 % interval, simultaneous over all pairs of groups, since the widest gap was picked.
        p: that it is 0, corrected for all pairs (Bonferroni).
        pairs: how many those are.
    """

    worst: str
    best: str
    value: float
    ci: Interval | None
    p: float | None
    pairs: int

    def to_json(self) -> dict[str, Any]:
        """JSON types only."""
        return asdict(self) | {"ci": None if self.ci is None else list(self.ci)}


@dataclass(frozen=True)
class Subgroups:
    """Scores by column and value, and the widest gap of each column."""

    scores: Mapping[str, Mapping[str, GroupScores]] = field(default_factory=dict)
    gaps: Mapping[str, Gap] = field(default_factory=dict)


def per_subgroup(sides: Sides) -> tuple[Subgroups, list[Missing]]:
    """Scores of every group that enough images of both sides belong to.

    Args:
        sides: both sets. The p-values of all columns together are one family.

    Returns:
        The scores, and what could not be computed.
    """
    real, synthetic = sides.real, sides.synthetic
    groups: list[Group] = []
    reasons: dict[str, list[str]] = {}
    for column in SUBGROUPS:
        found, why = _groups(column, real, synthetic, sides.train)
        groups.extend(found)
        if why:
            reasons.setdefault(why, []).append(column)
    missing = [Missing(WHAT, f"{why}: {', '.join(of)}") for why, of in reasons.items()]
    if not real.subgroups and not synthetic.subgroups:
        missing = [Missing(WHAT, f"no image states {', '.join(SUBGROUPS)}")]
    scores, small = scores_of_groups(groups, sides, what=WHAT)
    by_column: dict[str, dict[str, GroupScores]] = {}
    for name, held in scores.items():
        column, _, value = name.partition(_SPLIT)
        by_column.setdefault(column, {})[value] = held
    gaps = {column: gap for column, held in by_column.items() if (gap := widest_gap(held))}
    small = [Missing(item.what, item.why.replace(_SPLIT, " ")) for item in small]
    return Subgroups(by_column, gaps), [*missing, *small]


def _groups(
    column: str, real: ImageSet, synthetic: ImageSet, train: ImageSet | None
) -> tuple[list[Group], str]:
    """The groups of a column that both sides state, or why there are none."""
    one, two = real.subgroups.get(column), synthetic.subgroups.get(column)
    if one is None and two is None:
        return [], ""  # nobody speaks of it
    if one is None or two is None:
        return [], f"{'real' if one is None else 'synthetic'} images do not state"
    shared = sorted({value for value in one if value} & {value for value in two if value})
    if not shared:
        return [], "real and synthetic images have no value in common"
    truth, asked = np.array(one, dtype=object), np.array(two, dtype=object)
    known = np.flatnonzero([value is not None for value in one])
    taught = None if train is None else train.subgroups.get(column)
    rows = None if taught is None else np.array(taught, dtype=object)
    return [
        Group(
            f"{column}{_SPLIT}{value}",
            np.flatnonzero(truth == value),
            np.flatnonzero(asked == value),
            known,
            None if rows is None else np.flatnonzero(rows == value),
        )
        for value in shared
    ], ""


def widest_gap(scores: Mapping[str, GroupScores]) -> Gap | None:
    """The widest gap in kernel distance between two groups; None where there is but one group.

    Their errors are taken as independent. A patient in both, as with two views, moves both alike,
    and the interval is then wider than need be.
    """
    if len(scores) < 2:
        return None
    records = {name: held.records["kd"] for name, held in scores.items()}
    values = {name: float(record.value or 0.0) for name, record in records.items()}
    worst, best = max(values, key=values.__getitem__), min(values, key=values.__getitem__)
    pairs = len(list(combinations(values, 2)))
    gap = values[worst] - values[best]
    one, two = records[worst], records[best]
    if one.se is None or two.se is None:
        return Gap(worst, best, gap, None, None, pairs)
    se = float(np.hypot(one.se, two.se))
    degrees = min(len(one.without), len(two.without)) - 1
    half = float(stats.t.ppf(1.0 - (1.0 - LEVEL) / (2 * pairs), degrees)) * se
    p = min(1.0, pairs * 2.0 * float(stats.t.sf(gap / se, degrees))) if se > 0 else None
    return Gap(worst, best, gap, (gap - half, gap + half), p, pairs)
