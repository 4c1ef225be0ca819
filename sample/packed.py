"""Linear layers through oneDNN where that gives the same bits: faster on many processors.

torch hands float32 matrix products to MKL, which was measured to run at less than half of oneDNN's
speed on an AMD processor. There the two agreed bit by bit for sums of up to 128 products, and not
for those of 256 and more. This depends on processor, threads and shapes and is not assumed: a
layer's first call of a shape is made both ways, and only where all its bits are equal is oneDNN
taken for the others. That is evidence and no proof: later calls of the shape are not compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, distributed, nn
from torch.nn.functional import linear

PACKED_BYTES = 2**30  # of weights held a second time, in oneDNN's order


@contextmanager
def packed(module: nn.Module) -> Iterator[None]:
    """Within the block the linear layers of a module take the faster way to the same bits.

    Weights are read when the block is entered and must not change inside. Modules on an
    accelerator, in another precision, with gradients or in a process group are left as they are.

    Args:
        module: a denoiser; changed within the block only.
    """
    layers = _layers(module) if _possible() else []
    try:
        for layer in layers:
            layer.__dict__["forward"] = _Twice(layer)  # found before the method of its class
        yield
    finally:
        for layer in layers:
            layer.__dict__.pop("forward", None)


class _Twice:
    """The forward pass of one linear layer: torch's until oneDNN has shown to give the same."""

    def __init__(self, layer: nn.Linear) -> None:
        self._weight, self._bias = layer.weight, layer.bias
        self._packed = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach())
        self._same: dict[torch.Size, bool] = {}

    def __call__(self, x: Tensor) -> Tensor:
        if x.dtype is not torch.float32:
            return linear(x, self._weight, self._bias)
        same = self._same.get(x.shape)
        if same:
            return self._other(x)
        expected = linear(x, self._weight, self._bias)
        if same is None:
            self._same[x.shape] = torch.equal(expected, self._other(x))
        return expected

    def _other(self, x: Tensor) -> Tensor:
        output: Tensor = torch.ops.mkldnn._linear_pointwise(
            x, self._packed, self._bias, "none", [], ""
        )
        return output


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


def _layers(module: nn.Module) -> list[nn.Linear]:
    """Plain linear layers in float32 on the CPU, as many as ``PACKED_BYTES`` hold."""
    found, room = [], PACKED_BYTES
    for layer in module.modules():
        if type(layer) is not nn.Linear or "forward" in layer.__dict__:
            continue
        weight = layer.weight
        plain = weight.dtype is torch.float32 and weight.device.type == "cpu"
        room -= weight.numel() * weight.element_size() if plain else 0
        if plain and room >= 0:
            found.append(layer)
    return found
