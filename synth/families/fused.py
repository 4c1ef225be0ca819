"""Attention kernels of transformer denoisers (SD3, PixArt, Sana): torch's own, chosen by context.

Their processors call SDPA themselves, so another processor would change the mathematics (Sana's is
linear attention) or break it (SD3's joins text and image). What can be chosen is what runs for
SDPA, and that is done around every layer's own processor and shown by the operator that torch
dispatched.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from synth.errors import SynthError, Unavailable, UsageError
from synth.families.attention import (
    NAMES,
    TOLERANCE,
    Kernel,
    Operators,
    Within,
    named,
    operator,
)
from synth.families.sliced import Slicing
from synth.seeding import torch_generator


def use_fused(denoiser: nn.Module, name: str, *, device: torch.device) -> Kernel:
    """Probe a kernel on a device and let every attention layer of a transformer run it.

    Args:
        denoiser: a diffusers transformer.
        name: one of ``NAMES``; ``auto`` is SDPA.
        device: where the model will run.

    Raises:
        UsageError: no kernel has that name.
        Unavailable: xformers, which only UNets take.
        SynthError: it runs and disagrees.
    """
    kernel = probe_fused(name, device=device)
    for layer in denoiser.modules():
        if isinstance(layer, Attention):
            own = layer.processor
            own = own.inner if isinstance(own, Within) else own
            plain = kernel.name not in _CONTEXTS
            layer.set_processor(own if plain else Within(own, _CONTEXTS[kernel.name]))
    return kernel


def _math() -> AbstractContextManager[Any]:
    context: AbstractContextManager[Any] = sdpa_kernel(SDPBackend.MATH)
    return context


_CONTEXTS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "math": _math,
    "sliced": Slicing,
}


def probe_fused(name: str, *, device: torch.device, width: int = 32) -> Kernel:
    """Run SDPA forward and backward under a kernel and compare it with torch's choice.

    Args:
        name: one of ``NAMES``; ``auto`` is SDPA.
        device: where to run.
        width: channels of a head.

    Raises:
        UsageError: no kernel has that name.
        Unavailable: xformers, which only UNets take.
        SynthError: it runs and disagrees.
    """
    if name not in NAMES:
        expected = ", ".join(NAMES)
        raise UsageError(
            "unknown attention kernel", where="model.attention", got=name, expected=expected
        )
    if name == "xformers":
        raise Unavailable(
            "attention kernel `xformers` is not available",
            where="model.attention",
            got="a transformer denoiser",
            expected="xformers with a UNet only (sd, sdxl)",
            fix="Use model.attention=auto.",
        )
    name = "sdpa" if name == "auto" else name
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    expected_output, expected_gradient, _ = _run("sdpa", width, device, dtype)
    output, gradient, ran = _run(name, width, device, dtype)
    error = max(
        float((output - expected_output).abs().max()),
        float((gradient - expected_gradient).abs().max()),
    )
    if not error <= TOLERANCE[dtype]:
        raise SynthError(
            f"attention kernel `{name}` disagrees with SDPA",
            got=f"difference {error:.2g} in {dtype}",
            expected=f"at most {TOLERANCE[dtype]:.0e}",
            fix="Use model.attention=sdpa.",
        )
    return Kernel(name, named(name, ran), error)


def _run(
    name: str, width: int, device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, Tensor, str]:
    """(output, gradient of the queries, operator) for fixed queries, keys and values."""
    drawn = torch.randn(3, 2, 2, 64, width, generator=torch_generator("fused-probe", width))
    q, k, v = drawn.to(device, dtype).unbind()
    q = q.requires_grad_()
    context = _CONTEXTS.get(name, nullcontext)
    with torch.enable_grad(), context(), Operators() as record:
        output = scaled_dot_product_attention(q, k, v)
    with torch.enable_grad():
        output.square().sum().backward()
    if q.grad is None or not bool(q.grad.isfinite().all()):
        raise SynthError(f"attention kernel `{name}` gives no finite gradient")
    return output.detach().float(), q.grad.float(), operator(record)
