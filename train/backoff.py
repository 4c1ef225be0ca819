"""Smaller micro-batches when memory runs out: the same step again, with the same mathematics.

A step is Σ w·mse / N over its whole batch, its draws depend on no neighbour, and nothing changes
before all gradients are there. So a step that ran out of memory can begin again in smaller parts,
and ends where a run with that micro-batch would.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any, TypeVar

import torch

from synth.errors import SynthError

T = TypeVar("T")
_WORDS = (  # CUDA, Apple and allocators say the first; the CPU's the second; cuBLAS the last
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "ALLOC_FAILED",
)


def with_backoff(
    attempt: Callable[[int], T], images: int, micro: int, optimizer: Any, accelerator: Any
) -> tuple[T, int]:
    """Call ``attempt(micro)``, with fewer images at a time for as long as memory runs out.

    Args:
        attempt: adds up the gradients of all images, that many at a time.
        images: in the step; a smaller micro-batch divides it.
        micro: images at a time to begin with.
        optimizer: drops the gradients of a failed attempt.
        accelerator: of ``accelerate``.

    Returns:
        What ``attempt`` returned, and the micro-batch that fitted.

    Raises:
        SynthError: not even one image at a time fits; or there are other processes, which wait for
            this one's gradients and cannot be told to begin again.
    """
    while True:
        try:
            return attempt(micro), micro
        except RuntimeError as error:  # torch.OutOfMemoryError is one
            if not is_out_of_memory(error):
                raise
            reason = str(error).splitlines()[0]
        # Past the handler: the error's traceback holds the activations of the failed attempt.
        optimizer.zero_grad(set_to_none=True)
        free_cache(accelerator.device)
        if accelerator.num_processes > 1:
            raise SynthError(
                "out of memory in one of several processes",
                where="train.micro_batch",
                got=f"{reason}, {micro} images at a time",
                fix="Lower train.micro_batch: the results stay the same. See `synth check`.",
            )
        if micro == 1:
            raise SynthError(
                "out of memory with one image at a time",
                where="train.micro_batch",
                got=reason,
                fix="Set model.gradient_checkpointing=true, model.adapter=lora, a smaller data.size"
                " or model.attention=sliced; see `synth check`.",
            )
        micro = next_micro(images, micro)


def next_micro(images: int, micro: int) -> int:
    """The largest divisor of ``images`` of at most half the present micro-batch.

    >>> next_micro(48, 16), next_micro(6, 3), next_micro(12, 12)
    (8, 1, 6)
    """
    return next(size for size in range(max(1, micro // 2), 0, -1) if images % size == 0)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device or the machine had no memory left."""
    text = str(error)
    return isinstance(error, torch.OutOfMemoryError) or any(word in text for word in _WORDS)


def free_cache(device: torch.device) -> None:
    """Give the allocator's unused blocks back, so that smaller ones find room."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
