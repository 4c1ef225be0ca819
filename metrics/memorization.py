"""Are synthetic images copies of training images? Their distances against held-out images'.

A held-out patient's image is as far from the training images as a new person's should be; synthetic
images that lie systematically closer are a sign of copying. This is no proof of privacy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metrics.arrays import Floats, feature_pair
from metrics.intervals import auroc_interval, wilson
from metrics.records import Estimate

CLOSE = 0.01  # quantile of the held-out distances below which an image counts as very close
_QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75)
_TILE = 512


@dataclass(frozen=True)
class Memorization:
    """Nearest-training-image distances.

    Attributes:
        auc: probability that a synthetic image lies closer to its nearest training image than a
            held-out real image does; 0.5 without memorization, 1 for copies.
        share_closer: share of synthetic images closer than the closest 1 % of held-out ones.
        synthetic: [m] distance of each synthetic image to its nearest training image.
        nearest: [m] which training image that is.
        held_out: [h] the same distance of held-out real images.
    """

    auc: Estimate
    share_closer: Estimate
    synthetic: Floats
    nearest: NDArray[np.intp]
    held_out: Floats

    def quantiles(self) -> dict[str, dict[str, float]]:
        """Quantiles of both distance distributions, keyed by percentage."""
        return {
            f"{q:.0%}": {
                "synthetic": float(np.quantile(self.synthetic, q)),
                "held_out": float(np.quantile(self.held_out, q)),
            }
            for q in _QUANTILES
        }


def memorization(*, train: ArrayLike, held_out: ArrayLike, synthetic: ArrayLike) -> Memorization:
    """Compare distances to the training images between synthetic and held-out real images.

    Args:
        train: [n, d] features of the generator's training images.
        held_out: [h, d] features of real images of other patients.
        synthetic: [m, d] features of synthetic images.

    Raises:
        SynthError: fewer than two rows a side, different dimensions or non-finite values.
    """
    seen, made = feature_pair(train, synthetic)
    _, unseen = feature_pair(train, held_out)
    close, nearest = nearest_distance(made, seen)
    baseline, _ = nearest_distance(unseen, seen)
    is_synthetic = np.r_[np.ones(len(close)), np.zeros(len(baseline))]
    area, interval = auroc_interval(is_synthetic, -np.r_[close, baseline])
    below = int((close < np.quantile(baseline, CLOSE)).sum())
    return Memorization(
        auc=Estimate(
            area, None, interval, "nearest-neighbour AUC, DeLong interval", "0.5 is expected"
        ),
        share_closer=Estimate(
            below / len(close),
            None,
            wilson(below, len(close)),
            "share below the 1 % quantile of held-out distances, Wilson interval",
            f"about {CLOSE} is expected",
        ),
        synthetic=close,
        nearest=nearest,
        held_out=baseline,
    )


def nearest_distance(points: Floats, among: Floats) -> tuple[Floats, NDArray[np.intp]]:
    """Euclidean distance of each point to its nearest one ``among`` others, and which that is."""
    centre = among.mean(axis=0)  # |x|² − 2xy + |y|² cancels when both lie far from the origin
    points, among = points - centre, among - centre
    distance, index = np.empty(len(points)), np.empty(len(points), dtype=np.intp)
    norms = (among**2).sum(axis=1)
    for start in range(0, len(points), _TILE):
        tile = points[start : start + _TILE]
        best = (norms - 2.0 * (tile @ among.T)).argmin(axis=1)
        index[start : start + _TILE] = best
        # The winner's distance again from differences: exact zero for an exact copy.
        distance[start : start + _TILE] = np.linalg.norm(tile - among[best], axis=1)
    return distance, index
