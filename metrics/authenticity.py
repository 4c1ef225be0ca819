r"""Authenticity: is a synthetic image farther from the training set than the set is from itself?

    A(X) = mean over x of 1[ d(x, t*) > d(t*, T \ t*) ]       t* the training image nearest to x

(Alaa et al. 2022, section 3.3.) Copies give 0, but what new images give depends on the dimension
(0.4 in the plane, 0.9 in 256 dimensions), so that A alone says nothing. Calibrated, it does:
A(synthetic) - A(held-out real) is 0 without memorization and negative with it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from metrics.arrays import Floats, Groups, feature_pair, group_names
from metrics.clustered import mean_variance
from metrics.intervals import student, wilson
from metrics.memorization import nearest_distance
from metrics.mover import difference_interval
from metrics.records import Estimate, Record, recorded
from metrics.squared import nearest_of_others
from synth.errors import SynthError


def authenticity(
    *,
    train: ArrayLike,
    synthetic: ArrayLike,
    heldout: ArrayLike | None = None,
    train_groups: Groups = None,
    synthetic_groups: Groups = None,
    heldout_groups: Groups = None,
) -> Record:
    """Authenticity, calibrated by held-out real images where there are any.

    Args:
        train: [t, d] features of the generator's training images.
        synthetic: [m, d] features of synthetic images.
        heldout: [h, d] features of real images of other patients; without them the value is the
            raw share, which has no fixed value for an honest generator.
        train_groups: the patient of each training row; images of one patient do not count as each
            other's neighbours.
        synthetic_groups: synthetic rows that belong together.
        heldout_groups: the patient of each held-out row.

    Returns:
        ``details`` holds ``synthetic`` and ``heldout``, the raw shares.

    Raises:
        SynthError: too few rows, different dimensions, or one training patient.
    """
    seen, made = feature_pair(train, synthetic, sides=("train", "synthetic"))
    reach = _own_reach(seen, train_groups)
    authentic = _authentic(made, seen, reach)
    share = float(authentic.mean())
    meaning = "share of synthetic images that are no closer to a training image than its neighbour"
    how = "corrected authenticity, distances within the training set"
    if heldout is None:
        note = (
            "interval withheld: uncalibrated, an honest generator has no fixed value without "
            "held-out images"
        )
        found = Estimate(share, None, None, how, note)
        details: dict[str, float | None] = {"synthetic": share, "heldout": None}
        count = 0
    else:
        _, unseen = feature_pair(seen, heldout, sides=("train", "heldout"))
        expected = _authentic(unseen, seen, reach)
        found = _difference(
            authentic,
            expected,
            group_names(len(made), synthetic_groups, side="synthetic"),
            group_names(len(unseen), heldout_groups, side="heldout"),
            f"{how}, minus held-out images'",
        )
        details = {"synthetic": share, "heldout": float(expected.mean())}
        meaning += ", minus the same for unseen real ones; 0 is expected"
        count = len(unseen)
    return recorded(
        found,
        n_real=len(seen) + count,
        n_synthetic=len(made),
        higher_is_better=True,
        meaning=meaning,
        details=details,
    )


def _own_reach(seen: Floats, groups: Groups) -> Floats:
    """Distance of each training row to the nearest one of another patient."""
    names = group_names(len(seen), groups, side="train")
    if len(set(names)) < 2:
        raise SynthError("training images of two patients are needed", where="authenticity")
    return nearest_of_others(seen, names)[0]


def _authentic(points: Floats, seen: Floats, reach: Floats) -> Floats:
    distance, nearest = nearest_distance(points, seen)
    return (distance > reach[nearest]).astype(np.float64)


def _difference(
    one: Floats, two: Floats, names: list[str], other: list[str], estimator: str
) -> Estimate:
    """Difference of two shares; clustered normal interval, Newcombe's where a share is 0 or 1."""
    shares = float(one.mean()), float(two.mean())
    value = shares[0] - shares[1]
    se = float(np.sqrt(mean_variance(one, names) + mean_variance(two, other)))
    reach = student(np.inf) * se
    low, high = value - reach, value + reach
    if shares[0] in (0.0, 1.0) or shares[1] in (0.0, 1.0):
        # Newcombe (1998), method 10, on as many trials as there are patients.
        trials = len(set(names)), len(set(other))
        ends = [wilson(round(share * n), n) for share, n in zip(shares, trials, strict=True)]
        low, high = difference_interval(shares[0], ends[0], shares[1], ends[1])
    interval = max(-1.0, low), min(1.0, high)
    return Estimate(value, se, interval, estimator, "0 is expected without memorization")
