"""Train the classifiers of downstream utility: one job an arm and seed, with the same search."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from metrics.utility_arms import Arm, Fitted, Labelled, Stage, Trainer, stages_of
from metrics.utility_jobs import results
from metrics.utility_trainer import open_trainer, validation_auroc
from synth.config.schema import UtilitySection
from synth.extractors.classifier import one_thread


@dataclass(frozen=True)
class Material:
    """What all jobs share.

    Attributes:
        real: real training images.
        synthetic: synthetic images with their conditioned labels.
        validation: real images of other patients, for early stopping and the search; None: neither.
        test: uint8 [N, 1, S, S] images to judge.
        findings: the columns of all labels.
        settings: the same for every arm.
        image_size: side of the embedded network's input in pixels.
        device: a torch device name.
    """

    real: Labelled
    synthetic: Labelled
    validation: Labelled | None
    test: Tensor
    findings: tuple[str, ...]
    settings: UtilitySection
    image_size: int
    device: str = "cpu"


@dataclass(frozen=True)
class Job:
    """One arm and seed; sent to a worker process."""

    arm: Arm
    seed: int
    material: Material


@dataclass(frozen=True)
class Outcome:
    """What the chosen classifier of a job says.

    Attributes:
        test: float32 [N, findings] probabilities.
        validation: the same of the validation images; None without any.
        learning_rate: the one chosen; None: the network's own.
        steps: optimiser steps of every candidate.
        candidates: how many learning rates were tried.
        n_train: images trained on, over all stages.
    """

    test: NDArray[np.float32]
    validation: NDArray[np.float32] | None
    learning_rate: float | None
    steps: int
    candidates: int
    n_train: int


def outcomes(jobs: Sequence[Job], trainer: Trainer | None = None) -> Iterator[Outcome]:
    """Each job's outcome, in order.

    On the CPU each job has one thread and there is one job a core: the same bits on any machine.
    On an accelerator the jobs follow one another in this process.

    Args:
        jobs: what to train.
        trainer: in place of the one that the settings name; trains in this process.
    """
    one = [job.material.settings for job in jobs]
    shown = sum(s.steps * s.batch * max(1, len(s.learning_rates)) for s in one)
    on_cpu = trainer is None and all(job.material.device == "cpu" for job in jobs)
    return results(partial(run, trainer=trainer), jobs, shown=shown, on_cpu=on_cpu)


def run(job: Job, trainer: Trainer | None = None) -> Outcome:
    """Train every candidate of an arm, and keep the one that judges validation patients best."""
    material, settings = job.material, job.material.settings
    stages = stages_of(
        job.arm,
        material.real,
        material.synthetic,
        steps=settings.steps,
        finetune=settings.finetune_share,
        flips=settings.flips,
        seed=job.seed,
    )
    with one_thread():
        trainer = trainer or open_trainer(
            settings.network, image_size=material.image_size, device=material.device
        )
        best: tuple[float, float | None, Fitted, NDArray[np.float32] | None] | None = None
        for rate in settings.learning_rates or (None,):
            fitted = _trained(stages, material, trainer, rate, job.seed)
            seen, score = None, 0.0
            if material.validation is not None:
                seen = fitted.probabilities(material.validation.images)
                score = validation_auroc(seen, material.validation.labels)
            if best is None or score > best[0]:
                best = score, rate, fitted, seen
        assert best is not None
        return Outcome(
            test=best[2].probabilities(material.test),
            validation=best[3],
            learning_rate=best[1],
            steps=sum(stage.steps for stage in stages),
            candidates=max(1, len(settings.learning_rates)),
            n_train=sum(len(stage.data) for stage in stages),
        )


def _trained(
    stages: Sequence[Stage[Labelled]],
    material: Material,
    trainer: Trainer,
    rate: float | None,
    seed: int,
) -> Fitted:
    """One candidate through all stages of its arm."""
    settings, held = material.settings, material.validation
    stops = held is not None and settings.early_stopping
    fitted: Fitted | None = None
    for stage in stages:
        fitted = trainer.fit(
            stage.data.images,
            stage.data.labels,
            validation=(held.images, held.labels) if held is not None and stops else None,
            findings=material.findings,
            steps=stage.steps,
            batch=settings.batch,
            learning_rate=rate,
            seed=seed,
            start=fitted,
        )
    assert fitted is not None
    return fitted
