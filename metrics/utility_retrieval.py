"""Retrieval utility: does a model find reports and images better for having the synthetic pairs?

The arms are those of ``metrics.utility``: every one trains the same small image-text model
(``metrics.retrieval_network``) for the same number of steps from the same seeds, and is tested on
held-out *real* patients. For each of their images the right report is ranked among the distinct
reports, and for each report the best image that has it among all images. The words that a model
knows are those of its own training reports; test reports add none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from metrics.arrays import Floats
from metrics.ingest import ImageSet, take
from metrics.retrieval_network import Retriever, fit_retriever
from metrics.retrieval_ranks import KS, Gallery, chance, gallery_of, ranks
from metrics.utility_arms import REAL, Arm, arms_of, curve_of, stages_of
from metrics.utility_held_out import Parts, split_off
from metrics.utility_jobs import by_arm, results
from metrics.utility_leak import refuse_leak
from metrics.utility_means import (
    Resampling,
    Spread,
    against,
    resampling,
    spread_of_means,
    spread_of_medians,
)
from metrics.utility_pairs import Pairs, pairs, vocabulary_of, with_texts
from synth.config.schema import RetrievalSection
from synth.errors import SynthError
from synth.extractors.classifier import one_thread
from synth.progress import Progress, Silent
from synth.seeding import numpy_rng

KIND = "retrieval"
ESTIMATOR = "image-text model trained by symmetric InfoNCE"
DIRECTIONS = ("report_to_image", "image_to_report")
_MOST = 1000  # test pairs; a larger gallery would be harder, not better known
_REPORTS = KS[-1] + 1  # distinct test reports below which R@5 is certain
_CHOOSE = 5  # distinct validation reports below which none chooses


@dataclass(frozen=True)
class Material:
    """What all jobs share: as ``metrics.utility_fit.Material``, with reports."""

    real: Pairs
    synthetic: Pairs
    validation: Pairs | None
    test: Tensor
    gallery: Gallery
    settings: RetrievalSection
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
    """What the model of a job finds.

    Attributes:
        ranks: float64 [N] of the test pairs, a direction each.
        steps: optimiser steps taken.
        n_train: pairs trained on, over all stages.
        n_words: terms of the training reports that the model knows.
    """

    ranks: dict[str, Floats]
    steps: int
    n_train: int
    n_words: int


def retrieval_utility(
    *,
    real: ImageSet,
    synthetic: ImageSet,
    test: ImageSet,
    settings: RetrievalSection,
    image_size: int,
    resamples: int = 1000,
    seed: int = 0,
    device: str = "cpu",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train and test the arms.

    Args:
        real: real training images; those without a report take no part, in any set.
        synthetic: synthetic images with the texts that they were made from.
        test: held-out real images; those of its validation split only stop the training. Without
            such, 15 % of the training patients are set aside for that. Above 1000 pairs, 1000 at
            random are the gallery.
        settings: arms, steps, seeds and rate, the same for every arm.
        image_size: side of the network's input in pixels.
        resamples: of test patients, for intervals.
        seed: of the seeds.
        device: a torch device name; on ``cpu`` the jobs share the cores.
        progress: told of every model finished.

    Returns:
        The ``retrieval`` structure of ``metrics.records``.

    Raises:
        SynthError: a set has no texts, fewer than six different reports to test with, or a test
            patient, image or report is among the training images.
    """
    refuse_leak(real, test)
    refuse_leak(synthetic, test)
    sides = {"real": real, "synthetic": synthetic, "test": test}
    kept = {side: with_texts(images) for side, images in sides.items()}
    parts = _parts(kept["real"], kept["test"], settings, seed)
    shown = _gallery_images(parts.test, seed)
    gallery = gallery_of(pairs(shown).texts)
    if len(gallery.texts) < _REPORTS:
        raise SynthError(
            "too few different reports to retrieve among",
            where=test.folder,
            got=len(gallery.texts),
            expected=f"at least {_REPORTS}",
        )
    material = Material(
        real=pairs(parts.train),
        synthetic=pairs(kept["synthetic"]),
        validation=None if parts.validation is None else pairs(parts.validation),
        test=shown.image_u8,
        gallery=gallery,
        settings=settings,
        image_size=image_size,
        device=device,
    )
    sizes = {"n_real": len(material.real), "n_synthetic": len(material.synthetic)}
    arms, left_out = arms_of(settings.arms, settings.alphas, **sizes)
    found = _trained(arms, material, seed, progress or Silent())
    how = resampling(len(shown), shown.groups, seeds=settings.seeds, resamples=resamples, seed=seed)
    return {
        "kind": KIND,
        "estimator": ESTIMATOR,
        "settings": settings.model_dump(mode="json"),
        "image_size": image_size,
        "seed": seed,
        "early_stopping": material.validation is not None,
        "validation": parts.source,
        "n_validation": 0 if parts.validation is None else len(parts.validation),
        "n_test": len(shown),
        "n_test_patients": len(set(shown.groups or shown.ids)),
        "n_test_reports": len(gallery.texts),
        **sizes,
        "n_without_text": {side: len(sides[side]) - len(held) for side, held in kept.items()},
        "chance": chance(gallery),
        "arms": _scored(found, how),
        "curve": curve_of(arms, **sizes),
        "not_trained": left_out,
    }


