"""Convolutions of denoisers and autoencoders on the CPU, in channels last.

torch brings the weights of a convolution into order on every call and gives back the layout that it
got; channels last costs a tenth less. Each class takes inputs of another precision to torch's own
way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn


class Convolution:
    """A convolution whose output is in channels last, whatever its input is in."""

    def __init__(self, layer: nn.Conv2d) -> None:
        self._plain: Callable[[Tensor], Tensor] = layer.forward
        places = (layer.padding, layer.stride, layer.dilation)
        self._packed = _Packed(layer.weight, layer.bias, places)

    def __call__(self, x: Tensor) -> Tensor:
        """[B, in, h, w] to [B, out, h', w']."""
        if x.dtype is not torch.float32 or x.ndim != 4:
            return self._plain(x)
        return self._packed(x)


class Doubled:
    """Nearest-neighbour doubling and a 3 × 3 convolution, computed on the small image.

    Each of the four pixels that a pixel becomes sees 2 × 2 of the small image, with sums of the
    nine weights: four ninths of the products, and the large image is written once.
    """

    def __init__(self, layer: Upsample2D) -> None:
        self._plain: Callable[..., Tensor] = layer.forward
        convolution: Any = layer.conv
        weight, bias = convolution.weight.detach(), convolution.bias
        sums = torch.tensor([[[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]], dtype=weight.dtype)
        parts = torch.einsum("aky,blx,oiyx->aboikl", sums, sums, weight).flatten(0, 2)
        bias = None if bias is None else bias.detach().repeat(4)
        self._packed = _Packed(parts, bias, ((1, 1), (1, 1), (1, 1)))

    def __call__(self, x: Tensor, output_size: Any = None, *args: Any, **options: Any) -> Tensor:
        """[B, in, h, w] to [B, out, 2 h, 2 w]."""
        batch, _, height, width = x.shape
        wanted = None if output_size is None else tuple(output_size)
        if x.dtype is not torch.float32 or wanted not in (None, (2 * height, 2 * width)):
            return self._plain(x, output_size, *args, **options)
        small = self._packed(x).permute(0, 2, 3, 1).unflatten(-1, (2, 2, -1))
        output = x.new_empty(batch, height, 2, width, 2, small.shape[-1])
        for row in range(2):
            for column in range(2):
                seen = small[:, row : row + height, column : column + width, row, column]
                output[:, :, row, :, column] = seen
        return output.flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)


class _Packed:
    """A convolution of float32 [B, in, h, w] with its weight in oneDNN's order."""

    def __init__(self, weight: Tensor, bias: Tensor | None, places: tuple[Any, Any, Any]) -> None:
        self._weight, self._ordered = weight.detach(), False
        self._bias, self._places = bias, (*places, 1)

    def __call__(self, x: Tensor) -> Tensor:
        operators = torch.ops.mkldnn
        if not self._ordered:  # the order that is fastest depends on the size of the image
            weight = self._weight.contiguous(memory_format=torch.channels_last)
            self._weight = operators._reorder_convolution_weight(weight, *self._places, x.shape)
            self._ordered = True
        output: Tensor = operators._convolution_pointwise(
            x, self._weight, self._bias, *self._places, "none", [], ""
        )
        return output


def doubles(layer: Upsample2D) -> bool:
    """Whether a layer is what ``Doubled`` computes."""
    convolution = getattr(layer, "conv", None)
    return (
        type(convolution) is nn.Conv2d
        and layer.interpolate
        and layer.use_conv
        and not layer.use_conv_transpose
        and layer.norm is None
        and (convolution.kernel_size, convolution.padding) == ((3, 3), (1, 1))
        and (convolution.stride, convolution.dilation) == ((1, 1), (1, 1))
    )
