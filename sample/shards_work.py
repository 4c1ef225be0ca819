"""One worker's share of a dataset: the function behind every launcher."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from sample.claims import STALE, Claim, Claims
from sample.folder import disk_errors, whole_rows, write_table
from sample.generate import BatchMaker
from sample.shards import Shards
from sample.shards_make import Job, make_span
from synth.errors import Interrupted
from synth.manifest import SyntheticRow
from synth.progress import Progress


@dataclass(frozen=True)
class Part:
    """Where a worker begins to look for work, so that many do not meet at one shard.

    Attributes:
        number: of the worker.
        workers: how many there are.
    """

    number: int = 0
    workers: int = 1


@dataclass(frozen=True)
class Patience:
    """How long a worker waits.

    Attributes:
        poll: seconds between two looks at shards that others hold.
        stale: seconds without a heartbeat after which a holder is taken for dead.
    """

    poll: float = 1.0
    stale: float = STALE


class _TakenOver(Exception):
    """Another worker took this one for dead and has its shard."""


def work_on(
    job: Job,
    shards: Shards,
    *,
    make: BatchMaker,
    part: Part,
    patience: Patience,
    progress: Progress,
) -> int:
    """Make shards until all of them are finished, by this worker or by others.

    Returns:
        How many images this worker made.

    Raises:
        SynthError: the model gives images that are not finite, or the disk is full; the shard is
            free for another worker.
        Interrupted: stopped by the user.
    """
    worker = _Worker(job, shards, make, Claims(shards.folder, stale=patience.stale), progress)
    order = [(part.number * shards.count // part.workers + i) for i in range(shards.count)]
    try:
        while todo := [s % shards.count for s in order if worker.is_open(s % shards.count)]:
            if not sum(worker.try_shard(shard) for shard in todo) and shards.open:
                time.sleep(patience.poll)
    except KeyboardInterrupt:
        raise Interrupted(
            f"stopped after {worker.made} images of this worker",
            where=job.out,
            fix="Run the same command again to continue.",
        ) from None
    return worker.made


class _Worker:
    def __init__(
        self, job: Job, shards: Shards, make: BatchMaker, claims: Claims, progress: Progress
    ) -> None:
        self.made = 0
        self._job, self._shards, self._make = job, shards, make
        self._claims, self._progress = claims, progress
        wanted = {row.sample_id for row in job.plan.rows}
        self._before = whole_rows(job.out, wanted, files=(job.out,))[1]  # of one process, earlier
        self._show()

    def is_open(self, shard: int) -> bool:
        """Whether a shard is not finished, and none has been joined."""
        return self._shards.open and not self._shards.finished(shard).exists()

    def try_shard(self, shard: int) -> bool:
        """Make a shard if it is free; whether it was."""
        claim = self._claims.take(shard) if self.is_open(shard) else None
        if claim is None:
            return False
        try:
            if self.is_open(shard):  # its holder may have finished it, and then died
                with self._claims.beating(claim), disk_errors(self._job.out):
                    self._make_shard(claim)
        except _TakenOver:
            self._progress.note(f"shard {shard} was taken over by another worker")
        except FileNotFoundError:
            if self._shards.open and self._claims.holds(claim):
                raise
        finally:
            self._claims.release(claim)
        return True

    def _make_shard(self, claim: Claim) -> None:
        span, folder = self._shards.span(claim.shard), self._shards.adopt(claim)
        ids = [self._job.plan.rows[index].sample_id for index in span]
        kept = {name: self._before[name] for name in ids if name in self._before}
        kept |= whole_rows(folder, set(ids), files=(folder,))[1]
        report = partial(self._count, claim)
        made = make_span(self._job, span, folder, make=self._make, kept=kept, report=report)
        rows: Mapping[str, SyntheticRow] = kept | made
        write_table(folder, [rows[name] for name in ids])
        if self._claims.holds(claim):
            self._shards.commit(claim)
        self._show()

    def _count(self, claim: Claim, images: int) -> None:
        """After each batch: count, and give way where the shard was taken over."""
        self.made += images
        self._show()
        if not self._claims.holds(claim):
            raise _TakenOver

    def _show(self) -> None:
        total = len(self._job.plan.rows)
        self._progress.update(min(total, sum(self._finished())), total, f"{self.made} made here")

    def _finished(self) -> Iterator[int]:
        for shard in range(self._shards.count):
            if self._shards.finished(shard).exists():
                yield len(self._shards.span(shard))
