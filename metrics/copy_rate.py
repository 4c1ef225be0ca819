"""Share of synthetic images that resemble a training image more than new patients' images do.

The threshold is a quantile of the correlations between held-out real images and their nearest
training images (Dar et al. 2025, section 2.3), so that about 5 % of an honest generator's images
exceed it. The closest pairs are listed: somebody should look at them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metrics.arrays import Floats, feature_pair
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
    quantile: float = 0.95,
    pairs: int = 20,
) -> Record:
    """Share of synthetic images above the held-out quantile of nearest correlations.

    Args:
        train: [t, d] features of the generator's training images.
        heldout: [h, d] features of real images of other patients.
        synthetic: [m, d] features of synthetic images.
        quantile: of the held-out correlations, which sets the threshold.
        pairs: closest pairs to list.

    Returns:
        ``details`` holds ``threshold``, ``expected`` (1 - quantile) and ``pairs``, closest first.

    Raises:
        SynthError: too few rows, different dimensions, constant rows, or a quantile not in 0..1.
    """
    seen, made = feature_pair(train, synthetic)
    _, unseen = feature_pair(train, heldout)
    if not 0.0 < quantile < 1.0:
        raise SynthError("a quantile lies between 0 and 1", where="quantile", got=quantile)
    base, _ = _closest(unseen, seen)
    closest, which = _closest(made, seen)
    # "higher" is an observed value: no more than 1 - quantile of the held-out images exceed it.
    threshold = float(np.quantile(base, quantile, method="higher"))
    flagged = closest > threshold
    count = int(flagged.sum())
    order = np.argsort(-closest, kind="stable")[:pairs]
    listed = [
        Pair(int(row), int(which[row]), float(closest[row]), bool(flagged[row])) for row in order
    ]
    note = f"about {1.0 - quantile:.3g} is expected without memorization"
    how = f"correlation above the {quantile:.0%} quantile of held-out images', Wilson interval"
    return recorded(
        Estimate(count / len(made), None, _interval(count, len(made), len(unseen)), how, note),
        n_real=len(seen) + len(unseen),
        n_synthetic=len(made),
        higher_is_better=False,
        meaning="share of synthetic images unusually close to one training image",
        details={"threshold": threshold, "expected": 1.0 - quantile, "pairs": listed},
    )


def _interval(count: int, made: int, heldout: int) -> Interval:
    """Wilson's on as many trials as both sets are worth: the threshold is an estimate too.

    Where both have one distribution the share's variance is p (1 - p) (1 / m + 1 / h).
    """
    trials = max(1, round(made * heldout / (made + heldout)))
    return wilson(round(count / made * trials), trials)


def _closest(points: Floats, among: Floats) -> tuple[Floats, NDArray[np.intp]]:
    """Highest Pearson correlation of each point with a row of ``among``, and which row."""
    one, two = _standard(points), _standard(among)
    value, index = np.empty(len(one)), np.empty(len(one), dtype=np.intp)
    for start in range(0, len(one), _TILE):
        rows = slice(start, start + _TILE)
        correlation = one[rows] @ two.T
        index[rows] = correlation.argmax(axis=1)
        value[rows] = correlation.max(axis=1)
    return np.minimum(value, 1.0), index


def _standard(rows: Floats) -> Floats:
    centred = rows - rows.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    if not (lengths > 1e-12 * np.abs(rows).max()).all():
        raise SynthError("a constant row has no correlation", where="copy_rate")
    standard: Floats = centred / lengths
    return standard
