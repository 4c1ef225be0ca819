"""The labelled synthetic dataset, from plan to finished folder. The same call again resumes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sample.card import card
from sample.folder import kept_rows, locked, recorded_identity, require_same, write_table
from sample.generate import Asked, BatchMaker, require_finite
from sample.identity import Identity
from sample.model import open_model, sampling_model
from sample.plan import Plan, PlannedRow, make_plan
from sample.retry import Retry
from sample.spacing import effective
from sample.write import Writer, write_previews
from synth.config.schema import Config
from synth.errors import Interrupted
from synth.families.base import Family
from synth.families.facts import codes_of
from synth.manifest import (
    Dataset,
    DatasetInfo,
    SyntheticRow,
    open_dataset,
    write_bytes,
    write_json,
    write_sha256sums,
)
from synth.progress import Progress, Silent
from synth.provenance import versions


@dataclass(frozen=True)
class SampleSummary:
    """What ``generate_dataset`` did.

    Attributes:
        out: the dataset folder.
        made: images made now.
        kept: images found whole from an earlier run.
        flagged: images in the dataset that failed a quality check.
        retried: images that an earlier attempt at failed.
        seconds: wall time of making and writing the images.
        plan: counts a finding, as ``Plan.to_json`` gives them.
    """

    out: Path
    made: int
    kept: int
    flagged: int
    retried: int
    seconds: float
    plan: dict[str, Any]

    @property
    def images_per_second(self) -> float:
        """Images made a second, 0 when none was."""
        return self.made / self.seconds if self.made else 0.0

    def to_json(self) -> dict[str, Any]:
        """For ``--json``."""
        speed = round(self.images_per_second, 3)
        return asdict(self) | {"out": str(self.out), "images_per_second": speed}


@dataclass(frozen=True)
class _Job:
    """Everything one run of the sampler needs, decided before the first image."""

    config: Config
    real: Dataset
    plan: Plan
    family: Family
    identity: Identity
    out: Path


def generate_dataset(
    config: Config, progress: Progress | None = None, *, family: Family | None = None
) -> SampleSummary:
    """Make the planned images into a dataset folder that Hugging Face ``datasets`` loads.

    Images of an earlier run of the same configuration are kept, and the finished folder is the same
    byte for byte whether it was made in one go or in several.

    Args:
        config: ``run``, ``model``, ``data`` and ``sample`` are used.
        progress: told what happens; silent by default.
        family: a model to use instead of loading ``sample.weights`` (default: the run's weights).

    Raises:
        UsageError: the plan is impossible.
        SynthError: the run has no weights, the folder was begun with other settings or belongs to
            something else, or the model gives images that are not finite.
        Unavailable: the device or attention kernel asked for is not there.
        Interrupted: stopped by the user; what is finished stays, the same call continues.
    """
    progress = progress or Silent()
    real = open_dataset(config.data.dataset)
    plan = make_plan(config, real)
    for note in plan.notes:
        progress.note(note)
    if family is None:
        sampling_model(config)  # refuses a run without weights before a folder is made
    out = config.sample.out or config.run.out / "synthetic"
    recorded_identity(out)  # refuses a stranger's folder before a lock file is put into it
    with locked(out):
        family, precision = open_model(config, family)
        identity = _identity(config, plan, family, precision)
        require_same(out, identity)
        return _make(_Job(config, real, plan, family, identity, out), progress)


def _identity(config: Config, plan: Plan, family: Family, precision: str) -> Identity:
    return Identity(
        solver=config.sample.solver,
        steps=config.sample.steps,
        guidance=config.sample.guidance,
        size=config.data.size or family.size,
        precision=precision,
        seed=config.run.seed,
        images=len(plan.rows),
        plan=plan.words,
        weights_sha256=family.weights_sha256,
        plan_sha256=plan.sha256,
        guidance_interval=config.sample.guidance_interval,
        guidance_rescale=config.sample.guidance_rescale,
        spacing=effective(config.sample.spacing, config.sample.solver, family.scheduler_config),
    )


def _make(job: _Job, progress: Progress) -> SampleSummary:
    kept = kept_rows(job.out, job.plan, progress)
    if not kept:
        write_json(job.out / "dataset.json", _info(job, rows=(), complete=False))
    _note_truncation(job, progress)
    progress.stage(f"sampling {len(job.plan.rows)} images")
    started = time.monotonic()
    made = _sample(job, kept, progress)
    seconds = time.monotonic() - started
    rows = [{**kept, **made}[row.sample_id] for row in job.plan.rows]
    flagged = sum(not all(row.filters.values()) for row in rows)
    retried = sum(row.attempt > 0 for row in rows)
    if made or not (job.out / "SHA256SUMS").is_file():
        _finish(job, rows, in_order=not (kept and made))
    if flagged:
        progress.note(f"{flagged} images failed a quality check: see `filters` in metadata.jsonl")
    if retried:
        progress.note(f"{retried} images failed a quality check and were made with another seed")
    plan = job.plan.to_json()
    return SampleSummary(job.out, len(made), len(kept), flagged, retried, seconds, plan)


def _sample(
    job: _Job, kept: dict[str, SyntheticRow], progress: Progress
) -> dict[str, SyntheticRow]:
    """Make what is not kept; each batch is on disk before the next begins."""
    planned, settings = job.plan.rows, job.config.sample
    asked = [_asked(row, job.config.model.conditions) for row in planned]
    writer = Writer(job.out, job.identity, batch_size=settings.batch, kept=kept)
    make = BatchMaker(job.family, settings, size=job.identity.size)
    retry = Retry(make, settings.retries)
    made: dict[str, SyntheticRow] = {}
    started = time.monotonic()
    progress.update(len(kept), len(planned))
    try:
        for start in range(0, len(planned), settings.batch):
            span = slice(start, start + settings.batch)
            rows = planned[span]
            if all(row.sample_id in kept for row in rows):
                continue
            batch, attempts = retry(
                make(asked[span], start=start),
                asked[span],
                leave={place for place, row in enumerate(rows) if row.sample_id in kept},
                known=writer.has_pixels,
            )
            require_finite(batch)
            made |= {row.sample_id: row for row in writer.write(rows, batch, attempts)}
            speed = len(made) / (time.monotonic() - started)
            progress.update(len(kept) + len(made), len(planned), f"{speed:.2f} images/s")
    except KeyboardInterrupt:
        raise Interrupted(
            f"stopped after {len(kept) + len(made)} of {len(planned)} images",
            where=job.out,
            fix="Run the same command again to continue.",
        ) from None
    return made


def _asked(row: PlannedRow, names: Sequence[str]) -> Asked:
    return Asked(row.prompt, row.seed, codes_of(row.conditions, names), row.guidance)


def _note_truncation(job: _Job, progress: Progress) -> None:
    prompts = list(dict.fromkeys(row.prompt for row in job.plan.rows))
    cut = [tokens for tokens in job.family.truncated(prompts) if tokens]
    if cut:
        progress.note(
            f"{len(cut)} of {len(prompts)} texts are longer than the text encoder reads: "
            f"up to {max(cut)} tokens are cut"
        )


def _finish(job: _Job, rows: Sequence[SyntheticRow], *, in_order: bool) -> None:
    """Everything that describes the whole folder, hashes last."""
    if not in_order:  # rows made again were appended after those kept
        write_table(job.out, rows)
    info = _info(job, rows, complete=True)
    write_json(job.out / "dataset.json", info)
    write_previews(job.out, rows, job.config.sample.previews)
    text = card(info, job.plan, job.identity, rows, source=job.real.info.name)
    write_bytes(job.out / "README.md", text.encode())
    write_sha256sums(job.out)


def _info(job: _Job, rows: Sequence[SyntheticRow], *, complete: bool) -> DatasetInfo:
    real = job.real.info
    return DatasetInfo.model_validate(
        {
            "name": job.out.resolve().name,
            "synthetic": True,
            "phantom": real.phantom,
            "size": job.identity.size,
            "counts": {
                "images": len(rows),
                "train": len(rows),
                "flagged": sum(not all(row.filters.values()) for row in rows),
            },
            "findings": list(job.real.findings),
            "terms": real.terms,
            "sources": real.sources,
            "preprocessing": real.preprocessing,
            "versions": versions(),
            "complete": complete,
            "prompts_from": real.name,
            "sampling": job.identity.to_json(),
            "plan": job.plan.to_json(),
        }
    )
