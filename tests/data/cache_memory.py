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
from safetensors.torch import save_file

from synth.data.cache_shard import open_shard, write_shard
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


def write_block(path: Path, rows: range) -> None:
    """A shard with the same numbers in every entry; one by one this would take a while."""
    one = {"mean": torch.full((64,), float(rows[0])), "std": torch.zeros(64)}
    shard = open_shard(write_shard(path.parent, {key(rows[0]): one}))
    tensors = {name: field.repeat(len(rows), 1) for name, field in shard.fields.items()}
    tensors["keys"] = torch.tensor(
        [list(bytes.fromhex(key(row))) for row in rows], dtype=torch.uint8
    )
    tensors["checks"] = shard.checks.repeat(len(rows))
    save_file(tensors, path, metadata={"layout": "synth-cache-1"})
    shard.path.unlink()


def main(folder: Path, count: int) -> None:
    """Write, open again, read one entry in a hundred, and print."""
    folder.mkdir(parents=True)
    for number, first in enumerate(range(0, count, SHARD)):
        write_block(folder / f"{number:05d}.safetensors", range(first, min(first + SHARD, count)))
    before = resident()
    cache = TensorCache(folder)
    for index in range(0, count, 101):
        assert float(cache.read(key(index))["mean"][0]) == index // SHARD * SHARD
    after = resident()
    assert len(cache) == count
    sys.stdout.write(" ".join(str(b - a) for a, b in zip(before, after, strict=True)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
