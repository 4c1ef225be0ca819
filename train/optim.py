"""AdamW, its learning rate as a function of images seen, and its state without pickles."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from synth.config.schema import OptimSection, TrainSection
from synth.errors import SynthError, Unavailable

Named = Sequence[tuple[str, nn.Parameter]]


def make_optimizer(trainable: Named, settings: OptimSection) -> torch.optim.Optimizer:
    """AdamW (Loshchilov & Hutter 2019) over the trainable parameters.

    Raises:
        Unavailable: 8-bit moments without CUDA or without the extra.
    """
    if settings.kind == "adamw8bit":
        return _adamw_8bit(trainable, settings)
    return torch.optim.AdamW(
        [parameter for _, parameter in trainable],
        lr=settings.learning_rate,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
        fused=trainable[0][1].device.type in ("cpu", "cuda"),
    )


def _adamw_8bit(trainable: Named, settings: OptimSection) -> torch.optim.Optimizer:
    """Block-wise quantised moments (Dettmers et al. 2022): 6 bytes a parameter less."""
    device = trainable[0][1].device
    if device.type != "cuda":
        raise Unavailable(
            "8-bit AdamW runs on CUDA only",
            where="train.optim.kind",
            got=f"adamw8bit on {device.type}",
            fix="Use train.optim.kind=adamw.",
        )
    try:
        from bitsandbytes.optim import AdamW8bit
    except ImportError:
        raise Unavailable(
            "8-bit AdamW needs bitsandbytes",
            where="train.optim.kind",
            fix="pip install 'medical-image-synthesis[adam8bit]'",
        ) from None
    optimizer: torch.optim.Optimizer = AdamW8bit(
        [parameter for _, parameter in trainable],
        lr=settings.learning_rate,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
    )
    return optimizer


def learning_rate(images_seen: int, settings: TrainSection) -> float:
    """Linear warm-up, then constant or cosine to zero, at a count of images already seen.

    Args:
        images_seen: before the step that uses the rate.
        settings: ``optim``, and ``steps`` × ``batch`` as the schedule's length.
    """
    optim = settings.optim
    warmup, total = optim.warmup_steps * settings.batch, settings.steps * settings.batch
    rate = optim.learning_rate
    if images_seen < warmup:
        return rate * (images_seen + settings.batch) / (warmup + settings.batch)
    if optim.schedule == "constant":
        return rate
    done = min(1.0, (images_seen - warmup) / max(1, total - warmup))
    return rate * 0.5 * (1.0 + math.cos(math.pi * done))


def optimizer_tensors(optimizer: torch.optim.Optimizer, trainable: Named) -> dict[str, Tensor]:
    """The state as tensors named ``<parameter>/<field>``."""
    return {
        f"{name}/{field}": value
        for name, parameter in trainable
        for field, value in _as_tensors(optimizer.state[parameter]).items()
    }


def _as_tensors(state: Mapping[str, object]) -> dict[str, Tensor]:
    """Plain numbers (the step of the 8-bit optimiser) become tensors without axes."""
    return {
        field: value if isinstance(value, Tensor) else torch.tensor(value)
        for field, value in state.items()
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer, trainable: Named, tensors: Mapping[str, Tensor]
) -> None:
    """Put back what ``optimizer_tensors`` gave; a state of before the first step is empty.

    Raises:
        SynthError: a tensor belongs to no trainable parameter.
    """
    by_name = dict(trainable)
    for key, value in tensors.items():
        name, _, field = key.rpartition("/")
        if name not in by_name:
            raise SynthError("the optimizer's state is of another model", got=name)
        parameter = by_name[name]
        device = torch.device("cpu") if field == "step" and not _fused(optimizer) else None
        optimizer.state[parameter][field] = value.to(device or parameter.device, copy=True)


def _fused(optimizer: torch.optim.Optimizer) -> bool:
    return bool(optimizer.defaults.get("fused"))
