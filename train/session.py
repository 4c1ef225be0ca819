"""One process's life in a run: what is loaded, and what is done with it at every cadence."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from synth.config import config_sha256
from synth.config.schema import Config
from synth.errors import SynthError, UsageError
from synth.families import load_family
from synth.families.base import Family
from synth.families.device import select_device, select_precision
from synth.manifest import Dataset, open_dataset
from synth.progress import Progress
from train.checkpoint import Checkpoint, load_latest, remove_leftovers, save_checkpoint
from train.examples import Examples, build_examples
from train.log import Log
from train.loop import Step, Training
from train.posthoc import save_snapshot
from train.preview import preview_prompts, validation_loss, write_preview


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
    prompts: tuple[str, ...]
    started: float = field(default_factory=time.perf_counter)
    seconds_before: float = 0.0
    losses: list[Step] = field(default_factory=list)
    validation: dict[str, float] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Wall time of all sessions so far."""
        return self.seconds_before + time.perf_counter() - self.started


def open_session(config: Config, progress: Progress) -> Session:
    """Load everything, and go back to the newest sound checkpoint."""
    dataset = open_dataset(config.data.dataset)
    accelerator = _accelerator(config)
    if accelerator.is_main_process:  # it holds the run folder
        for folder in (config.run.out, config.run.out / "checkpoints"):
            remove_leftovers(folder)
    progress.stage("loading the model")
    family = load_family(config.model, device=accelerator.device, dtype=torch.float32)
    with accelerator.main_process_first():  # the others then find everything in the cache
        examples = build_examples(
            config,
            dataset,
            family,
            folder=config.run.out / "cache",
            device=accelerator.device,
            progress=progress,
        )
    rows = dataset.split("val") or dataset.split("train")
    log = Log(config.run.out / "log.jsonl" if accelerator.is_main_process else None)
    session = Session(
        config=config,
        dataset=dataset,
        accelerator=accelerator,
        family=family,
        examples=examples,
        training=Training(family, config.train, accelerator),
        log=log,
        progress=progress,
        prompts=config.train.preview_prompts or preview_prompts(rows),
    )
    _note_facts(session)
    _resume(session, load_latest(config.run.out / "checkpoints", progress.note))
    return session


def _accelerator(config: Config) -> Any:
    """Set up accelerate for this device and precision; seeds and global switches stay untouched.

    Raises:
        UsageError: the batch cannot be shared among the processes.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    device = select_device(config.train.device)
    precision = select_precision(config.train.precision, device)
    # The state is a process-wide singleton that would keep the precision of an earlier run.
    AcceleratorState._reset_state(reset_partial_state=int(os.environ.get("WORLD_SIZE", "1")) == 1)
    accelerator = Accelerator(
        cpu=device.type == "cpu",
        mixed_precision="no" if precision == "fp32" else precision,
        step_scheduler_with_optimizer=False,
    )
    share = (config.train.micro_batch or 1) * accelerator.num_processes
    if config.train.batch % share:
        raise UsageError(
            "the batch cannot be shared evenly among the processes",
            where="train.batch",
            got=config.train.batch,
            expected=f"a multiple of {share}",
        )
    return accelerator


def _resume(session: Session, checkpoint: Checkpoint | None) -> None:
    """Restore, or log the state before training as the baseline.

    Raises:
        SynthError: the dataset is not the one the run began with.
    """
    if checkpoint is None:
        validate(session)
        preview(session)
        return
    if checkpoint.state["fingerprint"] != session.examples.fingerprint:
        raise SynthError(
            "the training split is not the one this run began with",
            where=session.dataset.folder,
            fix="Restore it, or choose another run.out.",
        )
    session.training.restore(checkpoint)
    session.seconds_before = checkpoint.state["seconds"]
    session.log.write("resume", images_seen=session.training.images_seen)
    session.progress.note(f"continuing after {session.training.images_seen} images")


def validate(session: Session) -> None:
    """Loss of the present and the averaged weights on the validation split, if there is one."""
    training, val = session.training, session.examples.val
    if not val or not session.accelerator.is_main_process:
        return
    batch = session.config.train.micro_batch or session.config.train.batch

    def loss() -> float:
        return validation_loss(session.family, val, session.examples.batches, batch=batch)

    with unwrapped(session):
        raw = loss()
        with training.ema.swapped_in():
            averaged = loss()
    session.validation = {"loss": raw, "loss_ema": averaged}
    session.log.write("validation", images_seen=training.images_seen, **session.validation)


def preview(session: Session) -> None:
    """A grid from the averaged weights."""
    config, training = session.config, session.training
    if not session.accelerator.is_main_process:
        return
    path = config.run.out / "previews" / f"{training.images_seen}.png"
    with unwrapped(session), training.ema.swapped_in():
        write_preview(
            session.family,
            session.prompts,
            path,
            settings=config.sample,
            seed=config.run.seed,
            size=config.data.size or session.family.size,
        )


def checkpoint(session: Session) -> None:
    """Save where the run is; all processes meet here."""
    if session.accelerator.is_main_process:
        content = session.training.checkpoint(
            fingerprint=session.examples.fingerprint,
            seconds=session.seconds,
            config_sha256=config_sha256(session.config),
        )
        folder = session.config.run.out / "checkpoints"
        save_checkpoint(folder, content, keep=session.config.train.keep_checkpoints)
    session.accelerator.wait_for_everyone()


def snapshot(session: Session) -> None:
    """Keep the averages of the tracked profiles, from which `synth ema` makes any other."""
    if not session.accelerator.is_main_process:
        return
    for width, average in session.training.profiles.items():
        seen = session.training.images_seen
        save_snapshot(session.config.run.out / "ema", width, seen, average.tensors)


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
