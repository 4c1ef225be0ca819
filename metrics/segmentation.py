"""Segmentation utility: does a network outline better for having the synthetic images?

The arms are those of ``metrics.utility``: every one trains the same U-Net for the same number of
steps from the same seeds, and is tested on held-out *real* patients with masks. Only images whose
rows name a mask take part.

An image with an empty mask has no Dice: whatever is marked in it scores 0, and nothing marked would
be 0 / 0. Dice and sensitivity are therefore means over images with something inside, and images
with an empty mask are judged by ``false_alarms``, the share of them in which anything is marked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from metrics.arrays import Floats
from metrics.ingest import ImageSet
from metrics.masks import Masked, masked, with_masks
from metrics.segmentation_network import Segmenter, fit_segmenter
from metrics.utility_arms import REAL, Arm, arms_of, curve_of, stages_of
from metrics.utility_held_out import Parts, split_off
from metrics.utility_jobs import by_arm, results
from metrics.utility_leak import refuse_leak
from metrics.utility_means import Resampling, against, resampling, spread_of_means
from synth.config.schema import SegmentationSection
from synth.errors import SynthError
from synth.extractors.classifier import one_thread
from synth.progress import Progress, Silent

KIND = "segmentation"
ESTIMATOR = "U-Net, soft Dice and cross-entropy"
EMPTY_MASKS = (
    "images with an empty mask have no Dice and no sensitivity; false_alarms is the share of them "
    "in which anything is marked"
)
_CHOOSE = 2  # marked validation images below which none chooses


@dataclass(frozen=True)
class Material:
    """What all jobs share: as ``metrics.utility_fit.Material``, with masks."""

    real: Masked
    synthetic: Masked
    validation: Masked | None
    test: Tensor
    settings: SegmentationSection
    image_size: int
    device: str


@dataclass(frozen=True)
class Job:
    """One arm and seed; sent to a worker process."""

    arm: Arm
    seed: int
    material: Material


@dataclass(frozen=True)
class Outcome:
    """What the network of a job marks.

    Attributes:
        masks: bool [N, 1, S, S] of the test images.
        steps: optimiser steps taken.
        n_train: images trained on, over all stages.
    """

    masks: Tensor
    steps: int
    n_train: int


def segmentation_utility(
    *,
    real: ImageSet,
    synthetic: ImageSet,
    test: ImageSet,
    settings: SegmentationSection,
    image_size: int,
    resamples: int = 1000,
    seed: int = 0,
    device: str = "cpu",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train and test the arms.

    Args:
        real: real training images.
        synthetic: synthetic images.
        test: held-out real images; those of its validation split only stop the training. Without
            such, 15 % of the training patients are set aside for that.
        settings: arms, steps, seeds and rate, the same for every arm.
        image_size: side of the network's input in pixels.
        resamples: of test patients, for intervals.
        seed: of the seeds.
        device: a torch device name; on ``cpu`` the jobs share the cores.
        progress: told of every network finished.

    Returns:
        The ``segmentation`` structure of ``metrics.records``.

    Raises:
        SynthError: a set has no masks or only empty ones, a mask does not fit its image, or a test
            patient, image or report is among the training images.
    """
    refuse_leak(real, test)
    refuse_leak(synthetic, test)
    progress = progress or Silent()
    sides = {"real": real, "synthetic": synthetic, "test": test}
    kept = {side: with_masks(images) for side, images in sides.items()}
    parts = _parts(kept["real"], kept["test"], settings, seed)
    truth = masked(parts.test)
    if not truth.marked.any():
        raise SynthError("every mask of the test images is empty", where=test.folder)
    material = Material(
        real=_training(parts.train),
        synthetic=_training(kept["synthetic"]),
        validation=None if parts.validation is None else masked(parts.validation),
        test=truth.images,
        settings=settings,
        image_size=image_size,
        device=device,
    )
    sizes = {"n_real": len(material.real), "n_synthetic": len(material.synthetic)}
    arms, left_out = arms_of(settings.arms, settings.alphas, **sizes)
    found = _trained(arms, material, seed, progress)
    how = resampling(
        len(truth), parts.test.groups, seeds=settings.seeds, resamples=resamples, seed=seed
    )
    return {
        "kind": KIND,
        "estimator": ESTIMATOR,
        "empty_masks": EMPTY_MASKS,
        "settings": settings.model_dump(mode="json"),
        "image_size": image_size,
        "seed": seed,
        "early_stopping": material.validation is not None,
        "validation": parts.source,
        "n_validation": 0 if parts.validation is None else len(parts.validation),
        "n_test": len(truth),
        "n_test_patients": len(set(parts.test.groups or parts.test.ids)),
        "n_test_empty": int((~truth.marked).sum()),
        **sizes,
        "n_without_mask": {side: len(sides[side]) - len(held) for side, held in kept.items()},
        "arms": _scored(found, truth.masks, how),
        "curve": curve_of(arms, **sizes),
        "not_trained": left_out,
    }


