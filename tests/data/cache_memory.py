"""How much memory and how many open files a cache of so many entries takes to read at random.

    python tests/data/cache_memory.py FOLDER ENTRIES

Prints the growth of anonymous and of file-backed resident memory in bytes, and of open files.
"""

from __future__ import annotations

import gc
import hashlib
import sys
from pathlib import Path

import torch

from synth.data.cache_store import TensorCache

SHARD = 512


def key(index: int) -> str:
    return hashlib.md5(str(index).encode(), usedforsecurity=False).hexdigest()


def resident() -> tuple[int, int, int]:
    """Anonymous and file-backed bytes, and open files."""
    gc.collect()
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    kib = (int(status[name].split()[0]) for name in ("RssAnon", "RssFile"))
    anonymous, mapped = (1024 * count for count in kib)
    return anonymous, mapped, len(list(Path("/proc/self/fd").iterdir()))


def main(folder: Path, count: int) -> None:
    """Write, open again, read one entry in a hundred, and print."""
    writer = TensorCache(folder)
    for first in range(0, count, SHARD):
        block = torch.full((SHARD, 2, 64), float(first))
        rows = range(first, min(first + SHARD, count))
        writer.write(
            {key(i): {"mean": block[i - first, 0], "std": block[i - first, 1]} for i in rows}
        )
    del writer
    before = resident()
    cache = TensorCache(folder)
    for index in range(0, count, 101):
        assert float(cache.read(key(index))["mean"][0]) == index // SHARD * SHARD
    after = resident()
    assert len(cache) == count
    sys.stdout.write(" ".join(str(b - a) for a, b in zip(before, after, strict=True)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
