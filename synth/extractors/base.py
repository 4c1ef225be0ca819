"""What an extractor promises, and the resize that all of them share."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from synth.errors import SynthError


class Extractor(Protocol):
    """Images to feature vectors: the only thing metrics know about a network.

    Attributes:
        name: short, for metric keys: ``fd_<name>``.
        id: names the weights and the preprocessing; two extractors with one id give equal features.
        weights_sha256: hash of the weights, empty where there are none.
        preprocessing: what is done to an image before the network, in words.
        dim: length of a feature vector.
    """

    @property
    def name(self) -> str: ...  # noqa: D102  described above

    @property
    def id(self) -> str: ...  # noqa: D102

    @property
    def weights_sha256(self) -> str: ...  # noqa: D102

    @property
    def preprocessing(self) -> str: ...  # noqa: D102

    @property
    def dim(self) -> int: ...  # noqa: D102

    def __call__(self, image_u8: Tensor) -> Tensor:
        """uint8 [N, 3, H, W] in 0..255 -> float32 [N, dim]."""
        ...


def grey_input(image_u8: Tensor, size: int) -> Tensor:
    """uint8 [N, C, H, W] -> float32 [N, 1, size, size] in [-1, 1], resized with antialiasing.

    Channels are averaged: a grey image repeated three times gives itself.

    Raises:
        SynthError: not uint8, or not [N, 1 or 3, H, W].
    """
    shape = tuple(image_u8.shape)
    if image_u8.dtype != torch.uint8 or len(shape) != 4 or shape[1] not in (1, 3) or 0 in shape[2:]:
        raise SynthError(
            "an extractor reads 8-bit images",
            got=f"{str(image_u8.dtype).removeprefix('torch.')} {list(shape)}",
            expected="uint8 [N, 1 or 3, H, W]",
        )
    grey = image_u8.float().mean(dim=1, keepdim=True)
    if grey.shape[-2:] != (size, size):
        grey = F.interpolate(
            grey, size=(size, size), mode="bilinear", align_corners=False, antialias=True
        )
    return grey / 127.5 - 1.0


@torch.no_grad()
def in_batches(extractor: Extractor, image_u8: Tensor, *, batch: int = 128) -> Tensor:
    """Apply an extractor to uint8 [N, C, H, W] in slices; grey is repeated to three channels.

    Raises:
        SynthError: no images, or not images.
    """
    if image_u8.ndim != 4 or not len(image_u8):
        raise SynthError(
            "no images to extract features from",
            got=list(image_u8.shape),
            expected="[N, C, H, W] with N > 0",
        )
    parts = []
    for start in range(0, len(image_u8), batch):
        part = image_u8[start : start + batch]
        parts.append(extractor(part.repeat(1, 3, 1, 1) if part.shape[1] == 1 else part).cpu())
    return torch.cat(parts)
