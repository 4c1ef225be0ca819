"""Fill a cache with tiny entries as slowly as a test wants, and say how many were encoded.

    SLOW_BY=SECONDS SLOW_AFTER=COUNT python tests/data/cache_filler.py FOLDER COUNT

``SLOW_BY`` is waited for each batch; after ``SLOW_AFTER`` entries it says so and waits.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import torch

from synth.data import cache_fill
from synth.data.cache_fill import Filling, fill
from synth.data.cache_store import TensorCache
from synth.manifest import sha256_text
from synth.progress import Silent


def main(folder: Path, count: int) -> None:
    """Fill in chunks of 16 and batches of 8."""
    cache_fill.CHUNK, cache_fill.BATCH = 16, 8
    made = 0

    def encode(keys):
        nonlocal made
        made += len(keys)
        if made == int(os.environ.get("SLOW_AFTER", "-1")):
            sys.stdout.write(f"encoded {made}\n")
            sys.stdout.flush()
            time.sleep(600)
        time.sleep(float(os.environ.get("SLOW_BY", "0")))
        return [{"x": torch.tensor([float(int(key[:6], 16))])} for key in keys]

    keys = [sha256_text(str(index))[:32] for index in range(count)]
    fill(TensorCache(folder), keys, Filling(lambda key: key, encode, "filling"), Silent())
    sys.stdout.write(f"made {made}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
