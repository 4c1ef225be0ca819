from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from synth.data import cache_store
from synth.data.cache_fill import Filling, fill
from synth.data.cache_shard import DamagedShard
from synth.data.cache_store import TensorCache
from synth.errors import SynthError
from synth.manifest import sha256_text
from synth.progress import Silent
from synth.seeding import torch_generator


def key(index: int) -> str:
    return sha256_text(str(index))[:32]


def entry(index: int) -> dict[str, torch.Tensor]:
    g = torch_generator("cache", index)
    return {
        "ragged": torch.randn(1 + index % 5, 3, generator=g),
        "same": torch.randn(2, 4, generator=g).half(),
        "number": torch.tensor(float(index)),
    }


def same(a, b) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)


@pytest.fixture
def cache(tmp_path):
    """Ten entries in five shards."""
    cache = TensorCache(tmp_path / "cache")
    for first in range(0, 10, 2):
        cache.write({key(i): entry(i) for i in (first, first + 1)})
    return cache


def test_every_entry_comes_back_bit_for_bit(cache):
    for one in (cache, TensorCache(cache.folder)):
        assert len(one) == 10
        assert all(same(one.read(key(i)), entry(i)) for i in reversed(range(10)))
        assert key(3) in one
        assert key(10) not in one
        assert one.missing([key(12), key(3), key(11), key(12)]) == [key(12), key(11)]
    with pytest.raises(KeyError):
        cache.read(key(10))


def test_what_is_read_outlives_its_mapping_and_few_files_are_mapped(cache, monkeypatch):
    monkeypatch.setattr(cache_store, "MAPPED", 2)
    files = len(list(Path("/proc/self/fd").iterdir())) if sys.platform == "linux" else 0
    one = TensorCache(cache.folder)
    read = [one.read(key(i)) for i in range(10)]
    assert len(one._mapped) == 2
    assert all(same(got, entry(i)) for i, got in enumerate(read))
    if files:
        assert len(list(Path("/proc/self/fd").iterdir())) == files


def test_shards_of_other_processes_are_taken_in_and_the_first_of_two_stays(cache):
    other = TensorCache(cache.folder)
    cache.write({key(20): entry(20)})
    other.write({key(20): entry(21), key(22): entry(22)})
    assert key(20) in other
    other.refresh()
    cache.refresh()
    assert same(cache.read(key(20)), entry(20))
    assert same(other.read(key(20)), entry(21))
    assert len(cache) == len(other) == len(TensorCache(cache.folder)) == 12


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:50],
        lambda content: content[:-7],
        lambda content: bytes(len(content)),
        lambda content: b"",
        lambda content: content.replace(b"synth-cache-1", b"synth-cache-0"),
    ],
    ids=["header cut", "data cut", "zeros", "empty", "layout"],
)
def test_a_damaged_shard_is_said_and_only_its_entries_are_made_again(cache, damage):
    file = cache._paths[1]
    file.write_bytes(damage(file.read_bytes()))
    again, notes, made = TensorCache(cache.folder), [], []

    class Notes(Silent):
        def note(self, text):
            notes.append(text)

    def encode(keys):
        made.extend(keys)
        return [entry(index[k]) for k in keys]

    index = {key(i): i for i in range(10)}
    fill(again, list(index), Filling(lambda k: k, encode, "filling"), Notes())
    assert made == [key(2), key(3)]
    assert len(notes) == 1
    assert f"{file}: damaged cache file removed" in notes[0]
    whole = TensorCache(cache.folder)
    assert not whole.damaged
    assert all(same(whole.read(k), entry(i)) for k, i in index.items())


def test_a_flipped_bit_is_an_error_not_a_wrong_image(cache):
    file = cache._paths[2]
    content = bytearray(file.read_bytes())
    content[content.index(entry(4)["ragged"].numpy().tobytes())] ^= 1
    file.write_bytes(content)
    one = TensorCache(cache.folder)
    with pytest.raises(DamagedShard, match=r"does not match its checksum.*Delete it"):
        one.read(key(4))
    assert same(one.read(key(0)), entry(0))
    file.unlink()
    assert TensorCache(cache.folder).missing([key(i) for i in range(10)]) == [key(4), key(5)]


def test_a_shard_that_vanishes_in_use_is_one_clear_line(cache):
    one = TensorCache(cache.folder)
    for path in one._paths:
        path.unlink()
    with pytest.raises(SynthError, match=r"has gone while it was in use.*made again"):
        one.read(key(0))


def test_old_temporary_files_go_and_young_ones_stay(cache):
    old, young = cache.folder / ".a.1.tmp", cache.folder / ".b.1.tmp"
    for path in (old, young):
        path.write_bytes(b"half")
    hours_ago = time.time() - 7200
    os.utime(old, (hours_ago, hours_ago))
    cache.clear_damaged(lambda text: None)
    assert (old.exists(), young.exists()) == (False, True)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_and_files_do_not_grow_with_the_dataset(tmp_path):
    """240,000 entries and 1,000, read in processes of their own."""
    script, grown = Path(__file__).with_name("cache_memory.py"), {}
    for count in (1_000, 240_000):
        run = subprocess.run(
            [sys.executable, str(script), str(tmp_path / str(count)), str(count)],
            capture_output=True,
            text=True,
            check=True,
        )
        grown[count] = [int(word) for word in run.stdout.split()]
    anonymous, mapped, files = (b - a for a, b in zip(*grown.values(), strict=True))
    assert anonymous < 239_000 * 64
    assert mapped < 16 * 2**20
    assert files == 0
