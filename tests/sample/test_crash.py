"""Whatever ends a worker and whenever, the same call again gives the dataset of one process."""

import errno
import os
import shutil
import signal
import sys
import time

import pytest

from sample.run import generate_dataset
from sample.shards_work import Part, Patience
from synth.errors import SynthError

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and forks are POSIX's")
SOON = Patience(poll=0.01, stale=0.05)


OPERATIONS = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link"}


def run_child(work, out, fatal):
    """In a child: ``work()``, dying before operation ``fatal`` in ``out``; the number done."""
    count = 0

    def hook(event, given):
        nonlocal count
        writes = event == "open" and isinstance(given[1], str) and set(given[1]) & set("wxa+")
        if (event in OPERATIONS or writes) and str(given[0]).startswith(str(out)):
            if count == fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            count += 1

    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            sys.addaudithook(hook)
            work()
            os.write(write, str(count).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(write)
    said = os.read(read, 20)
    os.close(read)
    _, status = os.waitpid(child, 0)
    return int(said) if said else None, os.waitstatus_to_exitcode(status)


def with_sample(config, **values):
    sample = config.sample.model_copy(update=values)
    return config.model_copy(update={"sample": sample})


def contents(folder):
    """Every file, hidden ones too, but for the lock."""
    files = (path for path in folder.rglob("*") if path.is_file())
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    found.pop(".lock", None)
    return found


@pytest.fixture
def call(exact_family):
    """Make the dataset, alone or as one of several workers."""

    def call(config, *, shared, family=None):
        part = {"part": Part(), "patience": SOON} if shared else {}
        return generate_dataset(config, family=family or exact_family(), **part)

    return call


@pytest.fixture
def small(config, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda file: None)  # a kill spares what the system holds
    return with_sample(config, count=3, batch=1, shard=2, steps=2, previews=2)


@pytest.mark.parametrize("shared", [False, True])
def test_a_kill_before_any_file_operation(small, tmp_path, call, shared):
    alone = with_sample(small, out=tmp_path / "alone" / "set")
    whole = contents(call(alone, shared=False).out)
    place = tmp_path / "killed" / "set"
    killed = with_sample(small, out=place)
    total, status = run_child(lambda: call(killed, shared=shared), place, fatal=-1)
    assert status == 0
    assert contents(place) == whole
    assert total > (30 if shared else 15)
    for fatal in range(total):
        shutil.rmtree(place.parent)
        _, status = run_child(lambda: call(killed, shared=shared), place, fatal)
        assert status == -signal.SIGKILL, fatal
        call(killed, shared=shared)
        assert contents(place) == whole, fatal


def test_a_worker_takes_over_from_one_that_is_killed(config, tmp_path, call, exact_family):
    alone = with_sample(config, out=tmp_path / "alone" / "set")
    whole = contents(call(alone, shared=False).out)
    out = tmp_path / "two" / "set"
    two = with_sample(config, out=out, shard=8)

    class Stuck(exact_family):
        decoded = 0

        def decode_latents(self, latents):
            self.decoded += 1
            if self.decoded > 1:  # while the files of the batch before are being written
                time.sleep(600)
            return latents

    wide = with_sample(two, shard=16)
    child = os.fork()
    if child == 0:
        try:
            call(wide, shared=True, family=Stuck())
        finally:
            os._exit(1)
    table = out / ".shards/00000.0/metadata.jsonl"
    for _ in range(6000):
        if table.exists() and table.read_bytes().count(b"\n") == 8:
            break
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert call(wide, shared=True).kept == 8
    assert contents(out) == whole


@pytest.mark.parametrize("shared", [False, True])
def test_a_full_disk_is_one_clear_error_and_room_continues(
    config, tmp_path, call, monkeypatch, shared
):
    alone = with_sample(config, out=tmp_path / "alone" / "set")
    whole = contents(call(alone, shared=False).out)
    full = with_sample(config, out=tmp_path / "full" / "set", shard=8)
    with monkeypatch.context() as patch:
        import sample.write as module

        save, saved = module.save_png, []

        def save_png(path, *given, **more):
            saved.append(path)
            if len(saved) > 11:
                raise OSError(errno.ENOSPC, "No space left on device", str(path))
            return save(path, *given, **more)

        patch.setattr(module, "save_png", save_png)
        with pytest.raises(SynthError, match=r"no room left on the disk.*same command continues"):
            call(full, shared=shared)
    assert len(saved) == 12  # and nothing was tried after that
    call(full, shared=shared)
    assert contents(full.sample.out) == whole


def test_the_model_waits_for_a_slow_disk(config, exact_family, monkeypatch):
    import sample.write as module

    ahead, made, save = [], [], module.save_png

    class Counting(exact_family):
        def decode_latents(self, latents):
            made.append(len(latents))
            return latents

    def slow(path, *given, **more):
        time.sleep(0.02)
        content = save(path, *given, **more)
        if "syn-" in str(path):
            ahead.append(len(made) - int(path.stem[4:]))
        return content

    monkeypatch.setattr(module, "save_png", slow)
    one = with_sample(config, batch=1)
    generate_dataset(one, family=Counting())
    assert len(made) == 22
    assert 1 < max(ahead) <= module.QUEUED + 3  # queued, one being written, one being made
