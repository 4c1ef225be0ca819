"""The optimisation loop: a generator of small records, for every family and process alike."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from synth.config.schema import TrainSection
from synth.diffusion.process import Process
from synth.errors import SynthError
from synth.families.base import Family
from train.backoff import with_backoff
from train.batches import Batch, BatchMaker, Example, Presentation
from train.checkpoint import Checkpoint
from train.ema import Ema, effective_decay, flatten, unflatten
from train.optim import (
    Named,
    learning_rate,
    make_optimizer,
    optimizer_tensors,
    restore_optimizer,
)
from train.order import Order
from train.posthoc import profile_decay
from train.shard import number, shard, split, whole

MAX_SKIPPED = 20  # steps in a row without a finite gradient; fp16's loss scale needs about ten


@dataclass(frozen=True)
class Step:
    """One optimiser step.

    Attributes:
        index: steps done, this one included.
        images_seen: images presented so far, over all processes.
        loss: weighted mean squared error, averaged over the batch.
        lr: learning rate used.
        grad_norm: global gradient norm before clipping.
        seconds: wall time of the step.
        skipped: whether the update was left out because it was not finite.
        lowered_to: the micro-batch from this step on, where memory ran out in it.
    """

    index: int
    images_seen: int
    loss: float
    lr: float
    grad_norm: float
    seconds: float
    skipped: bool = False
    lowered_to: int | None = None


class Training:
    """What changes while training: parameters, averages, optimiser, and one integer.

    Args:
        family: the model; its adapter is added here.
        settings: the ``train`` section.
        accelerator: of ``accelerate``; moves, wraps and scales.
    """

    def __init__(self, family: Family, settings: TrainSection, accelerator: Any) -> None:
        self.family, self.settings, self.accelerator = family, settings, accelerator
        self.sharded = settings.sharding == "fsdp2"
        if self.sharded:  # first: what follows is made of the parts
            shard(family.denoiser, accelerator.device)
        self.trainable: Named = list(family.trainable())
        self.ema = Ema(self.trainable)
        self.profiles = {width: Ema(self.trainable) for width in settings.ema.profiles}
        optimizer = make_optimizer(self.trainable, settings.optim)
        # What is sharded shares its gradients itself, and needs the precision alone.
        family.denoiser = accelerator.prepare_model(family.denoiser, evaluation_mode=self.sharded)
        self.optimizer = accelerator.prepare(optimizer)
        self.images_seen = 0
        self.micro = settings.micro_batch  # lowered where memory runs out
        self.skipped = 0
        self.skipped_in_a_row = 0

    def checkpoint(self, **facts: Any) -> Checkpoint:
        """Everything that ``restore`` needs, with further facts for ``state.json``.

        All processes call it; the tensors are with the main one.
        """
        scaler, main = self.accelerator.scaler, self.accelerator.is_main_process
        moments = optimizer_tensors(self.optimizer.optimizer, self.trainable)
        return Checkpoint(
            weights=whole({n: p.detach() for n, p in self.trainable}, keep=main),
            ema=whole(flatten(self.ema, self.profiles), keep=main),
            optimizer=whole(moments, keep=main),
            state={
                "images_seen": self.images_seen,
                "micro_batch": self.micro,
                "skipped": self.skipped,
                "skipped_in_a_row": self.skipped_in_a_row,
                "scaler": scaler.state_dict() if scaler else None,
                **facts,
            },
        )

    @torch.no_grad()
    def restore(self, checkpoint: Checkpoint) -> None:
        """Go back to where a checkpoint was made.

        Raises:
            SynthError: it is of a model with other trainable parameters.
        """
        shapes = {name: tensor.shape for name, tensor in checkpoint.weights.items()}
        if shapes != {name: parameter.shape for name, parameter in self.trainable}:
            raise SynthError("the checkpoint is of a model with other trainable parameters")
        checkpoint = split(checkpoint, dict(self.trainable))
        for name, parameter in self.trainable:
            parameter.copy_(checkpoint.weights[name])
        average, profiles = unflatten(checkpoint.ema, tuple(self.profiles))
        self.ema.restore(average)
        for width, tensors in profiles.items():
            self.profiles[width].restore(tensors)
        restore_optimizer(self.optimizer.optimizer, self.trainable, checkpoint.optimizer)
        self.images_seen = checkpoint.state["images_seen"]
        self.micro = checkpoint.state.get("micro_batch", self.micro)  # absent in older ones
        self.skipped = checkpoint.state["skipped"]
        self.skipped_in_a_row = checkpoint.state["skipped_in_a_row"]
        if self.accelerator.scaler and checkpoint.state["scaler"]:
            self.accelerator.scaler.load_state_dict(checkpoint.state["scaler"])


def checkpoint_bytes(training: Training) -> int:
    """How large a checkpoint will be: parameters, averages and AdamW's two moments."""
    moment = 1 if training.settings.optim.kind == "adamw8bit" else 4
    copies = 2 + len(training.profiles)
    numbers = sum(parameter.numel() for _, parameter in training.trainable)
    headers = sum(len(name) + 128 for name, _ in training.trainable) * (copies + 3)
    return numbers * (4 * copies + 2 * moment) + headers


