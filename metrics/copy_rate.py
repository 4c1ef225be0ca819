"""Share of synthetic images that resemble a training image more than new patients' images do.

The threshold is a quantile of the correlations between held-out real images and their nearest
training images (Dar et al. 2025, section 2.3), so that about 5 % of an honest generator's images
exceed it. The closest pairs are listed: somebody should look at them.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metrics.arrays import Floats, Groups, feature_pair, group_names
from metrics.clustered import effective_cases, mean_variance
from metrics.intervals import wilson
from metrics.records import Estimate, Interval, Record, recorded
from synth.errors import SynthError

_TILE = 1024


@dataclass(frozen=True)
class Pair:
    """A synthetic row, its closest training row and their correlation."""

    synthetic: int
    train: int
    correlation: float
    flagged: bool


def copy_rate(
    *,
    train: ArrayLike,
    heldout: ArrayLike,
    synthetic: ArrayLike,
    heldout_groups: Groups = None,
    synthetic_groups: Groups = None,
    quantile: float = 0.95,
    pairs: int = 20,
) -> Record:
    """Share of synthetic images above the held-out quantile of nearest correlations.

    Args:
        train: [t, d] features of the generator's training images.
        heldout: [h, d] features of real images of other patients.
        synthetic: [m, d] features of synthetic images.
        heldout_groups: the patient of each held-out row; so many trials set the threshold.
        synthetic_groups: synthetic rows that belong together.
        quantile: of the held-out correlations, which sets the threshold.
        pairs: closest pairs to list.

    Returns:
        ``details`` holds ``threshold``, ``expected`` (1 - quantile) and ``pairs``, closest first.

    Raises:
        SynthError: too few rows, different dimensions, constant rows, or a quantile not in 0..1.
    """
    seen, made = feature_pair(train, synthetic, sides=("train", "synthetic"))
    _, unseen = feature_pair(train, heldout, sides=("train", "heldout"))
    patients = group_names(len(unseen), heldout_groups, side="heldout")
    kinds = group_names(len(made), synthetic_groups, side="synthetic")
    if not 0.0 < quantile < 1.0:
        raise SynthError("a quantile lies between 0 and 1", where="quantile", got=quantile)
    base, _ = _closest(unseen, seen, "heldout")
    closest, which = _closest(made, seen, "synthetic")
    # "higher" is an observed value: no more than 1 - quantile of the held-out images exceed it.
    threshold = float(np.quantile(base, quantile, method="higher"))
    flagged = closest > threshold
    order = np.argsort(-closest, kind="stable")[:pairs]
    listed = [
        Pair(int(row), int(which[row]), float(closest[row]), bool(flagged[row])) for row in order
    ]
    note = f"about {1.0 - quantile:.3g} is expected without memorization"
    how = (
        f"correlation above the {quantile:.0%} quantile of held-out images', Wilson interval on as "
        "many trials as both sets are worth by patients"
    )
    interval = _interval(flagged, kinds, patients)
    return recorded(
        Estimate(float(flagged.mean()), None, interval, how, note),
        n_real=len(seen) + len(unseen),
        n_synthetic=len(made),
        higher_is_better=False,
        meaning="share of synthetic images unusually close to one training image",
        details={"threshold": threshold, "expected": 1.0 - quantile, "pairs": listed},
    )


def _interval(flagged: NDArray[np.bool_], kinds: list[str], patients: list[str]) -> Interval:
    """Wilson's on as many trials as both sets are worth: the threshold is an estimate too.

    Where both have one distribution the share's variance is p (1 - p) (1 / m + 1 / h), with h the
    held-out patients and m the independent rows that the clustered variance of the share stands
    for. Trials need whole counts: each end takes the one that makes the interval wider.
    """
    share, heldout = float(flagged.mean()), effective_cases(patients)
    made = _independent(flagged.astype(np.float64), kinds)
    trials = max(1, round(made * heldout / (made + heldout)))
    count = share * trials
    low = wilson(floor(count + 1e-9), trials)[0]
    return low, wilson(ceil(count - 1e-9), trials)[1]


def _independent(flagged: Floats, kinds: list[str]) -> float:
    """Rows that the share's variance stands for: no more than there are, no less than clusters."""
    least, share = effective_cases(kinds), float(flagged.mean())
    variance = mean_variance(flagged, kinds)
    if not variance > 0.0:  # all alike, or a single cluster
        return least
    return min(len(flagged), max(least, share * (1.0 - share) / variance))


def _closest(points: Floats, among: Floats, side: str) -> tuple[Floats, NDArray[np.intp]]:
    """Highest Pearson correlation of each point with a row of ``among``, and which row."""
    one, two = _standard(points, side), _standard(among, "train")
    value, index = np.empty(len(one)), np.empty(len(one), dtype=np.intp)
    for start in range(0, len(one), _TILE):
        rows = slice(start, start + _TILE)
        correlation = one[rows] @ two.T
        index[rows] = correlation.argmax(axis=1)
        value[rows] = correlation.max(axis=1)
    return np.minimum(value, 1.0), index


def _standard(rows: Floats, side: str) -> Floats:
    centred = rows - rows.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    if not (lengths > 1e-12 * np.abs(rows).max()).all():
        raise SynthError("a constant row has no correlation", where=side)
    standard: Floats = centred / lengths
    return standard
