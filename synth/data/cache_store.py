"""A cache folder: which entry lies where, in 24 bytes an entry, and few files mapped at a time.

Shards are only ever added, whole, so several processes and several runs may share a folder.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from synth.data.cache_shard import SUFFIX, DamagedShard, Entry, Shard, open_shard, write_shard
from synth.errors import SynthError

MAPPED = 32  # shards mapped at a time: at most 2 GiB of pages, which the system may take back
_STALE = 3600.0  # seconds after which a temporary file is nobody's: a shard takes seconds


class TensorCache:
    """Named groups of tensors in shards: written once, then read at random.

    Reading is safe from several threads.

    Args:
        folder: where the shards lie; made when first written.

    Attributes:
        folder: the same.
        damaged: files that could not be read; their entries count as absent.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.damaged: list[DamagedShard] = []
        self._paths: list[Path] = []
        self._keys: NDArray[np.bytes_] = np.empty(0, "S16")  # sorted
        self._places: NDArray[np.int32] = np.empty((0, 2), np.int32)  # shard, row
        self._verified = bytearray()
        self._mapped: OrderedDict[int, Shard] = OrderedDict()
        self._lock = threading.Lock()
        self.refresh()

    def __contains__(self, key: str) -> bool:
        return bool(self._find([key])[0] >= 0)

    def __len__(self) -> int:
        return len(self._keys)

    def missing(self, keys: Sequence[str]) -> list[str]:
        """Those that are not in the cache, each once, in the order given."""
        distinct = list(dict.fromkeys(keys))
        found = self._find(distinct)
        return [key for key, at in zip(distinct, found, strict=True) if at < 0]

    def read(self, key: str) -> dict[str, Tensor]:
        """The tensors of an entry, by field; views of the mapped file.

        Raises:
            KeyError: it is not in the cache.
            DamagedShard: its bytes are not those that were written.
        """
        at = int(self._find([key])[0])
        if at < 0:
            raise KeyError(key)
        number, row = (int(i) for i in self._places[at])
        shard = self._shard(number)
        if not self._verified[at]:  # once a process: afterwards it is this machine's memory
            shard.verify(row)
            self._verified[at] = 1
        return shard.entry(row)

    def write(self, entries: Mapping[str, Entry]) -> None:
        """Commit entries as one new shard."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._add([write_shard(self.folder, entries)])

    def refresh(self) -> None:
        """Take in the shards that other processes have added."""
        known = {*self._paths, *(Path(error.where) for error in self.damaged)}
        self._add([p for p in sorted(self.folder.glob(f"[!.]*{SUFFIX}")) if p not in known])

    def clear_damaged(self, note: Callable[[str], None]) -> None:
        """Remove damaged shards, saying so, and what killed processes left unfinished.

        Raises:
            SynthError: a file may not be removed.
        """
        for error in self.damaged:
            note(f"{error.where}: damaged cache file removed ({error.got}); it is made again")
            _remove(Path(error.where))
        self.damaged = []
        for path in self.folder.glob(".*.tmp"):
            if time.time() - path.stat().st_mtime > _STALE:
                _remove(path)

    def _add(self, paths: Sequence[Path]) -> None:
        """Index further shards; of two entries with one key the first stays."""
        tables = []
        for path in paths:
            try:
                tables.append(open_shard(path).keys.copy())
            except DamagedShard as error:
                self.damaged.append(error)
                continue
            except FileNotFoundError:  # removed as damaged by another process
                continue
            self._paths.append(path)
        if not tables:
            return
        places = _places(len(self._paths) - len(tables), [len(table) for table in tables])
        keys = np.concatenate([self._keys, *tables])
        del tables
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        places = np.concatenate([self._places, places])[order]
        first = np.ones(len(keys), bool)
        first[1:] = keys[1:] != keys[:-1]
        self._keys, self._places = (keys, places) if first.all() else (keys[first], places[first])
        self._verified = bytearray(len(self._keys))

    def _locate(self, wanted: NDArray[np.bytes_]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Where each key is, or belongs, among the sorted ones; and whether it is there."""
        at = np.searchsorted(self._keys, wanted)
        if not len(self._keys):
            return at, np.zeros(len(wanted), bool)
        return at, self._keys[at.clip(max=len(self._keys) - 1)] == wanted

    def _find(self, keys: Sequence[str]) -> NDArray[np.int64]:
        """The place of each key, -1 for those that are not there."""
        at, there = self._locate(np.array([bytes.fromhex(key) for key in keys], "S16"))
        return np.where(there, at, -1)

    def _shard(self, number: int) -> Shard:
        with self._lock:
            if number not in self._mapped:
                try:
                    self._mapped[number] = open_shard(self._paths[number])
                except FileNotFoundError:
                    raise SynthError(
                        "a cache file has gone while it was in use",
                        where=self._paths[number],
                        fix="Start again: what it held is made again.",
                    ) from None
            self._mapped.move_to_end(number)
            while len(self._mapped) > MAPPED:
                self._mapped.popitem(last=False)
            return self._mapped[number]


def _places(shard: int, counts: Sequence[int]) -> NDArray[np.int32]:
    """Shard and row of each entry of consecutive shards, [sum of counts, 2]."""
    numbers = np.arange(shard, shard + len(counts), dtype=np.int32)
    rows = [np.arange(count, dtype=np.int32) for count in counts]
    return np.stack([np.repeat(numbers, counts), np.concatenate(rows)], axis=1)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise SynthError(
            "a damaged cache file cannot be removed", where=path, got=error, fix="Delete it."
        ) from None
