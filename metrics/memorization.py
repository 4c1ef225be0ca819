"""Are synthetic images copies of training images? Their distances against held-out images'.

A held-out patient's image is as far from the training images as a new person's should be; synthetic
images that lie systematically closer are a sign of copying. This is no proof of privacy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metrics.arrays import Floats, Groups, feature_pair, group_names
from metrics.delong import auroc_delong
from metrics.intervals import auroc
from metrics.records import Estimate
from metrics.share_closer import ShareCloser, share_closer
from synth.errors import SynthError

_QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75)
_BINS = 40
_REACH = 0.99  # quantile of all distances at half the histogram's width, if any lie that far out
_TILE = 512


@dataclass(frozen=True)
class Memorization:
    """Nearest-training-image distances.

    Attributes:
        auc: probability that a synthetic image lies closer to its nearest training image than a
            held-out real image does; 0.5 without memorization, 1 for copies.
        closer: share of synthetic images closer than the closest 1 % of held-out patients, or than
            the closest one of fewer than two hundred.
        synthetic: [m] distance of each synthetic image to its nearest training image.
        nearest: [m] which training image that is.
        held_out: [h] the same distance of held-out real images.
    """

    auc: Estimate
    closer: ShareCloser
    synthetic: Floats
    nearest: NDArray[np.intp]
    held_out: Floats

    @property
    def share_closer(self) -> Estimate:
        """The share with its interval; p and what is expected are in ``closer``."""
        return self.closer.estimate

    def histogram(self) -> dict[str, Any]:
        """Both distributions in bins of equal width from 0.

        Returns:
            ``edges`` [41], ``synthetic`` and ``held_out`` [40] counts, of which the last ones hold
            all that lies beyond, and the ``limit`` of ``closer``.
        """
        both = np.concatenate([self.synthetic, self.held_out])
        top = min(float(both.max()), 2.0 * float(np.quantile(both, _REACH))) or 1.0
        edges = np.linspace(0.0, top, _BINS + 1)
        sides = {"synthetic": self.synthetic, "held_out": self.held_out}
        counts = {
            side: np.histogram(np.minimum(values, top), edges)[0].tolist()
            for side, values in sides.items()
        }
        return {"edges": edges.tolist(), **counts, "limit": self.closer.limit}

    def quantiles(self) -> dict[str, dict[str, float]]:
        """Quantiles of both distance distributions, keyed by percentage."""
        return {
            f"{q:.0%}": {
                "synthetic": float(np.quantile(self.synthetic, q)),
                "held_out": float(np.quantile(self.held_out, q)),
            }
            for q in _QUANTILES
        }


def memorization(
    *,
    train: ArrayLike,
    held_out: ArrayLike,
    synthetic: ArrayLike,
    held_out_groups: Groups = None,
    synthetic_groups: Groups = None,
) -> Memorization:
    """Compare distances to the training images between synthetic and held-out real images.

    Args:
        train: [n, d] features of the generator's training images.
        held_out: [h, d] features of real images of other patients.
        synthetic: [m, d] features of synthetic images.
        held_out_groups: the patient of each held-out image; None: each its own.
        synthetic_groups: the same of synthetic images.

    Raises:
        SynthError: fewer than two rows a side, different dimensions or non-finite values.
    """
    seen, made = feature_pair(train, synthetic, sides=("train", "synthetic"))
    _, unseen = feature_pair(train, held_out, sides=("train", "held_out"))
    close, nearest = nearest_distance(made, seen)
    baseline, _ = nearest_distance(unseen, seen)
    made_by = group_names(len(close), synthetic_groups, side="synthetic")
    patients = group_names(len(baseline), held_out_groups, side="held_out")
    return Memorization(
        auc=_area(close, baseline, made_by, patients),
        closer=share_closer(synthetic=close, held_out=baseline, made=made_by, unseen=patients),
        synthetic=close,
        nearest=nearest,
        held_out=baseline,
    )


def _area(close: Floats, baseline: Floats, made: list[str], held_out: list[str]) -> Estimate:
    is_synthetic = np.r_[np.ones(len(close)), np.zeros(len(baseline))]
    score = -np.r_[close, baseline]
    # Two name spaces: a synthetic image and a patient of one name are not one person.
    groups = [f"made {name}" for name in made] + [f"held out {name}" for name in held_out]
    how = "nearest-neighbour AUC"
    try:
        found = auroc_delong(is_synthetic, score, groups)
    except SynthError:
        note = "interval withheld: too few patients; 0.5 is expected"
        return Estimate(auroc(is_synthetic, score), None, None, how, note)
    how = f"{how}, DeLong interval clustered by patient"
    return Estimate(found.value, found.se, found.ci, how, "0.5 is expected")


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