def _parts(real: ImageSet, test: ImageSet, settings: RetrievalSection, seed: int) -> Parts:
    if not settings.early_stopping:
        return Parts(real, None, test, "none: nothing is stopped early")

    def able(images: ImageSet) -> bool:
        return len(set(pairs(images).texts)) >= _CHOOSE

    lacking = "too few training patients with different reports"
    return split_off(real, test, able=able, whole=able, lacking=lacking, seed=seed)


def _gallery_images(images: ImageSet, seed: int) -> ImageSet:
    if len(images) <= _MOST:
        return images
    order = numpy_rng("metrics", "retrieval", "gallery", seed).permutation(len(images))
    return take(images, np.sort(order[:_MOST]).tolist())


def _trained(
    arms: Sequence[Arm], material: Material, seed: int, progress: Progress
) -> dict[str, list[Outcome]]:
    settings = material.settings
    jobs = [Job(arm, seed + number, material) for arm in arms for number in range(settings.seeds)]
    shown = len(jobs) * settings.steps * settings.batch
    done = results(run, jobs, shown=shown, on_cpu=material.device == "cpu")
    return by_arm(jobs, done, progress=progress, what="image-text model")


def run(job: Job) -> Outcome:
    """Train an arm through its stages, and rank the test pairs."""
    material, settings = job.material, job.material.settings
    stages = stages_of(
        job.arm,
        material.real,
        material.synthetic,
        steps=settings.steps,
        finetune=settings.finetune_share,
        flips=False,  # a mirrored image would contradict its report
        seed=job.seed,
    )
    vocabulary = vocabulary_of([text for stage in stages for text in stage.data.texts])
    with one_thread():
        fitted: Retriever | None = None
        for stage in stages:
            fitted = fit_retriever(
                stage.data,
                vocabulary=vocabulary,
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
        similarity = fitted.similarity(material.test, material.gallery)
        return Outcome(
            ranks(similarity, material.gallery),
            steps=sum(stage.steps for stage in stages),
            n_train=sum(len(stage.data) for stage in stages),
            n_words=len(vocabulary),
        )


def _scored(found: dict[str, list[Outcome]], how: Resampling) -> dict[str, dict[str, Any]]:
    spreads = {
        name: {way: _spreads([one.ranks[way] for one in held], how) for way in DIRECTIONS}
        for name, held in found.items()
    }
    return {
        name: {
            way: {
                score: against(spread, spreads[REAL][way][score])
                for score, spread in ways[way].items()
            }
            for way in DIRECTIONS
        }
        | {
            "n_train": found[name][0].n_train,
            "steps": found[name][0].steps,
            "n_words": found[name][0].n_words,
        }
        for name, ways in spreads.items()
    }


def _spreads(runs: Sequence[Floats], how: Resampling) -> dict[str, Spread]:
    shares = {
        f"r{k}": spread_of_means([(run <= k).astype(np.float64) for run in runs], how) for k in KS
    }
    return shares | {"median_rank": spread_of_medians(runs, how)}
