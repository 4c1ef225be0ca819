"""A fine-tune from a configuration to an exported model; the same call again continues it."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Generator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synth.config.schema import Config
from synth.errors import Interrupted
from synth.progress import Progress, Silent
from train import loop
from train.finish import finish
from train.folder import locked, write_config
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
    progress = progress or Silent()
    folder = config.run.out
    main = int(os.environ.get("RANK", "0")) == 0
    with locked(folder) if main else nullcontext():
        if main:
            write_config(config)
        if done := _finished(config):
            progress.note(f"{folder}: already trained, {done.steps} steps")
            return done
        with stop_on_signal() as stop:
            session = open_session(config, progress)
            yield from _train(session, stop)
            return _result(config, finish(session))


def _finished(config: Config) -> RunResult | None:
    """The result, when the folder already holds a run of this length with its export."""
    path, weights = config.run.out / "run.json", config.run.out / "weights"
    if not (path.is_file() and (weights / "model_index.json").is_file()):
        return None
    facts = json.loads(path.read_text("utf-8"))
    if facts["images_seen"] < config.train.steps * config.train.batch:
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
        session.progress.update(step.index, train.steps, f"loss {step.loss:.4f}")
        if last or step.index % train.validate_every == 0:
            validate(session)
        if last or step.index % train.preview_every == 0:
            preview(session)
        if last or step.index % (train.ema.snapshot_every or train.checkpoint_every) == 0:
            snapshot(session)
        due = last or step.index % train.checkpoint_every == 0
        if due:
            checkpoint(session)
        yield step
        if stop and not last:
            if not due:
                checkpoint(session)
            raise Interrupted(
                f"stopped by {stop.signal} after {step.images_seen} images",
                where=session.config.run.out,
                fix="The same command continues.",
            )


def _log_step(session: Session, step: Step, *, last: bool) -> None:
    """One row every ``log_every`` steps: mean loss and seconds since the row before."""
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
