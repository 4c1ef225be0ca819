"""Linear layers through oneDNN on the CPU: the same products in less time.

torch hands float32 matrix products to MKL, which was measured to run at less than half of oneDNN's
speed on an AMD processor. In gated layers (GEGLU, Shazeer 2020) torch writes both halves, the
gate's GELU and their product to memory one after the other; oneDNN multiplies while it computes,
in a seventh of the time. The numbers are the same up to rounding, about 1e-6 of their spread, and
always come by the same way on one machine, so that an image can be made again bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from diffusers.models.activations import GEGLU
from torch import Tensor, distributed, nn
from torch.nn.functional import linear

PACKED_BYTES = 2**30  # of weights held a second time, in oneDNN's order


@contextmanager
def packed(module: nn.Module) -> Iterator[None]:
    """Within the block the linear layers of a module take the faster way.

    Weights are read when the block is entered and must not change inside. Modules on an
    accelerator, in another precision, with gradients or in a process group are left as they are.

    Args:
        module: a denoiser; changed within the block only.
    """
    replaced = dict(_replacements(module)) if _possible() else {}
    try:
        for part, forward in replaced.items():
            part.__dict__["forward"] = forward  # found before the method of its class
        yield
    finally:
        for part in replaced:
            part.__dict__.pop("forward", None)


class _Linear:
    """The forward pass of one linear layer."""

    def __init__(self, layer: nn.Linear) -> None:
        self._weight, self._bias = layer.weight, layer.bias
        self._packed = _ordered(layer.weight)

    def __call__(self, x: Tensor) -> Tensor:
        if x.dtype is not torch.float32:
            return linear(x, self._weight, self._bias)
        output: Tensor = torch.ops.mkldnn._linear_pointwise(
            x, self._packed, self._bias, "none", [], ""
        )
        return output


class _Gated:
    """The forward pass of a GEGLU: x W + b times the GELU of x V + c."""

    def __init__(self, gated: GEGLU) -> None:
        self._plain: Callable[..., Tensor] = gated.forward
        weight, bias = gated.proj.weight.detach(), gated.proj.bias
        half = len(weight) // 2
        self._value, self._gate = _ordered(weight[:half]), _ordered(weight[half:])
        self._biases = (None, None)
        if bias is not None:
            self._biases = (bias.detach()[:half].contiguous(), bias.detach()[half:].contiguous())

    def __call__(self, x: Tensor, *args: Any, **options: Any) -> Tensor:
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


def _possible() -> bool:
    if torch.is_grad_enabled() or torch.is_autocast_enabled("cpu"):
        return False
    if distributed.is_available() and distributed.is_initialized():
        return False  # a sharded weight is whole within its own forward pass only
    operators = torch.ops.mkldnn
    return (
        torch.backends.mkldnn.is_available()
        and hasattr(operators, "_linear_pointwise")
        and hasattr(operators, "_reorder_linear_weight")
    )


def _replacements(module: nn.Module) -> Iterator[tuple[nn.Module, Callable[..., Tensor]]]:
    """Parts and the forward passes that stand in for theirs, as many as ``PACKED_BYTES`` hold."""
    room = PACKED_BYTES
    inside: set[nn.Linear] = set()
    for part in module.modules():
        gated = type(part) is GEGLU
        layer: Any = part.proj if gated else part
        if layer in inside or not _plain(layer) or "forward" in part.__dict__:
            continue
        room -= layer.weight.numel() * layer.weight.element_size()
        if room < 0:
            continue
        inside.add(layer)
        yield part, _Gated(cast(GEGLU, part)) if gated else _Linear(layer)


def _plain(layer: nn.Module) -> bool:
    """A linear layer in float32 on the CPU, with nothing attached that its own forward adds."""
    return (
        type(layer) is nn.Linear
        and "forward" not in layer.__dict__
        and layer.weight.dtype is torch.float32
        and layer.weight.device.type == "cpu"
    )
