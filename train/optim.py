"""AdamW, its learning rate as a function of images seen, and its state without pickles."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from synth.config.schema import OptimSection, TrainSection
from synth.errors import SynthError

Named = Sequence[tuple[str, nn.Parameter]]


def make_optimizer(trainable: Named, settings: OptimSection) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2019) over the trainable parameters."""
    return torch.optim.AdamW(
        [parameter for _, parameter in trainable],
        lr=settings.learning_rate,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
        fused=trainable[0][1].device.type in ("cpu", "cuda"),
    )


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
        for field, value in optimizer.state[parameter].items()
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
