"""What an arm gains over training on real images alone, for a finding and for their mean.

Both arms are judged on the same patients, so their errors are correlated; how much is read off
bootstrap draws. The interval of the difference is built from those of the two AUROCs
(``metrics.mover``), which near 1 are lopsided, and of some width where an arm is perfect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metrics.arrays import Floats
from metrics.finding_auroc import WITHHELD, mean_over_findings
from metrics.intervals import percentile_interval, widened
from metrics.mover import correlations, difference_interval, mean_interval
from metrics.records import Estimate, Interval
from metrics.seed_luck import seeds_and_patients


@dataclass(frozen=True)
class Gain:
    """AUROC of an arm, and what it gains.

    Attributes:
        arm: its AUROC, mean over training seeds.
        base: that of training on real images alone.
        delta_ci: 95 % interval of the difference; None where either AUROC has none.
    """

    arm: Estimate
    base: Estimate
    delta_ci: Interval | None

    @property
    def delta(self) -> float:
        """The arm's AUROC minus that of real images alone."""
        return self.arm.value - self.base.value

    @property
    def note(self) -> str:
        """Why an interval is withheld, else empty."""
        if self.arm.ci is None:
            return self.arm.note
        if self.base.ci is None:
            return f"{WITHHELD}of the gain: {self.base.note.removeprefix(WITHHELD)}"
        return ""


def same(arm: Estimate) -> Gain:
    """Of training on real images alone over itself: nothing, for certain."""
    return Gain(arm, arm, (0.0, 0.0))


def gain(arm: Estimate, base: Estimate, draws: Floats, base_draws: Floats) -> Gain:
    """Of one finding.

    Args:
        arm: its AUROC.
        base: that of training on real images alone.
        draws: float64 [b], the arm's AUROC over resampled patients and seeds.
        base_draws: the same resamples of the other.
    """
    if arm.ci is None or base.ci is None:
        return Gain(arm, base, None)
    shared = float(correlations(np.array([draws, base_draws]))[0, 1])
    ends = difference_interval(arm.value, arm.ci, base.value, base.ci, shared)
    return Gain(arm, base, ends)


def mean_gain(
    gains: Sequence[Gain | None],
    draws: Floats,
    base_draws: Floats,
    *,
    fewest: int,
    seeds: Floats,
) -> Gain | None:
    """Of the mean over findings; None without any.

    A bootstrap of patients and seeds, widened for the few of either. Where no draw differs, both
    arms being perfect, the interval is built from those of the findings: what was not seen to
    differ is not certain.

    Args:
        gains: of each finding.
        draws: float64 [findings, b], AUROCs of the arm over resampled patients and seeds.
        base_draws: the same resamples of training on real images alone.
        fewest: patients of the rarest label of any finding.
        seeds: float64 [seeds], the gain of each training seed.
    """
    known = [one for one in gains if one is not None]
    if not known:
        return None
    arm = mean_over_findings([one.arm for one in known], draws)
    base = mean_over_findings([one.base for one in known], base_draws)
    if any(one.delta_ci is None for one in known):
        return Gain(arm, base, None)
    values = np.array([one.delta for one in known])
    differences = _means(draws - base_draws)
    ends = percentile_interval(differences)
    if ends is None or ends[0] == ends[1]:
        parts = np.array([one.delta_ci for one in known])
        return Gain(arm, base, mean_interval(values, parts, correlations(draws - base_draws)))
    quantile = seeds_and_patients(differences, max(fewest, 2), seeds)
    return Gain(arm, base, widened(ends, float(values.mean()), fewest, quantile))


def _means(gains: Floats) -> Floats:
    """Mean over the findings that a draw can judge, [b]; NaN where it can judge none."""
    defined = np.isfinite(gains)
    counts = defined.sum(axis=0)
    sums = np.where(defined, gains, 0.0).sum(axis=0)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
