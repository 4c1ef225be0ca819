"""Attention kernels of UNet denoisers, set by processor and believed only after a probe.

``set_attention_backend`` of diffusers returns without error and changes nothing in a UNet, so a
kernel is chosen through its attention processor, run forward and backward on a small input,
compared with SDPA, and reported under the name of the operator that torch dispatched.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.attention_processor import (
    Attention,
    AttnProcessor,
    AttnProcessor2_0,
    XFormersAttnProcessor,
)
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from synth.errors import SynthError, Unavailable, UsageError
from synth.families.sliced import Slicing
from synth.seeding import torch_generator

NAMES = ("auto", "sdpa", "math", "sliced", "xformers")
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 1e-2}


@dataclass(frozen=True)
class Within:
    """An attention processor that runs another one inside a context, made anew for every call.

    The context belongs to the layer and not to the forward pass: gradient checkpointing runs layers
    again in the backward pass, where they must meet the same kernel.
    """

    inner: Any
    context: Callable[[], AbstractContextManager[Any]]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the other processor returns."""
        with self.context():
            return self.inner(*args, **kwargs)


_PROCESSORS: dict[str, Callable[[], Any]] = {
    "sdpa": AttnProcessor2_0,
    "math": AttnProcessor,
    "sliced": lambda: Within(AttnProcessor2_0(), Slicing),
    "xformers": XFormersAttnProcessor,
}


@dataclass(frozen=True)
class Kernel:
    """An attention kernel that passed its probe.

    Attributes:
        name: ``sdpa``, ``math``, ``sliced`` or ``xformers``.
        ran: the operator that torch dispatched in the forward pass.
        error: largest difference from SDPA over the output and the input's gradient.
    """

    name: str
    ran: str
    error: float


def use_attention(denoiser: nn.Module, name: str, *, device: torch.device) -> Kernel:
    """Probe a kernel on a device and set it on every attention layer of a UNet.

    Args:
        denoiser: a diffusers ``UNet2DConditionModel``.
        name: one of ``NAMES``; ``auto`` is SDPA.
        device: where the model will run.

    Raises:
        Unavailable: the kernel is not installed, does not support the device or fails.
        SynthError: the kernel runs and disagrees with SDPA.
    """
    kernel = probe(name, device=device, width=_head_width(denoiser))
    denoiser.set_attn_processor(_PROCESSORS[kernel.name]())  # type: ignore[operator]
    return kernel


def probe(name: str, *, device: torch.device, width: int = 32) -> Kernel:
    """Run a kernel forward and backward on a small layer and compare it with SDPA.

    Args:
        name: one of ``NAMES``.
        device: where to run.
        width: channels of a head.

    Raises:
        UsageError: no kernel has that name.
        Unavailable: the kernel cannot run here.
        SynthError: it runs and disagrees with SDPA.
    """
    if name not in NAMES:
        raise UsageError(
            "unknown attention kernel",
            where="model.attention",
            got=name,
            expected=", ".join(NAMES),
        )
    name = "sdpa" if name == "auto" else name
    if name == "xformers":
        _require_xformers(device)
    # fp16/bf16 kernels exist on CUDA that do not in fp32, and training there autocasts.
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    layer, x = _layer(width, device, dtype)
    expected, _ = _run(layer, x, "sdpa")
    got, ran = _run(layer, x, name)
    error = max(float((a - b).abs().max()) for a, b in zip(got, expected, strict=True))
    if not error <= TOLERANCE[dtype]:
        raise SynthError(
            f"attention kernel `{name}` disagrees with SDPA",
            got=f"difference {error:.2g} in {dtype}",
            expected=f"at most {TOLERANCE[dtype]:.0e}",
            fix="Use model.attention=sdpa.",
        )
    return Kernel(name, named(name, ran), error)


def named(name: str, ran: str) -> str:
    """The operator as it is reported: the softmax of ``sliced`` is that of ``math``."""
    return f"{ran}, in slices" if name == "sliced" else ran


def kernel_states() -> list[tuple[str, str, str]]:
    """(kernel, ``ok`` or ``unavailable``, operator or reason) of every kernel on this machine."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    states = []
    for name in NAMES:
        try:
            kernel = probe(name, device=device)
        except SynthError as error:
            states.append((name, "unavailable", error.got or error.problem))
        else:
            states.append((name, "ok", f"{kernel.ran} on {device.type}"))
    return states


def _require_xformers(device: torch.device) -> None:
    missing = ""
    if device.type != "cuda":
        missing = f"xformers has no kernel with gradients for device `{device.type}`"
    elif importlib.util.find_spec("xformers") is None:
        missing = "xformers is not installed"
    if missing:
        raise Unavailable(
            "attention kernel `xformers` is not available",
            where="model.attention",
            got=missing,
            expected="a CUDA device and `pip install medical-image-synthesis[xformers]`",
            fix="Use model.attention=auto.",
        )


def _layer(width: int, device: torch.device, dtype: torch.dtype) -> tuple[Attention, Tensor]:
    """A two-head self-attention layer and an input [2, 64, 2·width], from fixed integers."""
    generator = torch_generator("attention-probe", width)
    channels = 2 * width
    with torch.random.fork_rng(devices=[]):  # layer construction draws from the global generator
        layer = Attention(query_dim=channels, heads=2, dim_head=width)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * channels**-0.5)
    x = torch.randn(2, 64, channels, generator=generator)
    return layer.to(device, dtype), x.to(device, dtype)


def _run(layer: Attention, x: Tensor, name: str) -> tuple[tuple[Tensor, Tensor], str]:
    """(output, gradient of the input) and the attention operator that ran."""
    layer.set_processor(_PROCESSORS[name]())
    x = x.clone().requires_grad_()
    try:
        with torch.enable_grad():
            with Operators() as record:
                output = layer(x)
            output.square().sum().backward()
    except (RuntimeError, NotImplementedError, ImportError) as error:
        raise Unavailable(
            f"attention kernel `{name}` fails on {x.device.type}",
            where="model.attention",
            got=str(error).splitlines()[0],
            fix="Use model.attention=auto.",
        ) from None
    if x.grad is None or not bool(x.grad.isfinite().all()):
        raise SynthError(f"attention kernel `{name}` gives no finite gradient")
    return (output.detach().float(), x.grad.float()), operator(record)


class Operators(TorchDispatchMode):
    """Notes the name of every operator that reaches a kernel."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        self.names.append(func._schema.name)
        return func(*args, **(kwargs or {}))


def operator(record: Operators) -> str:
    """The fused attention operator, or the explicit softmax."""
    marks = ("attention", "fmha", "flash", "xformers")
    fused = [name for name in record.names if any(mark in name.lower() for mark in marks)]
    explicit = [name for name in record.names if "softmax" in name]
    return (fused or explicit or ["unknown"])[0]


def _head_width(denoiser: nn.Module) -> int:
    """Channels of a head of the first attention layer."""
    for module in denoiser.modules():
        if isinstance(module, Attention):
            return int(module.inner_dim // module.heads)
    return 32
