"""What happens between grey levels and a network: pad, resize, channels, range. In one id.

Images are padded to a square, never squashed, and resized with antialiasing in float: nothing is
rounded to 8 bits on the way. Two preprocessings with one id give equal inputs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from synth.errors import SynthError

Resize = Literal["bilinear", "bicubic"]


@dataclass(frozen=True)
class Preprocess:
    """From [0, 1] to what a network was trained on.

    Attributes:
        size: side of the input in pixels.
        channels: 1, or 3 equal ones.
        resize: antialiased, of the padded square.
        low: what black becomes before ``mean`` and ``std``.
        high: what white becomes.
        mean: subtracted, one for all channels or one each.
        std: divided by.
    """

    size: int
    channels: int = 3
    resize: Resize = "bicubic"
    low: float = 0.0
    high: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if self.size < 1 or self.channels not in (1, 3) or self.resize not in _RESIZES:
            raise SynthError(
                "bad preprocessing",
                got=f"size {self.size}, {self.channels} channels, {self.resize}",
                expected=f"1 or 3 channels; {', '.join(_RESIZES)}",
            )
        for values in (self.mean, self.std):
            if len(values) not in (1, self.channels):
                raise SynthError(
                    "mean and std need one number, or one a channel",
                    got=f"{len(values)} for {self.channels} channels",
                )
        if not all(value > 0 for value in self.std) or not self.high > self.low:
            raise SynthError("std and the width of the range must be positive")

    @property
    def id(self) -> str:
        """``224-pad-bicubic-1a2b3c4d``: the last part is a hash of all numbers."""
        numbers = repr((self.channels, self.low, self.high, self.mean, self.std))
        digest = hashlib.sha256(numbers.encode()).hexdigest()[:8]
        return f"{self.size}-pad-{self.resize}-{digest}"

    @property
    def words(self) -> str:
        """For people."""
        mean, std = (
            ", ".join(f"{value:g}" for value in values) for values in (self.mean, self.std)
        )
        return (
            f"padded to a square, antialiased {self.resize} to {self.size} px in float, "
            f"{self.channels} channel{'s' * (self.channels > 1)}, "
            f"[{self.low:g}, {self.high:g}], minus ({mean}), over ({std})"
        )

    def fit(self, greys: Sequence[NDArray[np.floating]]) -> Tensor:
        """Images [H, W] in [0, 1], of any sizes -> float32 [N, 1, size, size] in [0, 1]."""
        return torch.cat([self._square(torch.from_numpy(np.asarray(g)).float()) for g in greys])

    def fit_u8(self, image_u8: Tensor) -> Tensor:
        """uint8 [N, 1 or 3, H, W] -> float32 [N, 1, size, size] in [0, 1]; channels are averaged.

        Raises:
            SynthError: not such images.
        """
        shape = tuple(image_u8.shape)
        if image_u8.dtype != torch.uint8 or len(shape) != 4 or shape[1] not in (1, 3) or 0 in shape:
            raise SynthError(
                "an extractor reads 8-bit images",
                got=f"{str(image_u8.dtype).removeprefix('torch.')} {list(shape)}",
                expected="uint8 [N, 1 or 3, H, W]",
            )
        return self._square(image_u8.float().mean(dim=1) / 255.0)

    def network_input(self, unit: Tensor) -> Tensor:
        """float32 [N, 1, size, size] in [0, 1] -> [N, channels, size, size] as the network wants.

        Raises:
            SynthError: values beyond [0, 1] or another size.
        """
        if tuple(unit.shape[1:]) != (1, self.size, self.size):
            raise SynthError(
                "images of another size", got=list(unit.shape), expected=f"side {self.size}"
            )
        if not bool(torch.isfinite(unit).all()) or unit.min() < 0 or unit.max() > 1:
            raise SynthError("images beyond [0, 1]", where="preprocessing")
        scaled = (unit * (self.high - self.low) + self.low).repeat(1, self.channels, 1, 1)
        mean, std = (
            torch.tensor(values, device=unit.device).reshape(1, -1, 1, 1)
            for values in (self.mean, self.std)
        )
        return (scaled - mean) / std

    def _square(self, grey: Tensor) -> Tensor:
        """[H, W] or [N, H, W] -> [N, 1, size, size]."""
        images = grey.reshape(-1, 1, *grey.shape[-2:])
        height, width = images.shape[-2:]
        side = max(height, width)
        top, left = (side - height) // 2, (side - width) // 2
        square = F.pad(images, (left, side - width - left, top, side - height - top))
        if side == self.size:
            return square
        small = F.interpolate(
            square, (self.size, self.size), mode=self.resize, align_corners=False, antialias=True
        )
        return small.clamp(0.0, 1.0)  # bicubic overshoots at edges


_RESIZES = ("bilinear", "bicubic")
