"""A dataset made by several processes, in shards that one of them claims at a time.

Until the dataset is finished its shards lie in ``.shards`` inside its folder::

    .shards/work.json          how the plan is cut: exists while there is work to share
    .shards/00003.0.claim      who works on shard 3, see sample.claims
    .shards/00003.0/           what that worker has made so far
    .shards/00003/             the finished shard: the folder above, renamed

A shard is whole batches of the plan, so its images are those that one process makes. Renaming
commits it: of two workers that believe to hold it one succeeds. Whoever takes over from a dead
worker renames its folder to its own and continues there. Who finds all shards finished joins them
into the dataset, byte for byte the one of a single process.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sample.claims import Claim
from sample.filters.record import rejected_files
from sample.folder import TABLE, disk_errors, whole_rows, write_table
from sample.generate import BatchMaker
from sample.shards_make import Job, make_span
from synth.errors import SynthError
from synth.manifest import SyntheticRow, write_json
from synth.progress import Progress

WORK = ".shards"
DONE = ".shards.done"
_INFO = "work.json"


@dataclass(frozen=True)
class Shards:
    """The shards of a dataset that is being made.

    Attributes:
        folder: ``.shards``.
        images: in the plan.
        size: images a shard, all but the last.
    """

    folder: Path
    images: int
    size: int

    @classmethod
    def of(cls, out: Path, images: int) -> Shards | None:
        """Those of a dataset's folder; None where there is no work to share.

        Raises:
            SynthError: ``work.json`` is not one of ours.
        """
        path = out / WORK / _INFO
        try:
            size = json.loads(path.read_bytes())["shard"]
            return cls(path.parent, images, size if size > 0 else int("bad"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, KeyError, TypeError):
            raise SynthError("not a record of shards", where=path) from None

    @classmethod
    def begin(cls, out: Path, images: int, *, size: int, batch: int) -> Shards:
        """Cut the plan; the caller holds the folder."""
        shards = cls(out / WORK, images, -(-size // batch) * batch)
        write_json(shards.folder / _INFO, {"shard": shards.size})
        return shards

    @property
    def count(self) -> int:
        """How many there are."""
        return -(-self.images // self.size)

    @property
    def open(self) -> bool:
        """Whether nobody has joined them yet."""
        return (self.folder / _INFO).is_file()

    def span(self, shard: int) -> range:
        """Indices of a shard's planned rows."""
        return range(shard * self.size, min((shard + 1) * self.size, self.images))

    def finished(self, shard: int) -> Path:
        """Where a shard is once it is committed."""
        return self.folder / f"{shard:05d}"

    def has(self, shard: int) -> bool:
        """Whether a shard is committed."""
        return self.finished(shard).exists()

    def adopt(self, claim: Claim) -> Path:
        """The folder of a claim's holder, with what the holders before it have made."""
        mine = self._staging(claim.shard, claim.generation)
        for generation in range(claim.generation - 1, -1, -1):
            before = self._staging(claim.shard, generation)
            if before.is_dir() and not mine.exists():
                before.rename(mine)
        return mine

    def commit(self, claim: Claim) -> bool:
        """Give a whole shard its name; false where another did, or took the folder over."""
        mine = self._staging(claim.shard, claim.generation)
        try:
            mine.rename(self.finished(claim.shard))
        except OSError:
            if mine.is_dir() and not self.finished(claim.shard).exists():
                raise
            return False
        return True

    def close(self) -> None:
        """All is in the dataset: remove the folder, at one moment and not file by file."""
        done = self.folder.with_name(DONE)
        shutil.rmtree(done, ignore_errors=True)
        self.folder.rename(done)
        shutil.rmtree(done)

    def _staging(self, shard: int, generation: int) -> Path:
        return self.folder / f"{shard:05d}.{generation}"


def remove_closed(out: Path) -> None:
    """Remove what a kill left of shards that were joined, or not begun; the folder is held."""
    shutil.rmtree(out / DONE, ignore_errors=True)
    if not (out / WORK / _INFO).is_file():
        shutil.rmtree(out / WORK, ignore_errors=True)


def join_shards(job: Job, shards: Shards, make: BatchMaker, progress: Progress) -> None:
    """Put finished shards into the dataset's folder; the caller holds it.

    What one process would have seen of earlier shards and a worker did not, that an image repeats
    one of theirs, is seen here, and that shard is made again.

    Args:
        job: the run.
        shards: all finished.
        make: makes images, should some be damaged or repeated.
        progress: told of those.
    """
    rows: list[SyntheticRow] = []
    seen: set[str] = set()
    for shard in range(shards.count):
        mine = _joinable(job, shards, shard, make, seen, progress)
        seen |= _digests(mine)
        rows += mine
    with disk_errors(job.out):
        for index, row in enumerate(rows):
            for name in (*rejected_files(row), row.file_name):
                made = shards.finished(index // shards.size) / name
                if made.is_file():  # else it is there already
                    (job.out / name).parent.mkdir(parents=True, exist_ok=True)
                    made.replace(job.out / name)
        write_table(job.out, rows)
    shards.close()


def _joinable(
    job: Job,
    shards: Shards,
    shard: int,
    make: BatchMaker,
    seen: Collection[str],
    progress: Progress,
) -> Sequence[SyntheticRow]:
    """The rows of a finished shard, all of them whole and none a repetition that could be mended.

    The rows are the same as if the shard had been made with ``seen`` known, unless a row of it is
    in ``seen``: no attempt that was accepted would have been refused.
    """
    folder, span = shards.finished(shard), shards.span(shard)
    ids = [job.plan.rows[index].sample_id for index in span]
    _, rows = whole_rows(folder, set(ids), files=(folder, job.out))
    if not _digests(rows.values()).isdisjoint(seen):
        progress.note(f"shard {shard} repeats an image of an earlier one: made again")
        (folder / TABLE).unlink()
        rows = {}
    if len(rows) < len(ids):
        rows |= _fill(job, folder, span, make, rows, seen)
    return [rows[sample_id] for sample_id in ids]


def _fill(
    job: Job,
    folder: Path,
    span: range,
    make: BatchMaker,
    kept: Mapping[str, SyntheticRow],
    known: Collection[str],
) -> dict[str, SyntheticRow]:
    return make_span(
        job, span, folder, make=make, kept=kept, known=known, report=lambda images: None
    )


def _digests(rows: Iterable[SyntheticRow]) -> set[str]:
    return {str((row.model_extra or {}).get("pixel_sha256")) for row in rows}
