"""Pixels as features: the image made small. Weight-free, exact, blind to anything abstract."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from synth.extractors.base import grey_input


@dataclass(frozen=True)
class PixelExtractor:
    """The image at ``size`` × ``size``, flattened.

    Args:
        size: side in pixels; ``size ** 2`` features.
    """

    size: int = 16

    name = "pixel"
    weights_sha256 = ""

    @property
    def id(self) -> str:
        """``pixel@16``."""
        return f"pixel@{self.size}"

    @property
    def preprocessing(self) -> str:
        """Antialiased bilinear resize and range."""
        return f"mean of channels, antialiased bilinear to {self.size} px, [-1, 1]"

    @property
    def dim(self) -> int:
        """Features an image."""
        return self.size**2

    def __call__(self, image_u8: Tensor) -> Tensor:
        """uint8 [N, 3, H, W] in 0..255 -> float32 [N, size²] in [-1, 1]."""
        return grey_input(image_u8, self.size).flatten(1)
