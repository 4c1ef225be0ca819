"""The labelled synthetic dataset, from plan to finished folder. The same call again resumes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sample.card import card
from sample.filters.account import account, sentences
from sample.filters.calibration import open_judge
from sample.filters.settle import settle
from sample.filters.sheet import write_sheet
from sample.folder import (
    disk_errors,
    kept_rows,
    locked,
    recorded_identity,
    remove_scratch,
    require_same,
    write_table,
)
from sample.generate import BatchMaker
from sample.identity import Identity
from sample.model import open_model, sampling_model
from sample.plan import Plan, make_plan
from sample.shards import Shards, join_shards, remove_closed
from sample.shards_make import Job, make_span
from sample.shards_work import Part, Patience, work_on
from sample.spacing import effective
from sample.write import MARK, write_previews
from synth.config.schema import Config
from synth.errors import Interrupted
from synth.families.base import Family
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

SUMS = "SHA256SUMS"
ENTER_SECONDS = 60.0  # to wait for another worker to begin a dataset, or to finish it


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
        filters: what filters accepted, as ``sample.filters.account`` gives it; None without any.
    """

    out: Path
    made: int
    kept: int
    flagged: int
    retried: int
    seconds: float
    plan: dict[str, Any]
    filters: dict[str, Any] | None = None

    @property
    def images_per_second(self) -> float:
        """Images made a second, 0 when none was."""
        return self.made / self.seconds if self.made else 0.0

    def to_json(self) -> dict[str, Any]:
        """For ``--json``."""
        speed = round(self.images_per_second, 3)
        values = asdict(self) | {"out": str(self.out), "images_per_second": speed}
        return {name: value for name, value in values.items() if value is not None}