def _parts(real: ImageSet, test: ImageSet, settings: SegmentationSection, seed: int) -> Parts:
    if not settings.early_stopping:
        return Parts(real, None, test, "none: nothing is stopped early")

    def marked(images: ImageSet) -> int:
        return int(masked(images).marked.sum()) if len(images) else 0

    return split_off(
        real,
        test,
        able=lambda images: marked(images) >= _CHOOSE,
        whole=lambda rest: marked(rest) >= _CHOOSE,
        lacking="too few training patients with masks",
        seed=seed,
    )


def _training(images: ImageSet) -> Masked:
    found = masked(images)
    if not found.marked.any():
        raise SynthError(
            "every mask is empty: there is nothing to learn", where=images.folder, got=len(found)
        )
    return found


def _trained(
    arms: Sequence[Arm], material: Material, seed: int, progress: Progress
) -> dict[str, list[Outcome]]:
    settings = material.settings
    jobs = [Job(arm, seed + number, material) for arm in arms for number in range(settings.seeds)]
    shown = len(jobs) * settings.steps * settings.batch
    done = results(run, jobs, shown=shown, on_cpu=material.device == "cpu")
    return by_arm(jobs, done, progress=progress, what="U-Net")


def run(job: Job) -> Outcome:
    """Train an arm through its stages, and mark the test images."""
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
        fitted: Segmenter | None = None
        for stage in stages:
            fitted = fit_segmenter(
                stage.data,
                steps=stage.steps,
                batch=settings.batch,
                learning_rate=settings.learning_rate,
                image_size=material.image_size,
                seed=job.seed,
                device=material.device,
                validation=material.validation,
                start=fitted,
            )
        assert fitted is not None
        return Outcome(
            fitted.masks(material.test),
            steps=sum(stage.steps for stage in stages),
            n_train=sum(len(stage.data) for stage in stages),
        )


def overlaps(shown: Tensor, truth: Tensor) -> dict[str, Floats]:
    """What each image scores; NaN where its mask makes a score meaningless.

    Args:
        shown: bool [N, 1, S, S], what a network marks.
        truth: bool [N, 1, S, S].

    Returns:
        float64 [N] each: ``dice`` 2|A∩B| / (|A|+|B|) (Dice 1945) and ``sensitivity`` |A∩B| / |B| of
        images with something inside; ``false_alarms`` 1 or 0 of the others.
    """
    one, two = (mask.flatten(1).numpy() for mask in (shown, truth))
    both = (one & two).sum(axis=1).astype(np.float64)
    found, wanted = one.sum(axis=1), two.sum(axis=1)
    marked = wanted > 0
    return {
        "dice": np.where(marked, 2.0 * both / np.maximum(found + wanted, 1), np.nan),
        "sensitivity": np.where(marked, both / np.maximum(wanted, 1), np.nan),
        "false_alarms": np.where(marked, np.nan, (found > 0).astype(np.float64)),
    }


def _scored(
    found: dict[str, list[Outcome]], truth: Tensor, how: Resampling
) -> dict[str, dict[str, Any]]:
    runs = {name: [overlaps(one.masks, truth) for one in held] for name, held in found.items()}
    spreads = {
        name: {score: spread_of_means([run[score] for run in held], how) for score in held[0]}
        for name, held in runs.items()
    }
    return {
        name: {score: against(spread, spreads[REAL][score]) for score, spread in held.items()}
        | {"n_train": found[name][0].n_train, "steps": found[name][0].steps}
        for name, held in spreads.items()
    }
