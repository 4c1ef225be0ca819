"""FSDP2: parameters, gradients, averages and moments split over the processes.

Every process holds a slice of each parameter and gathers a block's whole ones only while it
computes (Zhao et al. 2023; in torch, ``fully_shard``). The mathematics is that of one process.
Checkpoints hold whole tensors, so a run may be sharded in one session and not in the next.

Whoever computes or gathers with a sharded network does it in all processes at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from synth.config.schema import Config
from synth.errors import UsageError
from train.checkpoint import Checkpoint


def check_sharding(config: Config, device: torch.device, processes: int) -> None:
    """Refuse sharding where it cannot run, before anything is loaded.

    Args:
        config: ``train`` and ``model`` are used.
        device: of this process.
        processes: of the run.

    Raises:
        UsageError: it would not run, or would not do what was asked for.
    """
    if config.train.sharding == "none":
        return
    model, train = config.model, config.train
    problems = {
        "several processes": (
            processes < 2,
            "one",
            "Start it with torchrun or accelerate launch; see docs/training.md.",
        ),
        "CUDA or the CPU": (device.type not in ("cuda", "cpu"), device.type, "Set train.device."),
        "model.adapter=full": (
            model.adapter != "full",
            model.adapter,
            "LoRA needs no sharding: leave train.sharding=none.",
        ),
        "a frozen text encoder": (
            model.train_text_encoder,
            "model.train_text_encoder=true",
            "Sharded, the denoiser alone can train.",
        ),
        "no conditions": (
            bool(model.conditions),
            f"model.conditions={list(model.conditions)}",
            "Sharded, the denoiser alone can train.",
        ),
        "train.optim.kind=adamw": (
            train.optim.kind != "adamw",
            train.optim.kind,
            "Sharded, the moments are small enough in fp32.",
        ),
        "fp32 or bf16": (train.precision == "fp16", "fp16", "Set train.precision=bf16."),
    }
    for expected, (wrong, got, fix) in problems.items():
        if wrong:
            raise UsageError(
                "fsdp2 cannot shard this run",
                where="train.sharding",
                got=got,
                expected=expected,
                fix=fix,
            )


def shard(denoiser: nn.Module, device: torch.device) -> None:
    """Split a network's parameters over the processes, in place; their names stay.

    The elements of its outermost module lists (a transformer's blocks) are gathered one at a time,
    what remains together.

    Args:
        denoiser: float32, on ``device``; its parameters become DTensors.
        device: of this process.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (torch.distributed.get_world_size(),))
    for block in _blocks(denoiser):
        fully_shard(block, mesh=mesh)
    fully_shard(denoiser, mesh=mesh)


def _blocks(module: nn.Module) -> Iterable[nn.Module]:
    """The elements of the outermost module lists."""
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            yield from child
        else:
            yield from _blocks(child)


def whole(tensors: Mapping[str, Tensor], *, keep: bool) -> dict[str, Tensor]:
    """Tensors gathered from all processes, which call this together.

    Args:
        tensors: sharded or not, in the same order everywhere.
        keep: whether this process wants them; the others get an empty mapping.

    Returns:
        Gathered ones on the CPU, one at a time, so that the device needs no room for all; others
        as they are.
    """
    gathered: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        full = _full(tensor).cpu() if _is_sharded(tensor) else tensor
        if keep:
            gathered[name] = full
    return gathered


def split(checkpoint: Checkpoint, parameters: Mapping[str, Tensor]) -> Checkpoint:
    """A checkpoint as the parameters are: each process takes its part of what is sharded.

    Args:
        checkpoint: of whole tensors.
        parameters: by name.
    """

    def like(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: _like(parameters.get(_owner(name)), t) for name, t in tensors.items()}

    return replace(
        checkpoint,
        weights=like(checkpoint.weights),
        ema=like(checkpoint.ema),
        optimizer=like(checkpoint.optimizer),
    )


def _owner(name: str) -> str:
    """The parameter in ``<width>@<parameter>`` and ``<parameter>/<field>``."""
    return name.rpartition("@")[2].partition("/")[0]


def _like(parameter: Tensor | None, tensor: Tensor) -> Tensor:
    if parameter is None or not _is_sharded(parameter) or tensor.shape != parameter.shape:
        return tensor
    from torch.distributed.tensor import distribute_tensor

    owner: Any = parameter
    there = tensor.to(owner.device)
    # None: every process has the same whole tensor and takes its part, nothing is sent.
    return distribute_tensor(there, owner.device_mesh, owner.placements, src_data_rank=None)


def number(tensor: Tensor) -> float:
    """A scalar, whether all processes hold it or each a part."""
    return float(_full(tensor) if _is_sharded(tensor) else tensor)


def _is_sharded(tensor: Tensor) -> bool:
    return hasattr(tensor, "full_tensor")  # a DTensor, whose module need not be imported to ask


def _full(tensor: Any) -> Tensor:
    whole_one: Tensor = tensor.full_tensor()
    return whole_one
