"""The processes of a run: their device, precision and number, through accelerate."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import torch

from synth.config.schema import Config
from synth.errors import SynthError, UsageError
from synth.families.device import select_device, select_precision
from train.shard import check_sharding

_PATIENCE = timedelta(hours=2)  # of those that wait while one saves or exports


def open_accelerator(config: Config) -> Any:
    """Set up accelerate for this device and precision; seeds and global switches stay untouched.

    Raises:
        UsageError: the batch or the model cannot be shared among the processes as asked for.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState
    from accelerate.utils import InitProcessGroupKwargs

    _refuse_other_engines()
    device = select_device(config.train.device)
    precision = select_precision(config.train.precision, device)
    # The state is a process-wide singleton that would keep the precision of an earlier run.
    AcceleratorState._reset_state(reset_partial_state=int(os.environ.get("WORLD_SIZE", "1")) == 1)
    accelerator = Accelerator(
        cpu=device.type == "cpu",
        mixed_precision="no" if precision == "fp32" else precision,
        step_scheduler_with_optimizer=False,
        kwargs_handlers=[InitProcessGroupKwargs(timeout=_PATIENCE)],
    )
    check_sharding(config, device, accelerator.num_processes)
    share = (config.train.micro_batch or 1) * accelerator.num_processes
    if config.train.batch % share:
        raise UsageError(
            "the batch cannot be shared evenly among the processes",
            where="train.batch",
            got=config.train.batch,
            expected=f"a multiple of {share}",
        )
    return accelerator


def on_main(accelerator: Any, action: Callable[[], None]) -> None:
    """Do something in the first process while the others wait; when it fails, all of them end.

    Args:
        accelerator: of ``accelerate``.
        action: what the first process does.

    Raises:
        SynthError: in the others, when it failed; in the first process what ``action`` raised.
    """
    failed = 1.0
    try:
        if accelerator.is_main_process:
            action()
        failed = 0.0
    finally:  # told also when it failed: nobody waits for a process that is gone
        told = torch.tensor(failed, device=accelerator.device)
        total = float(accelerator.reduce(told, reduction="sum"))
    if total:
        raise SynthError("the first process could not save", fix="See its own message.")


def require_agreement(accelerator: Any, images_seen: int) -> None:
    """All processes go on from the same point, or none does.

    Args:
        accelerator: of ``accelerate``.
        images_seen: of the checkpoint that this process found; negative without one.

    Raises:
        SynthError: another process found another one.
    """
    seen = accelerator.gather(torch.tensor([images_seen], device=accelerator.device)).tolist()
    if len(set(seen)) > 1:
        raise SynthError(
            "the processes do not see the same checkpoints",
            where="run.out",
            got=", ".join("none" if n < 0 else f"{n} images" for n in seen),
            fix="Put run.out on a file system that all nodes share.",
        )


def _refuse_other_engines() -> None:
    """What `accelerate launch` may ask for beside a number of processes.

    Raises:
        UsageError: its configuration shards the model itself.
    """
    for name in ("FSDP", "DEEPSPEED", "MEGATRON_LM"):
        if os.environ.get(f"ACCELERATE_USE_{name}", "false").lower() in ("true", "1"):
            raise UsageError(
                "accelerate's own sharding is not used",
                where=f"ACCELERATE_USE_{name}",
                fix="Launch with `accelerate launch --multi_gpu`, and set train.sharding=fsdp2.",
            )
