"""Small shifts, zooms, contrast and brightness while training; no flip: side is information."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

_ZOOM, _SHIFT, _CONTRAST, _BRIGHTNESS = 0.06, 0.08, 0.15, 0.1


@dataclass(frozen=True)
class Jitter:
    """One change an image of a batch.

    Attributes:
        theta: float32 [N, 2, 3], where each image is sampled.
        contrast: float32 [N, 1, 1, 1], a factor.
        brightness: float32 [N, 1, 1, 1], in units of half the range.
    """

    theta: Tensor
    contrast: Tensor
    brightness: Tensor

    def image(self, grey: Tensor) -> Tensor:
        """float32 [N, 1, S, S] -> the same, changed; the border continues."""
        return self._moved(grey, "border") * self.contrast + self.brightness

    def mask(self, inside: Tensor) -> Tensor:
        """float32 [N, 1, S, S] in [0, 1] -> moved as its image is; beyond the border is 0."""
        return self._moved(inside, "zeros")

    def _moved(self, image: Tensor, padding: str) -> Tensor:
        sampling = F.affine_grid(self.theta, list(image.shape), align_corners=False)
        return F.grid_sample(image, sampling, padding_mode=padding, align_corners=False)


def jitter(count: int, generator: torch.Generator) -> Jitter:
    """Draw a change for each image of a batch."""
    draws = torch.rand((count, 5), generator=generator) * 2 - 1
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = 1.0 + _ZOOM * draws[:, 0]
    theta[:, :, 2] = _SHIFT * draws[:, 1:3]
    contrast = 1.0 + _CONTRAST * draws[:, 3]
    brightness = _BRIGHTNESS * draws[:, 4]
    return Jitter(theta, contrast[:, None, None, None], brightness[:, None, None, None])
