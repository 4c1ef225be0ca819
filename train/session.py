"""One process's life in a run: what is loaded, and what is done with it at every cadence."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from synth.config import config_sha256
from synth.config.schema import Config
from synth.errors import SynthError
from synth.families import load_family
from synth.families.base import Family
from synth.manifest import Dataset, open_dataset
from synth.progress import Progress
from train.checkpoint import Checkpoint, checkpoints, load_latest, save_checkpoint
from train.commit import remove_leftovers
from train.disk import require_space
from train.examples import Examples, build_examples
from train.log import Log, Watch
from train.loop import Step, Training, checkpoint_bytes
from train.posthoc import save_snapshot
from train.preview import (
    Preview,
    Validation,
    choose_previews,
    validation_losses,
    write_preview,
)
from train.processes import on_main, open_accelerator, require_agreement
from train.shard import whole
from train.tracker import open_tracker


@dataclass
class Session:
    """One process's life in a run."""

    config: Config
    dataset: Dataset
    accelerator: Any
    family: Family
    examples: Examples
    training: Training
    log: Log
    progress: Progress
    previews: tuple[Preview, ...]
    started: float = field(default_factory=time.perf_counter)
    seconds_before: float = 0.0
    losses: list[Step] = field(default_factory=list)
    watch: Watch = field(default_factory=Watch)
    validation: dict[str, Any] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Wall time of all sessions so far."""
        return self.seconds_before + time.perf_counter() - self.started


def open_session(config: Config, progress: Progress) -> Session:
    """Load everything, and go back to the newest sound checkpoint."""
    dataset = open_dataset(config.data.dataset)
    accelerator = open_accelerator(config)
    if accelerator.is_main_process:  # it holds the run folder
        for folder in (config.run.out, config.run.out / "checkpoints"):
            remove_leftovers(folder)
    progress.stage("loading the model")
    family = load_family(config.model, device=accelerator.device, dtype=torch.float32)
    examples = build_examples(  # processes share the work of filling the cache
        config,
        dataset,
        family,
        folder=config.train.cache or config.run.out / "cache",
        device=accelerator.device,
        progress=progress,
    )
    rows = dataset.split("val") or dataset.split("train")
    tracker = open_tracker(config.train.tracker, config.run.out / "tensorboard")
    log = Log(config.run.out / "log.jsonl" if accelerator.is_main_process else None, tracker)
    session = Session(
        config=config,
        dataset=dataset,
        accelerator=accelerator,
        family=family,
        examples=examples,
        training=Training(family, config.train, accelerator),
        log=log,
        progress=progress,
        previews=choose_previews(rows, config.train.preview_prompts, config.model.conditions),
    )
    _note_facts(session)
    if accelerator.is_main_process:
        require_space(space_needed(session))
    _resume(session, load_latest(config.run.out / "checkpoints", progress.note))
    return session


def _resume(session: Session, checkpoint: Checkpoint | None) -> None:
    """Restore, or log the state before training as the baseline.

    Raises:
        SynthError: the dataset or the base model is not the one the run began with, or the
            processes do not see the same checkpoints.
    """
    require_agreement(session.accelerator, -1 if checkpoint is None else _images(checkpoint))
    if checkpoint is None:
        validate(session)
        if session.config.train.preview_every:
            preview(session)
        return
    if checkpoint.state["fingerprint"] != session.examples.fingerprint:
        raise SynthError(
            "the training split is not the one this run began with",
            where=session.dataset.folder,
            fix="Restore it, or choose another run.out.",
        )
    # .get: checkpoints of earlier versions do not say
    base = checkpoint.state.get("base_weights_sha256", session.family.weights_sha256)
    if base != session.family.weights_sha256:
        raise SynthError(
            "the base model is not the one this run began with",
            where=session.config.model.weights,
            fix="Restore it, or choose another run.out.",
        )
    session.training.restore(checkpoint)
    session.seconds_before = checkpoint.state["seconds"]
    session.log.write("resume", images_seen=session.training.images_seen)
    session.progress.note(f"continuing after {session.training.images_seen} images")


def _images(checkpoint: Checkpoint) -> int:
    return int(checkpoint.state["images_seen"])


def validate(session: Session) -> None:
    """Loss of the present and the averaged weights on the validation split, if there is one.

    All processes meet here, each with its part of the images.
    """
    training, val = session.training, session.examples.val
    if not val:
        return
    accelerator = session.accelerator
    batch = training.micro or session.config.train.batch // accelerator.num_processes
    labels = {row.sample_id: row.labels for row in session.dataset.split("val")}

    def loss() -> Validation:
        batches = session.examples.batches
        return validation_losses(
            session.family, val, batches, batch=batch, labels=labels, accelerator=accelerator
        )

    with unwrapped(session):
        raw = loss()
        with training.ema.swapped_in():
            averaged = loss()
    by_finding = {
        name: {"images": n, "loss": value, "loss_ema": averaged.by_finding[name][0]}
        for name, (value, n) in raw.by_finding.items()
    }
    losses = {"loss": raw.loss, "loss_ema": averaged.loss}
    session.validation = {**losses, "by_finding": by_finding}
    session.log.write("validation", images_seen=training.images_seen, **session.validation)


def preview(session: Session) -> None:
    """A grid from the averaged weights; what is sharded takes all processes to compute."""
    config, training = session.config, session.training
    main = session.accelerator.is_main_process
    if not main and not training.sharded:
        return
    path = config.run.out / "previews" / f"{training.images_seen}.png"
    with unwrapped(session), training.ema.swapped_in():
        write_preview(
            session.family,
            session.previews,
            path if main else None,
            settings=config.sample,
            seed=config.run.seed,
            size=config.data.size or session.family.size,
        )
    session.log.preview(training.images_seen, path)


def checkpoint(session: Session) -> None:
    """Save where the run is; all processes meet here."""
    content = session.training.checkpoint(
        fingerprint=session.examples.fingerprint,
        base_weights_sha256=session.family.weights_sha256,
        seconds=session.seconds,
        config_sha256=config_sha256(session.config),
    )
    folder, keep = session.config.run.out / "checkpoints", session.config.train.keep_checkpoints

    def save() -> None:
        save_checkpoint(folder, content, keep=keep)

    on_main(session.accelerator, save)


def snapshot(session: Session) -> None:
    """Keep the averages of the tracked profiles, from which `synth ema` makes any other."""
    main, seen = session.accelerator.is_main_process, session.training.images_seen
    for width, average in session.training.profiles.items():
        tensors = whole(average.tensors, keep=main)
        save = partial(save_snapshot, session.config.run.out / "ema", width, seen, tensors)
        on_main(session.accelerator, save)


def space_needed(session: Session) -> list[tuple[Path, int]]:
    """Folders and the bytes that this run will still write to each, at its fullest.

    A new checkpoint lies beside those that are kept until it is verified. The export counts the
    denoiser alone, which is most of it.
    """
    config, training = session.config, session.training
    train, out = config.train, config.run.out
    present = len(checkpoints(out / "checkpoints"))
    written = max(1, train.keep_checkpoints + 1 - present)
    every = train.ema.snapshot_every or train.checkpoint_every
    ahead = -(-train.steps // every) - training.images_seen // (train.batch * every)
    numbers = sum(parameter.numel() for _, parameter in training.trainable)
    denoiser = session.family.denoiser.parameters()
    return [
        (out / "checkpoints", written * checkpoint_bytes(training)),
        (out / "ema", max(0, ahead) * len(training.profiles) * numbers * 2),
        (out / "weights", sum(p.numel() * p.element_size() for p in denoiser)),
    ]


def _note_facts(session: Session) -> None:
    """Say what the user should know before hours pass."""
    examples, note = session.examples, session.progress.note
    if examples.truncated:
        note(
            f"{len(examples.truncated)} of {examples.prompts} prompts are too long: "
            f"{sum(examples.truncated)} tokens are cut"
        )
    if not examples.val:
        note("the dataset has no validation split: no validation loss")


@contextmanager
def unwrapped(session: Session) -> Iterator[None]:
    """The bare denoiser in the family: one process may use it while the others wait."""
    wrapped = session.family.denoiser
    session.family.denoiser = session.accelerator.unwrap_model(wrapped)
    try:
        yield
    finally:
        session.family.denoiser = wrapped
