from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from synth.errors import SynthError
from train import checkpoint as module
from train.checkpoint import (
    Checkpoint,
    checkpoints,
    find_damage,
    load_latest,
    save_checkpoint,
)
from train.commit import remove_leftovers


def make(images: int) -> Checkpoint:
    tensors = {"w": torch.full((4,), float(images))}
    return Checkpoint(tensors, tensors, {}, {"images_seen": images})


def names(folder):
    return [path.name for path in checkpoints(folder)]


def test_round_trip_and_pruning(tmp_path):
    for images in (8, 16, 100):
        save_checkpoint(tmp_path, make(images), keep=2)
    assert names(tmp_path) == ["16", "100"]  # by number, not by text
    loaded = load_latest(tmp_path, pytest.fail)
    assert loaded.state == {"images_seen": 100}
    assert torch.equal(loaded.weights["w"], torch.full((4,), 100.0))
    assert not [p for p in tmp_path.rglob("*") if p.suffix in {".pt", ".bin", ".pkl"}]


def break_hash(path):
    content = bytearray((path / "ema.safetensors").read_bytes())
    content[-1] ^= 1
    (path / "ema.safetensors").write_bytes(content)


def cut(path):
    file = path / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:-1])


DAMAGE = [
    (break_hash, "does not match its SHA-256"),
    (cut, "bytes instead of"),
    (lambda p: (p / "state.json").unlink(), "state.json is missing"),
    (lambda p: (p / "manifest.json").unlink(), "its manifest is missing"),
    (lambda p: (p / "manifest.json").write_text("{"), "its manifest is not"),
    (lambda p: (p / "manifest.json").write_text('{"files": {}}'), "its manifest lists nothing"),
    (lambda p: (p / "manifest.json").write_text("[]"), "its manifest is not"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGE)
def test_damage_falls_back_with_a_message(tmp_path, damage, message):
    save_checkpoint(tmp_path, make(8), keep=2)
    damage(save_checkpoint(tmp_path, make(16), keep=2))
    notes = []
    assert load_latest(tmp_path, notes.append).state["images_seen"] == 8
    assert len(notes) == 1
    assert message in notes[0]


def test_all_damaged_is_an_error_and_none_is_none(tmp_path):
    assert load_latest(tmp_path, pytest.fail) is None
    break_hash(save_checkpoint(tmp_path, make(8), keep=2))
    with pytest.raises(SynthError, match="every checkpoint is damaged"):
        load_latest(tmp_path, lambda note: None)


def test_a_kill_while_saving_leaves_the_previous(tmp_path, monkeypatch):
    save_checkpoint(tmp_path, make(8), keep=1)

    def killed(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "put_in_place", killed)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(tmp_path, make(16), keep=1)
    assert names(tmp_path) == ["8"]
    assert load_latest(tmp_path, pytest.fail).state["images_seen"] == 8


def test_nothing_is_pruned_unless_the_new_one_verifies(tmp_path, monkeypatch):
    save_checkpoint(tmp_path, make(8), keep=1)
    monkeypatch.setattr(module, "sync_folder", break_hash)  # a bad disk
    with pytest.raises(SynthError, match="does not read back"):
        save_checkpoint(tmp_path, make(16), keep=1)
    assert [path.name for path in tmp_path.iterdir()] == ["8"]
    assert not find_damage(tmp_path / "8")


def test_damaged_newer_folders_do_not_cost_the_new_checkpoint(tmp_path):
    for images in (200, 300, 400):
        save_checkpoint(tmp_path, make(images), keep=9)
    break_hash(tmp_path / "300")
    cut(tmp_path / "400")
    save_checkpoint(tmp_path, make(250), keep=2)
    assert [name for name in names(tmp_path) if not find_damage(tmp_path / name)] == ["200", "250"]
    assert load_latest(tmp_path, lambda note: None).state["images_seen"] == 250
    save_checkpoint(tmp_path, make(260), keep=1)
    assert [name for name in names(tmp_path) if not find_damage(tmp_path / name)] == ["260"]


def test_a_damaged_older_one_does_not_count_as_kept(tmp_path):
    for images in (8, 16):
        save_checkpoint(tmp_path, make(images), keep=9)
    cut(tmp_path / "16")
    save_checkpoint(tmp_path, make(24), keep=2)
    assert names(tmp_path) == ["8", "24"]


@pytest.mark.skipif(os.name != "posix", reason="a process cannot be asked after elsewhere")
def test_leftovers_of_dead_processes_alone_are_removed(tmp_path):
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    dead, alive = f".8.{process.pid}.staging", f".8.{os.getppid()}.staging"
    mine = f".8.{os.getpid()}.staging"  # a container starts again under the same process id
    for name in (dead, alive, mine, ".8.x.staging", "thesis.1.staging"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("content")
    remove_leftovers(tmp_path)
    kept = {".8.x.staging", "thesis.1.staging", alive}
    assert {path.name for path in tmp_path.iterdir()} == kept


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="no names of handles elsewhere")
def test_everything_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    """A power cut, which no killed process can show: the order of flushes and renames."""
    done = []
    fsync, replace = os.fsync, Path.replace

    def flush(handle):
        done.append(Path(f"/proc/self/fd/{handle}").readlink().name)
        fsync(handle)

    def rename(self, target):
        done.append(f"rename to {Path(target).name}")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", flush)
    monkeypatch.setattr(Path, "replace", rename)
    path = save_checkpoint(tmp_path, make(8), keep=1)
    when = done.index("rename to 8")
    files = {p.name for p in path.iterdir()}
    assert set(done[:when]) == files | {f".8.{os.getpid()}.staging"}
    assert done[when + 1 :] == [tmp_path.name]


def test_manifest_lists_every_file(tmp_path):
    path = save_checkpoint(tmp_path, make(8), keep=1)
    listed = json.loads((path / "manifest.json").read_text())["files"]
    assert set(listed) == {p.name for p in path.iterdir()} - {"manifest.json"}
