"""Share of synthetic images closer to the training set than the closest unseen patients are.

The limit is the r-th smallest of h unseen patients' distances (of a patient's images the closest
counts), r about 1 % of h and at least 1. It is itself a draw: of an honest generator's images a
share of Beta(r, h - r + 1) lies below it, r / (h + 1) on average (Rényi 1953). That is 0.01 for
many patients and far more for few: 0.05 for twenty. The count of m such images is beta-binomial,
which gives an exact one-sided p at any h and m.

The interval is of a quantity that does not change with the draw: the chance that a synthetic image
lies below the quantile r / (h + 1) of *all* unseen patients. Order statistics bound that quantile
without any assumption (Thompson 1936), exact binomial limits the share below each bound (Clopper &
Pearson 1934), and each takes half of what may go wrong. No order statistic bounds so small a
quantile from below where there are fewer than about 450 patients: there the interval is withheld,
and its upper end stands alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from metrics.arrays import Floats
from metrics.clustered import effective_cases
from metrics.intervals import LEVEL
from metrics.records import Estimate

CLOSE = 0.01  # share of unseen patients that set the limit
_TAIL = (1.0 - LEVEL) / 4  # of each side, for the quantile and for the share alike
_HOW = (
    "share below the closest 1 % of unseen patients (at least one), beta-binomial p; interval of "
    "the share below that quantile of all unseen patients, by order statistics and exact limits"
)


@dataclass(frozen=True)
class ShareCloser:
    """How many synthetic images lie below the limit, and what that says.

    Attributes:
        estimate: the share, and the interval of the chance below the quantile ``expected`` of all
            unseen patients.
        expected: what an honest generator gives on average, r / (h + 1).
        p: chance that an honest generator gives as many or more, over both sets.
        at_most: upper end of the interval, also where its lower end is withheld.
        limit: the distance.
        rank: r, of how many patients the limit is the largest distance.
        patients: h.
    """

    estimate: Estimate
    expected: float
    p: float
    at_most: float
    limit: float
    rank: int
    patients: int


def share_closer(
    *, synthetic: Floats, held_out: Floats, made: Sequence[str], unseen: Sequence[str]
) -> ShareCloser:
    """Hold distances of synthetic images against those of unseen patients.

    Args:
        synthetic: [m] distance of each synthetic image to its nearest training image.
        held_out: [h images] the same of unseen real images.
        made: [m] which synthetic images belong together; they count as one case.
        unseen: [h images] the patient of each unseen image. Each counts once, by the closest image:
            more images of a patient make the test conservative.
    """
    nearest = closest_of_each(held_out, unseen)
    patients, rank = len(nearest), limit_rank(len(nearest))
    expected, limit = rank / (patients + 1), float(nearest[rank - 1])
    share, cases = float((synthetic < limit).mean()), effective_cases(made)
    below = int(share * cases + 1e-9)
    low, high = _quantile_ranks(patients, expected)
    at_least = _exact(float((synthetic < nearest[low - 1]).mean()), cases)[0] if low else 0.0
    at_most = 1.0
    if high <= patients:
        at_most = _exact(float((synthetic < nearest[high - 1]).mean()), cases)[1]
    note = f"{expected:.2g} is expected without memorization"
    if not low:
        note += (
            f"; interval withheld: {patients} unseen patients do not bound so small a quantile "
            f"from below, read p; at most {at_most:.2g}"
        )
    return ShareCloser(
        Estimate(share, None, (at_least, at_most) if low else None, _HOW, note),
        expected=expected,
        p=beta_binomial_p(below, cases, rank=rank, patients=patients),
        at_most=at_most,
        limit=limit,
        rank=rank,
        patients=patients,
    )


def closest_of_each(distances: Floats, patients: Sequence[str]) -> Floats:
    """The smallest distance of each patient, ascending."""
    unique, which = np.unique(patients, return_inverse=True)
    smallest = np.full(len(unique), np.inf)
    np.minimum.at(smallest, which, distances)
    return np.sort(smallest)


def limit_rank(patients: int) -> int:
    """Which of the patients' distances, ascending from 1, is the limit."""
    return max(1, int(CLOSE * patients + 1e-9))  # 0.01 * 2900 is below 29


def beta_binomial_p(below: int, cases: int, *, rank: int, patients: int) -> float:
    """Chance of ``below`` or more of ``cases`` draws under the rank-th of as many from the same."""
    return float(stats.betabinom(cases, rank, patients - rank + 1).sf(below - 1))


def _quantile_ranks(patients: int, share: float) -> tuple[int, int]:
    """Ranks between which a quantile lies, 1 … h; 0 and h + 1 where nothing bounds it.

    X(k) lies at or above the quantile as often as fewer than k of h draws fall below it.
    """
    below = stats.binom(patients, share)
    at = np.arange(patients)
    low = int((below.cdf(at) <= _TAIL).sum())
    return low, int(below.ppf(1.0 - _TAIL)) + 1


def _exact(share: float, cases: int) -> tuple[float, float]:
    """Clopper-Pearson limits of a share, each wrong with chance ``_TAIL``; not whole counts too."""
    count = share * cases
    low = float(stats.beta.ppf(_TAIL, count, cases - count + 1)) if count > 0 else 0.0
    high = float(stats.beta.ppf(1.0 - _TAIL, count + 1, cases - count)) if count < cases else 1.0
    return low, high
