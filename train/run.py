"""A fine-tune from a configuration to an exported model; the same call again continues it."""

from __future__ import annotations

import math
import os
from collections.abc import Generator
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from synth.config.schema import Config
from synth.errors import Interrupted
from synth.progress import Progress, Silent
from train import loop
from train.disk import disk_errors
from train.finish import find_change, finish
from train.folder import locked, read_facts, write_config
from train.loop import Step
from train.order import Order, sampling_probabilities
from train.session import Session, checkpoint, open_session, preview, snapshot, validate
from train.stop import StopRequest, stop_on_signal


@dataclass(frozen=True)
class RunResult:
    """A finished run.

    Attributes:
        folder: the run folder.
        weights: the exported diffusers pipeline.
        images_seen: images presented.
        steps: optimiser steps.
        seconds: wall time of all sessions that made it.
        facts: what ``run.json`` holds.
    """

    folder: Path
    weights: Path
    images_seen: int
    steps: int
    seconds: float
    facts: dict[str, Any]


def fine_tune(config: Config, progress: Progress | None = None) -> RunResult:
    """Train, export, and return; see ``fit`` for the steps one by one.

    Args:
        config: all sections but ``metrics`` are used.
        progress: told what happens.

    Raises:
        UsageError: the folder holds a run of another configuration.
        Unavailable: the device or attention kernel is not there.
        Interrupted: stopped by a signal after a checkpoint; the same call continues.
        SynthError: the data or weights are unusable, or training diverged.
    """
    steps = fit(config, progress)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: RunResult = end.value
            return result


def fit(config: Config, progress: Progress | None = None) -> Generator[Step, None, RunResult]:
    """The same as ``fine_tune``, as a generator of its steps that returns the ``RunResult``.

    Leaving it early keeps the last checkpoint; what came after is done again.
    """
    folder = config.run.out
    main = int(os.environ.get("RANK", "0")) == 0
    progress = progress if progress and main else Silent()
    with disk_errors(folder), locked(folder) if main else nullcontext():
        if main:
            write_config(config)
        if done := _finished(config, progress):
            progress.note(f"{folder}: already trained, {done.steps} steps")
            return done
        session = open_session(config, progress)  # a signal here ends it: the cache keeps its work
        with closing(session.log), stop_on_signal() as stop:
            yield from _train(session, stop)
            return _result(config, finish(session))


def _finished(config: Config, progress: Progress) -> RunResult | None:
    """The result, when the folder already holds a run of this length with its whole export."""
    facts = read_facts(config.run.out)
    if facts is None or facts["images_seen"] < config.train.steps * config.train.batch:
        return None
    weights = config.run.out / "weights"
    if change := find_change(weights, facts.get("weights_sums_sha256", "")):
        progress.note(f"{weights}: {change}; exporting again")
        return None
    return _result(config, facts)


def _train(session: Session, stop: StopRequest) -> Generator[Step, None, None]:
    """Drive the loop, and do at every cadence what is due.

    Raises:
        Interrupted: a signal came; a checkpoint is written first.
    """
    train, examples = session.config.train, session.examples
    labels = [row.labels for row in session.dataset.split("train")]
    data = session.config.data
    probabilities = sampling_probabilities(labels, data.balance, data.weights)
    order = Order(probabilities, seed=session.config.run.seed)
    session.progress.stage("training")
    for step in loop.fit(session.training, examples.train, order, examples.batches):
        last = step.index >= train.steps
        _log_step(session, step, last=last)
        pace = session.watch.words(step.loss, step.seconds, train.batch)
        session.progress.update(step.index, train.steps, pace)
        if last or step.index % train.validate_every == 0:
            validate(session)
        if train.preview_every and (last or step.index % train.preview_every == 0):
            preview(session)
        if last or step.index % (train.ema.snapshot_every or train.checkpoint_every) == 0:
            snapshot(session)
        due = last or step.index % train.checkpoint_every == 0
        if due:
            checkpoint(session)
        yield step
        if not last and _stopping(session, stop):
            if not due:
                checkpoint(session)
            raise Interrupted(
                f"stopped by {stop.signal or 'a signal'} after {step.images_seen} images",
                where=session.config.run.out,
                fix="The same command continues.",
            )


def _stopping(session: Session, stop: StopRequest) -> bool:
    """Whether a signal came to any process: all must leave after the same step."""
    accelerator = session.accelerator
    if accelerator.num_processes == 1:
        return bool(stop)
    asked = torch.tensor(float(bool(stop)), device=accelerator.device)
    return float(accelerator.reduce(asked, reduction="sum")) > 0


def _log_step(session: Session, step: Step, *, last: bool) -> None:
    """One row every ``log_every`` steps: mean loss and seconds since the row before."""
    if step.lowered_to:
        session.log.write(
            "backoff",
            step=step.index,
            images_seen=step.images_seen,
            micro_batch=step.lowered_to,
        )
        session.progress.note(
            f"step {step.index}: out of memory, repeated and continued with "
            f"train.micro_batch={step.lowered_to}; the mathematics is the same"
        )
    if step.skipped:
        session.log.write(
            "skipped", step=step.index, images_seen=step.images_seen, loss=_finite(step.loss)
        )
        session.progress.note(f"step {step.index}: no finite gradient, update skipped")
        return
    session.losses.append(step)
    if not last and step.index % session.config.train.log_every:
        return
    window, session.losses = session.losses, []
    session.log.write(
        "step",
        step=step.index,
        images_seen=step.images_seen,
        loss=sum(s.loss for s in window) / len(window),
        lr=step.lr,
        grad_norm=step.grad_norm,
        seconds=sum(s.seconds for s in window) / len(window),
    )


def _result(config: Config, facts: dict[str, Any]) -> RunResult:
    return RunResult(
        folder=config.run.out,
        weights=config.run.out / "weights",
        images_seen=facts["images_seen"],
        steps=facts["steps"],
        seconds=facts["seconds"],
        facts=facts,
    )


def _finite(value: float) -> float | None:
    """JSON has no NaN."""
    return value if math.isfinite(value) else None
