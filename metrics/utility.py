"""Downstream utility: is a classifier better for having the synthetic images?

Three arms (real only, real + synthetic, synthetic only) train the same network for the same number
of gradient steps from the same seeds, and are tested on held-out *real* patients. Equal epochs
would give the larger arm more steps and credit them to the synthetic images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metrics.arrays import Floats
from metrics.finding_auroc import finding_draws, finding_table, macro_columns, macro_draws
from metrics.ingest import ImageSet
from metrics.intervals import auroc, percentile_interval, resampling_weights
from synth.config.schema import UtilitySection
from synth.cores import usable_cores
from synth.errors import SynthError
from synth.extractors.classifier import fit_classifier, one_thread
from synth.progress import Progress, Silent

ARMS = ("real", "real+synthetic", "synthetic")


@dataclass(frozen=True)
class _Job:
    """One classifier to train and test; sent to a worker process."""

    arm: str
    seed: int
    images: Tensor
    labels: Floats
    findings: tuple[str, ...]
    test: Tensor
    settings: UtilitySection
    image_size: int


def downstream_utility(
    *,
    real: ImageSet,
    synthetic: ImageSet,
    test: ImageSet,
    findings: Sequence[str],
    settings: UtilitySection,
    image_size: int,
    resamples: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train and test the three arms.

    Args:
        real: real training images.
        synthetic: synthetic images with their conditioned labels.
        test: held-out real images.
        findings: what to classify; each needs both values in ``real``.
        settings: steps, seeds and batch, the same for every arm.
        image_size: side of the classifier's input in pixels.
        resamples: of test patients, for intervals.
        seed: of the seeds.
        progress: told of every classifier finished.

    Returns:
        The ``utility`` structure of ``metrics.records``; ``delta`` is the gain over ``real``.

    Raises:
        SynthError: a test patient is among the training images.
    """
    refuse_leak(real, test)
    progress = progress or Silent()
    arms = _arms(real, synthetic, tuple(findings))
    jobs = [
        _Job(
            arm, seed + number, images, labels, tuple(findings), test.image_u8, settings, image_size
        )
        for arm, (images, labels) in arms.items()
        for number in range(settings.seeds)
    ]
    found: dict[str, list[NDArray[np.float32]]] = {arm: [] for arm in arms}
    for done, (job, probabilities) in enumerate(zip(jobs, _trained(jobs), strict=True), 1):
        found[job.arm].append(probabilities)
        progress.update(done, len(jobs), f"classifier on {job.arm}")
    truth = test.columns(findings)
    weights = resampling_weights(len(test), test.groups, resamples=resamples, seed=seed)
    return {
        "steps": settings.steps,
        "seeds": settings.seeds,
        "batch": settings.batch,
        "n_test": len(test),
        "n_test_patients": len(set(test.groups or test.ids)),
        "arms": {
            arm: _arm(found[arm], found["real"], truth, tuple(findings), weights)
            | {"n_train": len(arms[arm][0])}
            for arm in arms
        },
    }


def refuse_leak(train: ImageSet, test: ImageSet) -> None:
    """Stop when a patient is on both sides.

    Raises:
        SynthError: naming how many.
    """
    shared = set(train.groups or train.ids) & set(test.groups or test.ids)
    if shared:
        raise SynthError(
            "test patients are among the training images, so utility would mean nothing",
            where=test.folder,
            got=f"{len(shared)} shared patients",
            fix="Use a dataset with patient-disjoint splits, as `synth prepare` makes.",
        )


def _arms(
    real: ImageSet, synthetic: ImageSet, findings: tuple[str, ...]
) -> dict[str, tuple[Tensor, Floats]]:
    one, two = real.columns(findings), synthetic.columns(findings)
    both = torch.cat([real.image_u8, synthetic.image_u8]), np.concatenate([one, two])
    return {
        "real": (real.image_u8, one),
        "real+synthetic": both,
        "synthetic": (synthetic.image_u8, two),
    }


def _trained(jobs: Sequence[_Job]) -> Iterator[NDArray[np.float32]]:
    """Each job on one thread, one job a core: the same bits on any machine."""
    workers = min(len(jobs), usable_cores())
    if workers <= 1:
        yield from map(_train, jobs)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_train, jobs)


def _train(job: _Job) -> NDArray[np.float32]:
    with one_thread():
        classifier = fit_classifier(
            job.images,
            job.labels,
            findings=job.findings,
            steps=job.settings.steps,
            batch=job.settings.batch,
            seed=job.seed,
            image_size=job.image_size,
        )
        return classifier.probabilities(job.test)


def _arm(
    runs: Sequence[NDArray[np.float32]],
    baseline: Sequence[NDArray[np.float32]],
    truth: Floats,
    findings: tuple[str, ...],
    weights: Floats,
) -> dict[str, Any]:
    columns = macro_columns(truth)
    draws = np.mean([macro_draws(run, truth, columns, weights) for run in runs], axis=0)
    base_draws = np.mean([macro_draws(run, truth, columns, weights) for run in baseline], axis=0)
    value, base = _macro(runs, truth, columns), _macro(baseline, truth, columns)
    every = range(len(findings))
    per = np.mean([finding_draws(run, truth, every, weights) for run in runs], axis=0)
    base_per = np.mean([finding_draws(run, truth, every, weights) for run in baseline], axis=0)
    tables = [finding_table(run, truth, findings) for run in runs]
    base_tables = [finding_table(run, truth, findings) for run in baseline]
    return {
        "macro_auroc": value,
        "ci": _interval(draws),
        "delta": None if value is None or base is None else value - base,
        "delta_ci": _interval(draws - base_draws),
        "findings": {
            name: _finding(name, tables, base_tables, per[column], base_per[column])
            for column, name in enumerate(findings)
        },
    }


def _macro(
    runs: Sequence[NDArray[np.float32]], truth: Floats, columns: Sequence[int]
) -> float | None:
    """Mean over seeds and findings."""
    values = []
    for run in runs:
        for column in columns:
            known = np.isfinite(truth[:, column])
            values.append(auroc(truth[known, column], run[known, column]))
    return float(np.mean(values)) if values else None


def _finding(
    name: str,
    tables: Sequence[dict[str, dict[str, Any]]],
    base_tables: Sequence[dict[str, dict[str, Any]]],
    draws: Floats,
    base_draws: Floats,
) -> dict[str, Any]:
    first = tables[0][name]
    if first["auroc"] is None:
        return first | {"delta": None, "delta_ci": None}
    value = float(np.mean([table[name]["auroc"] for table in tables]))
    base = float(np.mean([table[name]["auroc"] for table in base_tables]))
    return first | {
        "auroc": value,
        "ci": _interval(draws),
        "delta": value - base,
        "delta_ci": _interval(draws - base_draws),
    }


def _interval(draws: Floats) -> list[float] | None:
    interval = percentile_interval(draws)
    return None if interval is None else list(interval)
