from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from filelock import FileLock

from synth.data import cache_fill
from synth.data.cache_fill import Filling, fill, require_space
from synth.data.cache_store import TensorCache
from synth.errors import SynthError
from synth.manifest import sha256_text
from synth.progress import Silent

SLOW = Path(__file__).with_name("cache_filler.py")


def key(index: int) -> str:
    return sha256_text(str(index))[:32]


def value(name: str) -> torch.Tensor:
    return torch.tensor([float(int(name[:6], 16))])


def filling(made, **more):
    def encode(keys):
        made.append(list(keys))
        return [{"x": value(name)} for name in keys]

    return Filling(lambda name: name, encode, "filling", **more)


def test_batches_shards_and_progress(tmp_path, monkeypatch):
    monkeypatch.setattr(cache_fill, "CHUNK", 6)
    monkeypatch.setattr(cache_fill, "BATCH", 4)
    told, made, cache = [], [], TensorCache(tmp_path)

    class Told(Silent):
        def stage(self, text):
            told.append(text)

        def update(self, done, total, text=""):
            told.append((done, total))

    keys = [key(i) for i in range(8)]
    fill(cache, [*keys, *keys], filling(made), Told())
    assert made == [keys[:4], keys[4:6], keys[6:]]
    assert told == ["filling", (4, 8), (6, 8), (8, 8)]
    assert len(list(tmp_path.glob("*.safetensors"))) == 2
    assert not list(tmp_path.glob(".*"))
    fill(cache, keys, filling(made), Told())
    assert len(told) == 4  # nothing to do, nothing said


def test_a_shard_is_committed_when_it_has_grown_enough(tmp_path, monkeypatch):
    monkeypatch.setattr(cache_fill, "BATCH", 1)
    monkeypatch.setattr(cache_fill, "SHARD_BYTES", 8)
    fill(TensorCache(tmp_path), [key(i) for i in range(6)], filling([]), Silent())
    assert len(list(tmp_path.glob("*.safetensors"))) == 3


def test_loading_runs_ahead_of_encoding_in_other_threads(tmp_path, monkeypatch):
    monkeypatch.setattr(cache_fill, "BATCH", 2)
    loaded, threads = [], set()

    def load(name):
        threads.add(threading.get_ident())
        loaded.append(name)
        return name

    def encode(names):
        deadline = time.monotonic() + 10
        while len(loaded) < min(8, 20) and time.monotonic() < deadline:
            time.sleep(0.001)
        assert len(loaded) >= 8  # three batches beyond the first
        return [{"x": value(name)} for name in names]

    fill(TensorCache(tmp_path), [key(i) for i in range(20)], Filling(load, encode, ""), Silent())
    assert threading.get_ident() not in threads


def test_a_killed_process_keeps_whole_shards_and_gives_back_its_claim(tmp_path):
    environment = {**os.environ, "SLOW_AFTER": "40"}
    command = [sys.executable, str(SLOW), str(tmp_path), "64"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "encoded 40\n"
        process.send_signal(signal.SIGKILL)
    assert len(TensorCache(tmp_path)) == 32
    assert list(tmp_path.glob(".*.lock"))  # of the dead process
    made = []
    cache, keys = TensorCache(tmp_path), [key(i) for i in range(64)]
    fill(cache, keys, filling(made), Silent())
    assert sorted(k for batch in made for k in batch) == sorted(keys[32:])
    assert all(torch.equal(TensorCache(tmp_path).read(k)["x"], value(k)) for k in keys)


def test_processes_share_the_work_and_nothing_is_made_twice(tmp_path):
    command = [sys.executable, str(SLOW), str(tmp_path), "128"]
    environment = {**os.environ, "SLOW_BY": "0.02"}
    runs = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [run.communicate(timeout=60)[0].split() for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    counts = [int(words[-1]) for words in outputs]
    assert sum(counts) == 128
    assert len(TensorCache(tmp_path)) == 128


def test_waits_for_what_another_process_claims_and_takes_it_over_when_that_dies(tmp_path):
    keys, made = [key(0), key(1)], []
    claim = FileLock(tmp_path / f".{sha256_text(' '.join(keys))[:24]}.lock", thread_local=False)
    claim.acquire()
    threading.Timer(0.5, claim.release).start()
    started = time.monotonic()
    fill(TensorCache(tmp_path), keys, filling(made), Silent())
    assert time.monotonic() - started >= 0.4
    assert made == [keys]


def test_a_disk_that_is_too_small_is_refused_with_the_number_before_anything_is_written(
    tmp_path, monkeypatch
):
    made, cache = [], TensorCache(tmp_path)
    keys = [key(i) for i in range(1000)]
    monkeypatch.setattr(
        cache_fill.shutil, "disk_usage", lambda path: SimpleNamespace(free=4_000_000)
    )
    with pytest.raises(
        SynthError, match=r"1000 cache entries \(got 0.00 GB free; expected 8.00 GB"
    ):
        fill(cache, keys, filling(made, reserve=8 * 10**9), Silent())
    assert len(made) == 1
    assert not list(tmp_path.glob("*.safetensors"))
    assert not list(tmp_path.glob(".*.lock"))
    fill(cache, keys, filling(made, reserve=4_000_000 - 4 * 1000), Silent())
    assert len(cache) == 1000
    with pytest.raises(SynthError, match=r"not enough disk space for the latents"):
        require_space(tmp_path / "not" / "yet", 4_000_001, "the latents")


def test_a_read_only_cache_that_is_complete_needs_no_writing(tmp_path):
    keys = [key(i) for i in range(4)]
    fill(TensorCache(tmp_path), keys, filling([]), Silent())
    before = sorted(tmp_path.iterdir())
    tmp_path.chmod(0o500)
    try:
        fill(TensorCache(tmp_path), keys, filling([]), Silent())
    finally:
        tmp_path.chmod(0o700)
    assert sorted(tmp_path.iterdir()) == before
