"""Small changes of place, size and contrast: the classical augmentation that others must beat."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from synth.seeding import numpy_rng, torch_generator

_SLICE = 256  # images altered at once
_TURN, _SHIFT, _ZOOM, _CONTRAST = 7.0, 0.05, 0.07, 0.15  # degrees; shares of the side and level


@dataclass(frozen=True)
class Alteration:
    """One change an image.

    Attributes:
        theta: float32 [N, 2, 3], where each image is sampled.
        contrast: float32 [N, 1, 1, 1], around the image's mean.
    """

    theta: Tensor
    contrast: Tensor

    def __len__(self) -> int:
        return len(self.theta)

    def image(self, image_u8: Tensor) -> Tensor:
        """uint8 [N, 1, S, S] -> the same, moved and re-contrasted; the border continues."""
        parts = [
            _recontrasted(_moved(part.float(), theta, "bilinear", "border"), contrast)
            for part, theta, contrast in zip(
                image_u8.split(_SLICE),
                self.theta.split(_SLICE),
                self.contrast.split(_SLICE),
                strict=True,
            )
        ]
        return torch.cat(parts)

    def mask(self, mask: Tensor) -> Tensor:
        """Bool [N, 1, S, S] -> the same, moved as its image is; outside the border is outside."""
        parts = zip(mask.split(_SLICE), self.theta.split(_SLICE), strict=True)
        return (
            torch.cat([_moved(part.float(), theta, "nearest", "zeros") for part, theta in parts])
            > 0
        )


def alteration(count: int, *, flips: bool, seed: int) -> Alteration:
    """Draw a change an image: turn, shift, zoom and contrast; mirrored only with ``flips``."""
    generator = torch_generator("metrics", "utility-alter", seed)
    thetas, contrasts = [], []
    for size in _slices(count):
        draws = torch.rand((size, 6), generator=generator) * 2 - 1
        turn = torch.deg2rad(_TURN * draws[:, 0])
        zoom = 1.0 + _ZOOM * draws[:, 1]
        theta = torch.zeros(size, 2, 3)
        theta[:, 0, 0] = theta[:, 1, 1] = torch.cos(turn) * zoom
        theta[:, 0, 1] = -torch.sin(turn) * zoom
        theta[:, 1, 0] = torch.sin(turn) * zoom
        theta[:, :, 2] = 2 * _SHIFT * draws[:, 2:4]
        if flips:
            theta[:, :, 0] *= torch.where(draws[:, 5] < 0, -1.0, 1.0)[:, None]
        thetas.append(theta)
        contrasts.append((1.0 + _CONTRAST * draws[:, 4])[:, None, None, None])
    return Alteration(torch.cat(thetas), torch.cat(contrasts))


def copied_rows(count: int, copies: int, *, seed: int) -> NDArray[np.intp]:
    """Which of ``count`` images are copied: every image once before any is copied again."""
    rng = numpy_rng("metrics", "utility-copies", seed)
    rounds = [rng.permutation(count) for _ in range(-(-copies // count))]
    return np.concatenate(rounds)[:copies]


def _slices(count: int) -> Iterator[int]:
    for start in range(0, count, _SLICE):
        yield min(_SLICE, count - start)


def _moved(image: Tensor, theta: Tensor, mode: str, padding: str) -> Tensor:
    sampling = F.affine_grid(theta, list(image.shape), align_corners=False)
    return F.grid_sample(image, sampling, mode=mode, padding_mode=padding, align_corners=False)


def _recontrasted(moved: Tensor, contrast: Tensor) -> Tensor:
    middle = moved.mean(dim=(1, 2, 3), keepdim=True)
    return (middle + (moved - middle) * contrast).round().clamp(0, 255).to(torch.uint8)
