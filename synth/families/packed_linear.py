"""Linear layers on the CPU through oneDNN.

torch hands float32 matrix products to MKL, which was measured to run at less than half of oneDNN's
speed on an AMD processor. In gated layers (GEGLU, Shazeer 2020) torch writes both halves, the
gate's GELU and their product to memory one after the other; oneDNN multiplies while it computes.
Each class takes inputs of another precision to torch's own way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers.models.activations import GEGLU
from torch import Tensor, nn

TEXTS = 2  # whose keys and values are kept: with guidance, what was asked for and nothing


class Linear:
    """x W + b."""

    def __init__(self, layer: nn.Linear) -> None:
        self._plain: Callable[[Tensor], Tensor] = layer.forward
        self._bias = layer.bias
        self._packed = _ordered(layer.weight)

    def __call__(self, x: Tensor) -> Tensor:
        """[..., in] to [..., out]."""
        if x.dtype is not torch.float32:
            return self._plain(x)
        output: Tensor = torch.ops.mkldnn._linear_pointwise(
            x, self._packed, self._bias, "none", [], ""
        )
        return output


class TextProjection:
    """The keys or values of a text: the same at every step, so computed for the first one only.

    Guidance in two passes has two texts. Where every call brings another one, as from denoisers
    that work the text over at every step, nothing is kept.
    """

    def __init__(self, layer: nn.Linear) -> None:
        self._linear = Linear(layer)
        self._seen: list[tuple[Tensor, int, Tensor]] = []
        self._misses = 0

    def __call__(self, x: Tensor) -> Tensor:
        """[B, L, in] to [B, L, out]."""
        if x.is_inference():  # whose changes are not counted
            return self._linear(x)
        for text, version, output in self._seen:
            if text is x and version == x._version:
                return output
        output = self._linear(x)
        self._misses += 1
        kept = [(x, x._version, output), *self._seen[: TEXTS - 1]]
        self._seen = kept if self._misses <= TEXTS else []
        return output


class Gated:
    """GEGLU: x W + b times the GELU of x V + c."""

    def __init__(self, gated: GEGLU) -> None:
        self._plain: Callable[..., Tensor] = gated.forward
        weight, bias = gated.proj.weight.detach(), gated.proj.bias
        half = len(weight) // 2
        self._value, self._gate = _ordered(weight[:half]), _ordered(weight[half:])
        self._biases = (None, None)
        if bias is not None:
            self._biases = (bias.detach()[:half].contiguous(), bias.detach()[half:].contiguous())

    def __call__(self, x: Tensor, *args: Any, **options: Any) -> Tensor:
        """[..., in] to [..., out]."""
        if x.dtype is not torch.float32:
            return self._plain(x, *args, **options)
        operators = torch.ops.mkldnn
        gate = operators._linear_pointwise(x, self._gate, self._biases[1], "gelu", [], "none")
        output: Tensor = operators._linear_pointwise.binary(
            x, gate, self._value, self._biases[0], "mul"
        )
        return output


def _ordered(weight: Tensor) -> Tensor:
    """A weight [out, in] in the order that oneDNN's products read fastest."""
    ordered: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous())
    return ordered
