"""How long a run will take: a step is tried out where it is short, and the rest follows from it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from train.ema import Ema
from train.needs import Memory
from train.optim import make_optimizer
from train.preview import MOST_PREVIEWS, VALIDATION_IMAGES, VALIDATION_TIMES
from train.prospect import Prospect, example_batch, one_micro_batch

CPU_FLOPS = 2e11  # of a micro-batch that a CPU computes in a few seconds
GPU_RATE = 1e14  # operations a second that a data-centre GPU sustains in bf16


@dataclass(frozen=True)
class Duration:
    """Seconds of a run's parts.

    Attributes:
        step: an optimiser step.
        parts: of the whole run, by name.
        basis: ``measured``; or the speed that was assumed, in words.
    """

    step: float
    parts: dict[str, float]
    basis: str

    @property
    def total(self) -> float:
        """Of the whole run, from nothing."""
        return sum(self.parts.values())


def duration_of(prospect: Prospect, memory: Memory, device: torch.device | None) -> Duration:
    """Estimate a run's time; trying out a step moves and spoils the loaded weights.

    Args:
        prospect: of the run.
        memory: its count, whose operations stand for work.
        device: where a step may be tried out; None where it is not here, or memory would not do.
    """
    if device is None:
        step = memory.flops / GPU_RATE
        return Duration(step, _parts(prospect, memory, step), "for a GPU that does 100 TFLOP/s")
    if device.type == "cpu" and memory.flops / prospect.micro_batches > CPU_FLOPS:
        rate = cpu_rate()
        step = memory.flops / rate
        words = f"at the {rate / 1e9:.0f} GFLOP/s of a matrix product here"
        return Duration(step, _parts(prospect, memory, step), words)
    step = seconds_a_step(prospect, device)
    return Duration(step, _parts(prospect, memory, step), "measured")


def _parts(prospect: Prospect, memory: Memory, step: float) -> dict[str, float]:
    """Everything at the speed of a step; reading, saving and loading are left out."""
    train, dataset = prospect.config.train, prospect.dataset
    second = memory.flops / step
    # with checkpointing forward, forward again, and backward, which costs two
    passes = 4 if prospect.config.model.gradient_checkpointing else 3
    forward = memory.flops / train.batch / passes
    images = len(dataset.split("train", "val"))
    drawn = prospect.config.sample.steps * (2 if prospect.config.sample.guidance > 1 else 1)
    grid = min(MOST_PREVIEWS, max(8, len(dataset.findings)))
    checked = min(VALIDATION_IMAGES, len(dataset.split("val"))) * VALIDATION_TIMES * 2
    live = 0 if train.cached else memory.encode_flops * train.batch / second
    shown = 1 + train.steps // train.preview_every if train.preview_every else 0
    parts = {
        "encoding images once": images * memory.encode_flops / second if train.cached else 0.0,
        "training": train.steps * (step + live),
        "validation": (1 + train.steps // train.validate_every) * checked * forward / second,
        "previews": shown * grid * (drawn * forward + memory.decode_flops) / second,
    }
    return {name: seconds for name, seconds in parts.items() if seconds}


def cpu_rate(side: int = 1024) -> float:
    """Operations a second of a float32 matrix product."""
    a = torch.ones(side, side)

    def product() -> None:
        float((a @ a)[0, 0])

    seconds = min(_timed(product) for _ in range(3))
    return 2.0 * side**3 / seconds


def seconds_a_step(prospect: Prospect, device: torch.device) -> float:
    """Try out an optimiser step on a device, and spoil the loaded weights by it."""
    prospect.family.to(device)
    batch = example_batch(prospect, device)
    parameters = [parameter for _, parameter in prospect.trainable]
    optimizer = make_optimizer(prospect.trainable, prospect.config.train.optim)
    average = Ema(prospect.trainable)

    def gradients() -> None:
        float(one_micro_batch(prospect, batch))  # waits for the device

    def update() -> None:
        float(torch.nn.utils.clip_grad_norm_(parameters, 1.0))
        optimizer.step()
        average.update(0.999)

    times = []
    for _ in range(3):  # the first one warms up
        times.append((_timed(gradients), _timed(update)))
    passes, updates = (min(values) for values in zip(*times[1:], strict=True))
    return float(passes * prospect.micro_batches + updates)


def _timed(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
