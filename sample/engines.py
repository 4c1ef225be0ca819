"""Launchers of workers: processes of this machine, or tasks of a Ray cluster.

All of them run one function, ``serve_part``, and workers find their work by themselves; a launcher
starts them, notices when one ends, and starts another in place of one that died.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from sample.folder import whole_rows
from sample.model import sampling_model
from sample.plan import make_plan
from sample.run import SampleSummary, dataset_folder, generate_dataset
from sample.shards import Shards
from sample.shards_work import Part
from synth.config.schema import Config
from synth.errors import Interrupted, SynthError, UsageError
from synth.manifest import open_dataset
from synth.progress import Progress, Silent

RESTARTS = 3  # a worker that dies and dies again is not an accident
POLL = 0.25


@dataclass(frozen=True)
class Ending:
    """How a worker ended.

    Attributes:
        kind: ``done``, ``error`` (it says what is wrong: another one would meet the same) or
            ``death``.
        detail: in words.
    """

    kind: Literal["done", "error", "death"]
    detail: str = ""


class Worker(Protocol):
    """A worker that was started."""

    def ending(self) -> Ending | None:
        """How it ended; None while it works."""

    def stop(self) -> None:
        """Ask it to stop; what it has made stays."""


class Engine(Protocol):
    """Starts workers."""

    def start(self, part: Part) -> Worker:
        """Start ``serve_part`` somewhere."""

    def close(self) -> None:
        """End what is left."""


def serve_part(config: Config, part: Part, progress: Progress | None = None) -> int:
    """What a worker does, wherever it runs; how many images it made."""
    return generate_dataset(config, progress, part=part).made


def supervise(
    engine: Engine,
    workers: int,
    progress: Progress,
    *,
    look: Callable[[], None] = lambda: None,
    poll: float = POLL,
) -> None:
    """Run workers until all have ended well.

    Args:
        engine: starts them.
        workers: how many.
        progress: told of deaths.
        look: called between two looks at the workers.
        poll: seconds between them.

    Raises:
        SynthError: a worker ended with an error, or they die too often. The others are stopped.
        KeyboardInterrupt: stopped by the user; the workers have been asked to stop, and have.
    """
    running = {number: engine.start(Part(number, workers)) for number in range(workers)}
    deaths = 0
    try:
        while running:
            for number, worker in list(running.items()):
                ending = worker.ending()
                if ending is None:
                    continue
                del running[number]
                if ending.kind == "error":
                    raise SynthError(f"worker {number}: {ending.detail}")
                if ending.kind == "death":
                    deaths += 1
                    if deaths > RESTARTS * workers:
                        raise SynthError(
                            "workers die again and again",
                            got=ending.detail,
                            fix="What is finished stays. Often it is memory: lower sample.workers.",
                        )
                    progress.note(f"worker {number} died ({ending.detail}): another one goes on")
                    running[number] = engine.start(Part(number, workers))
            look()
            if running:
                time.sleep(poll)
    except BaseException:
        _stop(running, poll)
        raise
    finally:
        engine.close()


def _stop(running: dict[int, Worker], poll: float, patience: float = 60.0) -> None:
    for worker in running.values():
        worker.stop()
    until = time.monotonic() + patience
    while time.monotonic() < until and any(w.ending() is None for w in running.values()):
        time.sleep(poll)


def generate_with_workers(
    config: Config, engine: Engine, progress: Progress | None = None
) -> SampleSummary:
    """Make the planned images with several workers; the dataset is that of one process.

    Args:
        config: ``sample.workers`` says how many.
        engine: starts them.
        progress: told what happens.

    Raises:
        UsageError: the plan is impossible.
        SynthError: as ``generate_dataset``; workers die again and again.
        Interrupted: stopped by the user; the same call continues.
    """
    progress = progress or Silent()
    plan, out = make_plan(config, open_dataset(config.data.dataset)), dataset_folder(config)
    sampling_model(config)  # refuses a run without weights before anything is started
    wanted, total = {row.sample_id for row in plan.rows}, len(plan.rows)
    before = len(whole_rows(out, wanted, files=(out,))[1])
    started = time.monotonic()

    def look() -> None:
        if shards := Shards.of(out, total):
            done = sum(len(shards.span(s)) for s in range(shards.count) if shards.has(s))
            progress.update(max(done, before), total)

    progress.stage(f"sampling {total} images with {config.sample.workers} workers")
    try:
        supervise(engine, config.sample.workers, progress, look=look)
    except KeyboardInterrupt:
        raise Interrupted(
            "the workers have stopped", where=out, fix="Run the same command again to continue."
        ) from None
    rows = open_dataset(out).rows
    flagged = sum(not all((row.model_extra or {}).get("filters", {}).values()) for row in rows)
    retried = sum(getattr(row, "attempt", 0) > 0 for row in rows)
    seconds = time.monotonic() - started
    return SampleSummary(out, total - before, before, flagged, retried, seconds, plan.to_json())


def parse_part(text: str) -> Part:
    """``3/8``: worker 3 of 8, counted from 0 or, as some arrays do, from 1.

    Raises:
        UsageError: it is none.
    """
    number, slash, workers = text.partition("/")
    if slash and number.isdecimal() and workers.isdecimal() and 0 < int(workers) >= int(number):
        return Part(int(number) % int(workers), int(workers))
    raise UsageError(
        "not a worker's number", where="--shard", got=text, expected="I/N, such as 0/8 to 7/8"
    )


def engine_for(config: Config) -> Engine | None:
    """The launcher of ``sample.engine`` and ``sample.workers``; None: this process itself works.

    Raises:
        Unavailable: Ray is asked for and not installed.
    """
    settings = config.sample
    if settings.engine == "ray":
        from sample.engines_ray import RayEngine

        return RayEngine(config)
    if settings.engine == "local" and settings.workers > 1:
        from sample.engines_local import LocalEngine

        return LocalEngine(config)
    return None
