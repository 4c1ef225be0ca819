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
from synth.seeding import numpy_rng

_WORTH_PROCESSES = 10_000  # images shown in all, about as long as starting the processes
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
        SynthError: a test patient, image or report is among the training images.
    """
    refuse_leak(real, test)
    refuse_leak(synthetic, test)
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
    picks = _seed_picks(settings.seeds, resamples, seed)
    return {
        "steps": settings.steps,
        "seeds": settings.seeds,
        "batch": settings.batch,
        "n_test": len(test),
        "n_test_patients": len(set(test.groups or test.ids)),
        "arms": {
            arm: _arm(found[arm], found["real"], truth, tuple(findings), weights, picks)
            | {"n_train": len(arms[arm][0])}
            for arm in arms
        },
    }


def refuse_leak(train: ImageSet, test: ImageSet) -> None:
    """Stop when a patient, an image or a source report is on both sides.

    Patients are compared where both sides know them; images by their grey levels, since two plain
    folders may well use the same file names for different images.

    Raises:
        SynthError: naming what is shared, and how many.
    """
    shared = {
        "patients": set(train.groups or ()) & set(test.groups or ()),
        "images": train.digests & test.digests,
        "source reports": train.sources & set(test.ids),
    }
    for kind, both in shared.items():
        if both:
            raise SynthError(
                f"test {kind} are among the training images, so scores would mean nothing",
                where=train.folder,
                got=f"{len(both)} shared {kind}, with {test.folder}",
                expected="none",
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
    presentations = sum(job.settings.steps * job.settings.batch for job in jobs)
    if workers <= 1 or presentations < _WORTH_PROCESSES:
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
    picks: Floats,
) -> dict[str, Any]:
    columns = macro_columns(truth)
    draws = _over_seeds([macro_draws(run, truth, columns, weights) for run in runs], picks)
    base_draws = _over_seeds([macro_draws(run, truth, columns, weights) for run in baseline], picks)
    value, base = _macro(runs, truth, columns), _macro(baseline, truth, columns)
    every = range(len(findings))
    per = _over_seeds([finding_draws(run, truth, every, weights) for run in runs], picks)
    base_per = _over_seeds([finding_draws(run, truth, every, weights) for run in baseline], picks)
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


def _seed_picks(seeds: int, resamples: int, seed: int) -> Floats:
    """How much each training seed weighs in each resample: [seeds, resamples], columns sum to 1.

    Seeds are resampled together with patients, so that an interval holds the luck of training too.
    """
    rng = numpy_rng("metrics", "utility-seeds", seed)
    counts = rng.multinomial(seeds, np.full(seeds, 1.0 / seeds), size=resamples)
    return np.asarray(counts.T / seeds, dtype=np.float64)


def _over_seeds(draws: Sequence[Floats], picks: Floats) -> Floats:
    """Mean over seeds of [..., resamples] draws, weighted by ``picks``."""
    total: Floats = sum(
        (weight * one for weight, one in zip(picks, draws, strict=True)),
        start=np.zeros_like(draws[0]),
    )
    return total


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