def fit(
    training: Training, examples: Sequence[Example], order: Order, batches: BatchMaker
) -> Iterator[Step]:
    """Train up to ``settings.steps`` steps, from wherever ``training`` is.

    Raises:
        SynthError: ``MAX_SKIPPED`` steps in a row had no finite gradient.
    """
    settings, accelerator = training.settings, training.accelerator

    def presented(first: int) -> list[Presentation]:
        rank, world = accelerator.process_index, accelerator.num_processes
        mine = range(first + rank, first + settings.batch, world)
        return [(examples[order.row(position)], position) for position in mine]

    coming: list[Presentation] = []
    while training.images_seen < settings.steps * settings.batch:
        started = time.perf_counter()
        now = coming or presented(training.images_seen)
        after = training.images_seen + settings.batch
        coming = presented(after) if after < settings.steps * settings.batch else []
        step = _step(training, now, coming, batches)
        yield Step(**step, seconds=time.perf_counter() - started)


def _step(
    training: Training,
    presentations: Sequence[Presentation],
    coming: Sequence[Presentation],
    batches: BatchMaker,
) -> dict[str, Any]:
    """One update: loss = Σ w·mse / N over the global batch, whatever the micro-batch."""
    settings, accelerator, optimizer = training.settings, training.accelerator, training.optimizer
    lr = learning_rate(training.images_seen, settings)
    for group in optimizer.param_groups:
        group["lr"] = lr
    micro = training.micro or len(presentations)

    def attempt(size: int) -> Tensor:
        return _gradients(training, presentations, coming, batches, size)

    total, fitted = with_backoff(attempt, len(presentations), micro, optimizer, accelerator)
    lowered_to = fitted if fitted != micro else None
    training.micro = lowered_to or training.micro
    parameters = [parameter for _, parameter in training.trainable]
    _share_rest(training)
    norm = number(accelerator.clip_grad_norm_(parameters, settings.optim.clip))
    mean = float(accelerator.reduce(total, reduction="sum"))
    finite = math.isfinite(mean) and math.isfinite(norm)
    if finite or accelerator.scaler:  # the fp16 scaler skips by itself, and must see the step
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    training.images_seen += settings.batch
    if finite:
        _average(training)
    _count_skipped(training, finite=finite, loss=mean)
    index = training.images_seen // settings.batch
    return {"index": index, "images_seen": training.images_seen, "loss": mean, "lr": lr} | {
        "grad_norm": norm,
        "skipped": not finite,
        "lowered_to": lowered_to,
    }


def _gradients(
    training: Training,
    presentations: Sequence[Presentation],
    coming: Sequence[Presentation],
    batches: BatchMaker,
    micro: int,
) -> Tensor:
    """Add up the gradients of a step, ``micro`` images at a time; returns its loss."""
    settings, accelerator = training.settings, training.accelerator
    total = torch.zeros((), device=accelerator.device)
    for start in range(0, len(presentations), micro):
        last = start + micro >= len(presentations)
        batch = batches.draw(presentations[start : start + micro])
        batches.announce(coming[:micro] if last else presentations[start + micro :][:micro])
        with _sync(training, last):
            loss = batch_loss(training.family, batch, settings.min_snr_gamma).sum() / settings.batch
            # Processes average their gradients; times their number, that is the global sum.
            accelerator.backward(loss * accelerator.num_processes)
        total += loss.detach()
    return total


def _average(training: Training) -> None:
    """Move every average towards the parameters of this step."""
    seen, settings = training.images_seen, training.settings
    training.ema.update(effective_decay(seen, settings.batch, settings.ema))
    for width, average in training.profiles.items():
        average.update(profile_decay(seen, settings.batch, width))


def batch_loss(family: Family, batch: Batch, min_snr_gamma: float | None) -> Tensor:
    """Weighted mean squared error of each image, float32 [B]."""
    process: Process = family.process
    noisy = process.add_noise(batch.x0, batch.noise, batch.times)
    output = family.denoise(noisy, batch.times, batch.cond).float()
    error = (output - process.target(batch.x0, batch.noise, batch.times)).square()
    loss = error.flatten(1).mean(dim=1)
    if min_snr_gamma is None:
        return loss
    return loss * process.min_snr(batch.times, min_snr_gamma).to(loss)


def _sync(training: Training, last: bool) -> AbstractContextManager[Any]:
    """Gradients cross processes only in the last micro-batch."""
    if last:
        return nullcontext()
    context: AbstractContextManager[Any] = training.accelerator.no_sync(training.family.denoiser)
    return context


def _share_rest(training: Training) -> None:
    """Average over processes the gradients that the wrapped denoiser does not average."""
    if training.accelerator.num_processes == 1:
        return
    wrapped = {id(parameter) for parameter in training.family.denoiser.parameters()}
    for _, parameter in training.trainable:
        if id(parameter) not in wrapped:
            if parameter.grad is None:  # on this process no caption was kept
                parameter.grad = torch.zeros_like(parameter)
            parameter.grad = training.accelerator.reduce(parameter.grad, reduction="mean")


def _count_skipped(training: Training, *, finite: bool, loss: float) -> None:
    training.skipped += not finite
    training.skipped_in_a_row = 0 if finite else training.skipped_in_a_row + 1
    if training.skipped_in_a_row >= MAX_SKIPPED:
        raise SynthError(
            f"{MAX_SKIPPED} steps in a row had no finite gradient",
            where="train",
            got=f"loss {loss} after {training.images_seen} images",
            fix="Lower train.optim.learning_rate, or set train.precision=fp32.",
        )
