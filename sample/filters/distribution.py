"""Out of distribution: is an image farther from the real ones than they are from each other?

The distance is that to the k-th nearest training image in standardized features, which knows of no
shape of the manifold but that unseen real images lie on it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sample.filters.base import Mark, Wish
from sample.filters.limits import joint_limits
from sample.filters.references import Gallery

NEIGHBOUR = 5


@dataclass(frozen=True)
class DistributionFilter:
    """Refuses images farther than ``limit`` from their fifth nearest training image."""

    gallery: Gallery
    limit: float

    name = "distribution"

    def __call__(self, image_u8: Tensor, wish: Wish) -> Mark:
        """Judge uint8 [1, 1, H, W]."""
        del wish
        distance = manifold_distance(self.gallery, image_u8)
        reason = f"unlike real images (distance {distance:.3g}, limit {self.limit:.3g})"
        return Mark({"real_distance": distance}, (reason,) if distance > self.limit else ())


def manifold_distance(gallery: Gallery, image_u8: Tensor) -> float:
    """Distance in feature space to the fifth nearest training image."""
    distances = gallery.feature_distances(image_u8)
    place = min(NEIGHBOUR, len(distances)) - 1
    return float(np.partition(distances, place)[place])


def calibrate(distances: NDArray[np.float64], reject: float) -> float:
    """Limit from the distances [n] of real images that the gallery does not hold."""
    return float(np.exp(-joint_limits(-np.log(distances[:, None] + 1e-9), reject)[0]))
