"""Filling a cache: whatever is absent is loaded ahead, encoded in batches and committed in shards.

Processes that fill the same folder share the work: each claims chunks of keys by file locks, which
the system releases when a process dies. A killed run keeps the shards that it finished.
"""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from filelock import FileLock, Timeout

from synth.cores import usable_cores
from synth.data.cache_shard import Entry, entry_bytes
from synth.data.cache_store import TensorCache
from synth.errors import SynthError
from synth.manifest import sha256_text
from synth.progress import Progress

CHUNK = 512  # entries that a process claims at once; a multiple of BATCH
BATCH = 16  # entries encoded at once, if the filling does not say
SHARD_BYTES = 64 * 2**20  # a shard is committed when it has grown to this
_AHEAD = 3  # batches loaded while one is encoded
_POLL = 0.2  # seconds between two looks at what other processes finished
Loaded = TypeVar("Loaded")


@dataclass(frozen=True)
class Filling(Generic[Loaded]):
    """How absent entries are made.

    Attributes:
        load: a key to what is encoded; called in background threads, several at a time.
        encode: what was loaded for a batch to its entries, in order.
        stage: what the progress display says.
        reserve: bytes that the disk must still have afterwards, for what follows.
        batch: entries encoded at once; None: ``BATCH``.
    """

    load: Callable[[str], Loaded]
    encode: Callable[[Sequence[Loaded]], list[Entry]]
    stage: str
    reserve: int = 0
    batch: int | None = None


@dataclass(frozen=True)
class _Batch:
    keys: Sequence[str]
    claim: FileLock
    last: bool  # of its claim


@torch.no_grad()
def fill(cache: TensorCache, keys: Sequence[str], how: Filling[Loaded], progress: Progress) -> None:
    """Make every entry that the cache lacks.

    Raises:
        SynthError: the disk cannot hold them, something cannot be loaded, or not written.
    """
    cache.clear_damaged(progress.note)
    absent = wanted = cache.missing(keys)
    if not absent:
        return
    progress.stage(how.stage)
    cache.folder.mkdir(parents=True, exist_ok=True)
    while absent:
        _fill_some(
            cache, absent, how, lambda left: progress.update(len(wanted) - left, len(wanted))
        )
        before = len(absent)
        cache.refresh()
        cache.clear_damaged(progress.note)
        absent = cache.missing(absent)
        if len(absent) == before:  # all of it is claimed by others
            progress.update(len(wanted) - before, len(wanted))
            time.sleep(_POLL)


def require_space(folder: Path, needed: int, what: str) -> None:
    """Refuse what the disk cannot hold.

    Args:
        folder: where to; need not be there.
        needed: bytes.
        what: what they are for.

    Raises:
        SynthError: less is free.
    """
    place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(place).free
    if needed > free:
        raise SynthError(
            f"not enough disk space for {what}",
            where=folder,
            got=f"{free / 1e9:.2f} GB free",
            expected=f"{needed / 1e9:.2f} GB",
            fix="Free some, set train.cache to another disk, or train.cache_dtype=fp16.",
        )


def _fill_some(
    cache: TensorCache,
    absent: Sequence[str],
    how: Filling[Loaded],
    update: Callable[[int], None],
) -> None:
    """Encode and commit what no other process has claimed."""
    held: list[FileLock] = []
    entries: dict[str, Entry] = {}
    left, checked = len(absent), False
    try:
        with closing(
            _loaded_ahead(_claim(cache, absent, held, how.batch or BATCH), how.load)
        ) as stream:
            for batch, loaded in stream:
                made = how.encode(loaded)
                if not checked:
                    needed = sum(map(entry_bytes, made)) * left // len(made) + how.reserve
                    require_space(cache.folder, needed, f"{left} cache entries")
                    checked = True
                entries |= zip(batch.keys, made, strict=True)
                left -= len(batch.keys)
                update(left)
                if batch.last or sum(map(entry_bytes, entries.values())) >= SHARD_BYTES:
                    cache.write(entries)
                    entries = {}
                if batch.last:
                    held.remove(batch.claim)
                    _release(batch.claim)
    finally:
        for claim in held:
            _release(claim)


def _claim(
    cache: TensorCache, absent: Sequence[str], held: list[FileLock], batch: int
) -> Iterator[_Batch]:
    """The batches of every chunk that is free; claimed when its first batch is asked for."""
    for first in range(0, len(absent), CHUNK):
        chunk = absent[first : first + CHUNK]
        claim = FileLock(cache.folder / f".{sha256_text(' '.join(chunk))[:24]}.lock", timeout=0)
        try:
            claim.acquire()
        except Timeout:
            continue
        held.append(claim)
        cache.refresh()
        todo = cache.missing(chunk)
        if not todo:  # finished by another process a moment ago
            held.remove(claim)
            _release(claim)
        for start in range(0, len(todo), batch):
            yield _Batch(todo[start : start + batch], claim, start + batch >= len(todo))


def _release(claim: FileLock) -> None:
    """Give a claim back; a process that still holds the removed file finds the work done."""
    with suppress(OSError):  # another process has it open, where that forbids removal
        Path(claim.lock_file).unlink()
    claim.release()


def _loaded_ahead(
    batches: Iterator[_Batch], load: Callable[[str], Loaded]
) -> Generator[tuple[_Batch, list[Loaded]], None, None]:
    """Each batch with what was loaded for it; the next ones load in threads meanwhile."""
    pool = ThreadPoolExecutor(usable_cores(), thread_name_prefix="cache-load")
    waiting: deque[tuple[_Batch, list[Future[Loaded]]]] = deque()
    try:
        for batch in batches:
            waiting.append((batch, [pool.submit(load, key) for key in batch.keys]))
            if len(waiting) > _AHEAD:
                ready, futures = waiting.popleft()
                yield ready, [future.result() for future in futures]
        while waiting:
            ready, futures = waiting.popleft()
            yield ready, [future.result() for future in futures]
    finally:
        pool.shutdown(cancel_futures=True)
