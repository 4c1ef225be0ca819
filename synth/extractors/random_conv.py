"""Features of a random convolutional network: no weights to obtain, the same on every machine.

Random filters with rectification keep texture and coarse layout, which is enough to rank blur,
noise and missing modes where no trained network is available. They know nothing of medicine.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F

from synth.extractors.base import grey_input
from synth.seeding import torch_generator

_WIDTHS = (1, 16, 32, 64)


@dataclass(frozen=True)
class RandomConvExtractor:
    """Three strided convolutions with fixed random filters, pooled to mean and spread a channel.

    Args:
        size: side of the input in pixels.
        seed: fixes the filters.
    """

    size: int = 64
    seed: int = 0

    name = "random-conv"

    @property
    def id(self) -> str:
        """``random-conv-s0@64``."""
        return f"random-conv-s{self.seed}@{self.size}"

    @property
    def preprocessing(self) -> str:
        """Antialiased bilinear resize and range."""
        return f"mean of channels, antialiased bilinear to {self.size} px, [-1, 1]"

    @property
    def dim(self) -> int:
        """Features an image: a mean and a spread a channel."""
        return 2 * _WIDTHS[-1]

    @cached_property
    def weights_sha256(self) -> str:
        """Hash of the filters' float32 bytes."""
        digest = hashlib.sha256()
        for kernel in self._kernels:
            digest.update(kernel.numpy().tobytes())
        return digest.hexdigest()

    @cached_property
    def _kernels(self) -> tuple[Tensor, ...]:
        kernels = []
        for layer, (inputs, outputs) in enumerate(pairwise(_WIDTHS)):
            generator = torch_generator("random-conv", self.seed, layer)
            kernel = torch.randn((outputs, inputs, 5, 5), generator=generator)
            kernels.append(kernel * (2.0 / (inputs * 25)) ** 0.5)
        return tuple(kernels)

    @torch.no_grad()
    def __call__(self, image_u8: Tensor) -> Tensor:
        """uint8 [N, 3, H, W] in 0..255 -> float32 [N, 128]."""
        state = grey_input(image_u8, self.size)
        for kernel in self._kernels:
            state = F.relu(F.conv2d(state, kernel.to(state.device), stride=2, padding=2))
        flat = state.flatten(2)
        return torch.cat([flat.mean(2), flat.std(2)], dim=1)