def generate_dataset(
    config: Config,
    progress: Progress | None = None,
    *,
    family: Family | None = None,
    part: Part | None = None,
    patience: Patience = Patience(),  # noqa: B008  (frozen)
) -> SampleSummary:
    """Make the planned images into a dataset folder that Hugging Face ``datasets`` loads.

    Images of an earlier run of the same configuration are kept, and the finished folder is the same
    byte for byte whether it was made in one go or in several.

    Args:
        config: ``run``, ``model``, ``data`` and ``sample`` are used.
        progress: told what happens; silent by default.
        family: a model to use instead of loading ``sample.weights`` (default: the run's weights).
        part: makes this process one of several workers that share the folder, as
            ``sample.engine: shared`` does; says where it begins.
        patience: of such a worker.

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
    out = dataset_folder(config)
    recorded_identity(out)  # refuses a stranger's folder before a lock file is put into it
    if part is not None or config.sample.engine == "shared" or Shards.of(out, len(plan.rows)):
        job = _open(config, real, plan, family, out, progress)
        return _share(job, part or Part(), patience, progress)
    with locked(out):
        job = _open(config, real, plan, family, out, progress)
        require_same(out, job.identity)
        return _make(job, progress)


def dataset_folder(config: Config) -> Path:
    """Where the dataset of a configuration is."""
    return config.sample.out or config.run.out / "synthetic"


def _open(
    config: Config,
    real: Dataset,
    plan: Plan,
    family: Family | None,
    out: Path,
    progress: Progress,
) -> Job:
    family, precision = open_model(config, family)
    identity = _identity(config, plan, family, precision)
    judge = open_judge(config, real, size=identity.size, progress=progress)
    if judge is not None:
        identity = replace(identity, filters=judge.sha256)
    return Job(config, real, plan, family, identity, out, judge)


def _share(job: Job, part: Part, patience: Patience, progress: Progress) -> SampleSummary:
    """Be one of several workers; whoever gets the folder first in the end joins the shards."""
    make = BatchMaker(job.family, job.config.sample, size=job.identity.size)
    started = time.monotonic()
    shards, made = _enter(job, progress), 0
    if shards is not None:
        progress.stage(f"sampling {len(job.plan.rows)} images, {shards.count} shards for all")
        made = work_on(job, shards, make=make, part=part, patience=patience, progress=progress)
    seconds = time.monotonic() - started
    with locked(job.out, wait=-1):
        require_same(job.out, job.identity)
        if shards is not None and shards.open:
            join_shards(job, shards, make, progress)
        summary = _make(job, progress)
    made += summary.made
    return replace(summary, made=made, kept=len(job.plan.rows) - made, seconds=seconds)


def _enter(job: Job, progress: Progress) -> Shards | None:
    """The shards of the dataset, begun here or by another; None where it was finished before."""
    images, settings = len(job.plan.rows), job.config.sample
    if shards := Shards.of(job.out, images):
        require_same(job.out, job.identity)
        return shards
    with locked(job.out, wait=ENTER_SECONDS):
        require_same(job.out, job.identity)
        if (shards := Shards.of(job.out, images)) or (job.out / SUMS).is_file():
            return shards
        remove_scratch(job.out)
        remove_closed(job.out)
        if not kept_rows(job.out, job.plan, progress):
            write_json(job.out / "dataset.json", _info(job, rows=(), complete=False))
        return Shards.begin(job.out, images, size=settings.shard, batch=settings.batch)


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


def _make(job: Job, progress: Progress) -> SampleSummary:
    remove_scratch(job.out)
    remove_closed(job.out)
    kept = kept_rows(job.out, job.plan, progress)
    if len(kept) < len(job.plan.rows):
        (job.out / SUMS).unlink(missing_ok=True)  # true again at the end; until then, not finished
    if not kept:
        write_json(job.out / "dataset.json", _info(job, rows=(), complete=False))
    _note_truncation(job, progress)
    progress.stage(f"sampling {len(job.plan.rows)} images")
    started = time.monotonic()
    made = _sample(job, kept, progress)
    seconds = time.monotonic() - started
    rows = [{**kept, **made}[row.sample_id] for row in job.plan.rows]
    finished = not made and (job.out / SUMS).is_file()
    if job.judge is not None and not finished:
        with disk_errors(job.out):
            rows = settle(job, rows)
    flagged = sum(not all(row.filters.values()) for row in rows)
    retried = sum(row.attempt > 0 for row in rows)
    if made or not (job.out / SUMS).is_file():
        with disk_errors(job.out):
            _finish(job, rows, in_order=[*kept, *made] == [row.sample_id for row in rows])
    if flagged:
        progress.note(f"{flagged} images failed a quality check: see `filters` in metadata.jsonl")
    if retried:
        progress.note(f"{retried} images failed a quality check and were made with another seed")
    filters = account(rows) if job.judge else None
    for text in sentences(filters) if filters else ():
        progress.note(text)
    plan = job.plan.to_json()
    return SampleSummary(job.out, len(made), len(kept), flagged, retried, seconds, plan, filters)


def _sample(job: Job, kept: dict[str, SyntheticRow], progress: Progress) -> dict[str, SyntheticRow]:
    """Make what is not kept, in this process."""
    make = BatchMaker(job.family, job.config.sample, size=job.identity.size)
    total, done = len(job.plan.rows), len(kept)
    started = time.monotonic()

    def report(images: int) -> None:
        nonlocal done
        done += images
        speed = (done - len(kept)) / (time.monotonic() - started)
        progress.update(done, total, f"{speed:.2f} images/s")

    progress.update(done, total)
    try:
        return make_span(job, range(total), job.out, make=make, kept=kept, report=report)
    except KeyboardInterrupt:
        raise Interrupted(
            f"stopped after {done} of {total} images",
            where=job.out,
            fix="Run the same command again to continue.",
        ) from None


def _note_truncation(job: Job, progress: Progress) -> None:
    prompts = list(dict.fromkeys(row.prompt for row in job.plan.rows))
    cut = [tokens for tokens in job.family.truncated(prompts) if tokens]
    if cut:
        progress.note(
            f"{len(cut)} of {len(prompts)} texts are longer than the text encoder reads: "
            f"up to {max(cut)} tokens are cut"
        )


def _finish(job: Job, rows: Sequence[SyntheticRow], *, in_order: bool) -> None:
    """Everything that describes the whole folder, hashes last."""
    if not in_order:  # rows made again were appended after those kept
        write_table(job.out, rows)
    info = _info(job, rows, complete=True)
    write_json(job.out / "dataset.json", info)
    write_previews(job.out, rows, job.config.sample.previews)
    if job.judge is not None:
        write_sheet(job.out, rows, mark=MARK)
    text = card(info, job.plan, job.identity, rows, source=job.real.info.name)
    write_bytes(job.out / "README.md", text.encode())
    write_sha256sums(job.out)


def _info(job: Job, rows: Sequence[SyntheticRow], *, complete: bool) -> DatasetInfo:
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
            **({"filters": {**job.judge.record, **account(rows)}} if job.judge else {}),
        }
    )
