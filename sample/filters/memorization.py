"""Memorization: is an image closer to a training image than unseen patients' images come?

Two distances to the nearest training image: of features, which a shift changes little, and of
pixels (1 - correlation of the images at 32 x 32, Dar et al. 2025), which no change of brightness
or contrast changes. Either below its limit refuses the image. A filter removes the copies that it
can see; it proves no privacy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sample.filters.base import Mark, Wish
from sample.filters.limits import joint_limits
from sample.filters.references import Gallery

MEASURED = ("nearest_train_feature", "nearest_train_pixel")
_WORDS = ("features", "pixels")
_EQUAL = 1e-6  # a distance that is none


@dataclass(frozen=True)
class MemorizationFilter:
    """Refuses images nearer than ``limits`` (features, pixels) to a training image."""

    gallery: Gallery
    limits: tuple[float, float]

    name = "memorization"

    def __call__(self, image_u8: Tensor, wish: Wish) -> Mark:
        """Judge uint8 [1, 1, H, W]."""
        del wish
        distances, nearest = nearest_train(self.gallery, image_u8)
        reasons = tuple(
            f"close to training image {self.gallery.ids[row]} in {words} "
            f"(distance {distance:.3g}, limit {limit:.3g})"
            for distance, limit, row, words in zip(
                distances, self.limits, nearest, _WORDS, strict=True
            )
            if distance < limit
        )
        return Mark(dict(zip(MEASURED, distances, strict=True)), reasons)


def nearest_train(
    gallery: Gallery, image_u8: Tensor
) -> tuple[tuple[float, float], tuple[int, int]]:
    """Distances to the nearest training image in features and in pixels, and which those are."""
    spaces = gallery.feature_distances(image_u8), gallery.pixel_distances(image_u8)
    rows = int(spaces[0].argmin()), int(spaces[1].argmin())
    return (float(spaces[0][rows[0]]), float(spaces[1][rows[1]])), rows


def calibrate(distances: NDArray[np.float64], reject: float) -> tuple[float, float]:
    """Limits from the two distances [n, 2] of real images of other patients."""
    features, pixels = np.exp(joint_limits(np.log(np.maximum(distances, _EQUAL)), reject))
    return float(features), float(pixels)
