"""A finished run's weights again, with an average of another length."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from synth.config.schema import Config
from synth.errors import SynthError, UsageError
from synth.families import load_family
from synth.families.device import select_device
from train.posthoc import reconstruct


@torch.no_grad()
def export_average(
    config: Config, out: Path, *, width: float, images_seen: int | None = None
) -> str:
    """Write a diffusers pipeline whose weights are a post-hoc average.

    Args:
        config: of the run; its folder holds the snapshots.
        out: the folder to write; must not exist.
        width: of the average, relative to the training.
        images_seen: where the average ends; the last snapshot by default.

    Returns:
        The ``weights_sha256`` of what was written.

    Raises:
        UsageError: ``out`` exists, or the average cannot be made.
        SynthError: the snapshots are of a model with other trainable parameters.
    """
    if out.exists():
        raise UsageError("the folder exists", where=out, fix="Choose a new one for --out.")
    average = reconstruct(config.run.out / "ema", width, images_seen)
    device = select_device(config.train.device)
    family = load_family(config.model, device=device, dtype=torch.float32)
    trainable = dict(family.trainable())
    if trainable.keys() != average.keys():
        raise SynthError(
            "the snapshots are of a model with other trainable parameters",
            where=config.run.out / "ema",
        )
    for name, parameter in trainable.items():
        parameter.copy_(average[name])
    staging = out.with_name(f".{out.name}.{os.getpid()}.staging")
    digest = family.export(staging)
    staging.replace(out)
    return digest
