"""Metrics of images as they are: no extractor is needed, though one may convert them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

import metrics
from metrics.torch_metrics.sides import SidesMetric
from synth.errors import SynthError


def image_rows(values: Tensor, side: str) -> Tensor:
    """Images [b, h, w] or [b, c, h, w] as they are.

    Raises:
        SynthError: of another shape.
    """
    if values.ndim not in (3, 4):
        raise SynthError(
            "images must be [b, h, w] or [b, c, h, w]", where=side, got=tuple(values.shape)
        )
    return values


def grey_rows(values: Tensor, side: str) -> Tensor:
    """8-bit grey images [b, h, w] or [b, 1, h, w].

    Raises:
        SynthError: of another shape or type.
    """
    images = image_rows(values, side)
    if images.dtype != torch.uint8 or (images.ndim == 4 and images.shape[1] != 1):
        raise SynthError(
            "texture is measured on 8-bit grey images",
            where=side,
            got=f"{images.dtype} {tuple(images.shape)}",
            expected="uint8 [b, h, w]",
        )
    return images


class TextureRatio(SidesMetric):
    """See ``metrics.texture_ratio``."""

    sides = ("real", "synthetic")
    names: ClassVar[Mapping[str, str]] = {"real": "real_groups", "synthetic": "synthetic_groups"}
    measure = staticmethod(metrics.texture_ratio)
    rows = staticmethod(grey_rows)


class MsSsimDiversity(SidesMetric):
    """See ``metrics.ms_ssim_diversity``; real images are compared with, where there are any."""

    higher_is_better = False
    sides = ("synthetic", "real")
    optional = ("real",)
    names: ClassVar[Mapping[str, str]] = {"synthetic": "labels", "real": "real_labels"}
    usual = "synthetic"
    measure = staticmethod(metrics.ms_ssim_diversity)
    rows = staticmethod(image_rows)

    def update(
        self,
        images: Tensor,
        real: bool | None = None,
        side: str | None = None,
        labels: Sequence[object] | None = None,
    ) -> None:
        """Take in images in 0..1, [b, h, w] or [b, c, h, w].

        Args:
            images: of one side, synthetic where none is named.
            real: True for ``real``, False for ``synthetic``.
            side: or the side's name.
            labels: [b] what each shows, for every image of the side or for none.

        Raises:
            SynthError: images of another shape, or no such side.
        """
        self._take(images, self._named(real, side), labels)
