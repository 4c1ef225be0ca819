"""Which device to use, and whether it is there."""

from __future__ import annotations

import torch

from synth.errors import Unavailable, UsageError

NAMES = ("auto", "cpu", "cuda", "mps")


def select_device(name: str) -> torch.device:
    """The torch device for a configured name; ``auto`` takes CUDA, then MPS, then the CPU.

    Raises:
        Unavailable: the device asked for is not on this machine.
        UsageError: the name is unknown.
    """
    present = {"cpu": True, "cuda": torch.cuda.is_available()}
    present["mps"] = torch.backends.mps.is_available()
    if name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if present[kind]))
    if name not in present:
        raise UsageError("unknown device", got=name, expected=", ".join(NAMES))
    if not present[name]:
        raise Unavailable(
            f"device `{name}` was asked for and is not available",
            got=_reason(name),
            fix="Use device=auto or device=cpu.",
        )
    return torch.device(name)


def select_precision(name: str, device: torch.device) -> str:
    """``fp32``, ``bf16`` or ``fp16`` for a configured name; ``auto`` is bf16 on CUDA, else fp32."""
    if name != "auto":
        return name
    return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"


def _reason(name: str) -> str:
    if name == "cuda" and torch.version.cuda is None:
        return f"torch {torch.__version__}, built without CUDA"
    return f"torch {torch.__version__} sees no {name} device"
