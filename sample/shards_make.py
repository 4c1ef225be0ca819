"""The images of a stretch of the plan: what one process makes of all of it, and a worker of a part.

Batches are cut at the same places whoever makes them, so that an image meets the same neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sample.filters.judge import Judge
from sample.generate import Asked, BatchMaker, require_finite
from sample.identity import Identity
from sample.plan import Plan, PlannedRow
from sample.retry import JudgedRetry, Retry
from sample.write import Writer
from synth.config.schema import Config
from synth.families.base import Family
from synth.families.facts import codes_of
from synth.manifest import Dataset, SyntheticRow


@dataclass(frozen=True)
class Job:
    """Everything one run of the sampler needs, decided before the first image.

    Attributes:
        config: of the user.
        real: the dataset that the plan was made from.
        plan: what to make.
        family: the model, on its device.
        identity: what all images of the dataset share.
        out: the dataset's folder.
        judge: the filters; None where all are off.
    """

    config: Config
    real: Dataset
    plan: Plan
    family: Family
    identity: Identity
    out: Path
    judge: Judge | None = None


def make_span(
    job: Job,
    span: range,
    folder: Path,
    *,
    make: BatchMaker,
    kept: Mapping[str, SyntheticRow],
    known: Collection[str] = (),
    report: Callable[[int], None],
) -> dict[str, SyntheticRow]:
    """Make what is not kept of a stretch of the plan.

    Files are written while the next batch is being made; however this ends, they are on disk, or an
    error says why not.

    Args:
        job: the run.
        span: indices of planned rows; it begins at a multiple of the batch.
        folder: where files and the table of their rows go.
        make: makes the images; it remembers the texts that it has encoded.
        kept: rows that an earlier run made, by sample_id.
        known: digests of pixels that an image must not repeat, beside those of ``kept``.
        report: told after each batch how many images were made.

    Returns:
        The rows made, by sample_id.

    Raises:
        SynthError: the model gives images that are not finite, or the disk is full.
    """
    planned, settings = job.plan.rows, job.config.sample
    retry = Retry(make, settings.retries)
    judged = judged_retry(job) if job.judge else None
    writer = Writer(
        folder,
        job.identity,
        batch_size=settings.batch,
        kept=kept,
        known=known,
        png_level=settings.png_level,
    )
    with writer:
        for start in range(span.start, span.stop, settings.batch):
            rows = planned[start : min(start + settings.batch, span.stop)]
            if all(row.sample_id in kept for row in rows):
                continue
            asked = [asked_of(row, job.config.model.conditions) for row in rows]
            leave = {place for place, row in enumerate(rows) if row.sample_id in kept}
            batch = make(asked, start=start)
            if judged:
                batch, outcomes = judged(batch, asked, rows, leave=leave, known=writer.has_pixels)
                require_finite(batch)
                report(writer.write(rows, batch, outcomes=outcomes))
            else:
                batch, attempts = retry(batch, asked, leave=leave, known=writer.has_pixels)
                require_finite(batch)
                report(writer.write(rows, batch, attempts))
    return {row.sample_id: row for row in writer.rows}


def judged_retry(job: Job) -> JudgedRetry:
    """Makes and judges images one at a time, for a job that has filters."""
    assert job.judge is not None
    settings = job.config.sample
    alone = settings.model_copy(update={"batch": 1})
    make = BatchMaker(job.family, alone, size=job.identity.size)
    return JudgedRetry(make, settings.retries, job.judge)


def asked_of(row: PlannedRow, names: Sequence[str]) -> Asked:
    """What the sampler is asked for by a planned row."""
    return Asked(row.prompt, row.seed, codes_of(row.conditions, names), row.guidance)
