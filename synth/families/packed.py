"""oneDNN for the layers of a denoiser or decoder on the CPU: the same numbers in less time.

The numbers are the same up to rounding, about 1e-6 of their spread, and always come by the same way
on one machine, so that an image can be made again bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers.models.activations import GEGLU
from diffusers.models.attention_processor import Attention
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, distributed, nn
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

from synth.families.packed_convolution import Convolution, Doubled, doubles
from synth.families.packed_linear import Gated, Linear, TextProjection

PACKED_BYTES = 2**30  # of weights held a second time, in oneDNN's order
NEEDED = (
    *("_linear_pointwise", "_reorder_linear_weight"),
    *("_convolution_pointwise", "_reorder_convolution_weight"),
)

Forward = Callable[..., Tensor]


@contextmanager
def packed(module: nn.Module) -> Iterator[None]:
    """Within the block the layers of a module take the faster way.

    Weights are read when the block is entered and must not change inside. Modules on an
    accelerator, in another precision, with gradients or in a process group are left as they are.

    Args:
        module: a denoiser or decoder in evaluation mode; changed within the block only.
    """
    replaced = dict(_replacements(module)) if _possible() else {}
    try:
        for part, forward in replaced.items():
            part.__dict__["forward"] = forward  # found before the method of its class
        yield
    finally:
        for part in replaced:
            part.__dict__.pop("forward", None)


def _possible() -> bool:
    if torch.is_grad_enabled() or torch.is_autocast_enabled("cpu"):
        return False
    if is_in_torch_dispatch_mode():
        return False  # something wants to see torch's own operations, as an estimate of memory does
    if distributed.is_available() and distributed.is_initialized():
        return False  # a sharded weight is whole within its own forward pass only
    operators = torch.ops.mkldnn
    return torch.backends.mkldnn.is_available() and all(hasattr(operators, n) for n in NEEDED)


def _replacements(module: nn.Module) -> Iterator[tuple[nn.Module, Forward]]:
    """Parts and the forward passes that stand in for theirs, as many as ``PACKED_BYTES`` hold."""
    room = PACKED_BYTES
    taken: set[nn.Module] = set()
    for part in module.modules():
        for whole, layer, packing in _packings(part):
            if whole in taken or not _plain(layer):
                continue
            needed = 4 * layer.weight.numel()
            if packing is Doubled:
                needed = needed * 16 // 9  # 2 × 2 weights for each of four pixels in place of 3 × 3
            if needed <= room:
                room -= needed
                taken.update((whole, layer))
                yield whole, packing(whole)


def _packings(part: Any) -> Iterator[tuple[Any, Any, Callable[[Any], Forward]]]:
    """What to replace in a part, the layer whose weight goes into it, and by what."""
    kind = type(part)
    if "forward" in part.__dict__:
        return
    if kind is GEGLU:
        yield part, part.proj, Gated
    elif kind is Upsample2D and doubles(part):
        yield part, part.conv, Doubled
    elif kind is Attention and part.is_cross_attention:
        yield part.to_k, part.to_k, TextProjection
        yield part.to_v, part.to_v, TextProjection
    elif kind is nn.Linear:
        yield part, part, Linear
    elif kind is nn.Conv2d:
        yield part, part, Convolution


def _plain(layer: Any) -> bool:
    """A layer in float32 on the CPU, with nothing attached that its own forward adds."""
    if type(layer) is nn.Conv2d:
        if layer.padding_mode != "zeros" or isinstance(layer.padding, str) or layer.groups > 1:
            return False
    elif type(layer) is not nn.Linear:
        return False
    weight = layer.weight
    return (
        "forward" not in layer.__dict__
        and type(weight) is nn.Parameter  # sharded and quantised ones are of other types
        and weight.dtype is torch.float32
        and weight.device.type == "cpu"
    )
