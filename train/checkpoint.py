"""Checkpoints that are whole or absent: staging folder, fsync, manifest of hashes, rename.

    checkpoints/<images_seen>/
        weights.safetensors     the trainable parameters
        ema.safetensors         their averages
        optimizer.safetensors   AdamW's moments
        state.json              counters and what the run depends on
        manifest.json           size and SHA-256 of each of the above

Nothing is pickled. A damaged checkpoint is passed over and the one before it used.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from synth.errors import SynthError
from synth.manifest import sha256_file

MANIFEST = "manifest.json"
_STATE = "state.json"
_TENSORS = ("weights", "ema", "optimizer")
_FILES = {_STATE, *(f"{name}.safetensors" for name in _TENSORS)}


@dataclass(frozen=True)
class Checkpoint:
    """What a run needs to go on.

    Attributes:
        weights: trainable parameters by name.
        ema: their averages by name.
        optimizer: optimizer state by ``<parameter>/<field>``.
        state: counters and facts, JSON values; holds ``images_seen``.
    """

    weights: Mapping[str, Tensor]
    ema: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor]
    state: Mapping[str, Any]


def save_checkpoint(folder: Path, checkpoint: Checkpoint, *, keep: int) -> Path:
    """Write a checkpoint, verify it, then delete older ones but the newest ``keep`` sound.

    Args:
        folder: the run's ``checkpoints`` folder.
        checkpoint: what to write, under ``str(images_seen)``.
        keep: how many sound ones stay, this one among them.

    Raises:
        SynthError: what was written does not read back; older checkpoints are kept.
    """
    target = folder / str(checkpoint.state["images_seen"])
    staging = folder / f".{target.name}.{os.getpid()}.staging"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    for name in _TENSORS:
        tensors = {key: _plain(t) for key, t in getattr(checkpoint, name).items()}
        save_file(tensors, staging / f"{name}.safetensors")
    (staging / _STATE).write_text(json.dumps(dict(checkpoint.state), indent=2) + "\n", "utf-8")
    _write_manifest(staging)
    _commit(staging, target)
    if problem := find_damage(target):
        raise SynthError("the checkpoint does not read back", where=target, got=problem)
    _prune(folder, target, keep)
    return target


def remove_leftovers(folder: Path) -> None:
    """Remove ``.NAME.PID.staging`` folders of processes that are gone; the caller holds the run."""
    for path in folder.glob(".*.staging"):
        pid = path.name.split(".")[-2]
        if pid.isdigit() and not _is_alive(int(pid)):
            shutil.rmtree(path)


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoint folders, oldest first, sound or not."""
    found = [path for path in folder.glob("*") if path.name.isdigit()]
    return sorted(found, key=lambda path: int(path.name))


def load_latest(folder: Path, note: Callable[[str], None]) -> Checkpoint | None:
    """The newest sound checkpoint; ``note`` is told of every damaged one. None if there is none.

    Raises:
        SynthError: there are checkpoints and every one is damaged.
    """
    found = checkpoints(folder)
    for path in reversed(found):
        problem = find_damage(path)
        if not problem:
            return _read(path)
        note(f"{path}: checkpoint skipped, {problem}")
    if found:
        raise SynthError(
            "every checkpoint is damaged",
            where=folder,
            fix="Delete the folder to train from the start.",
        )
    return None


def find_damage(path: Path) -> str:
    """What is wrong with a checkpoint, or an empty string."""
    try:
        files = json.loads((path / MANIFEST).read_text("utf-8"))["files"]
    except OSError:
        return "its manifest is missing"
    except (ValueError, TypeError, KeyError):
        return "its manifest is not what was written"
    if set(files) != _FILES:
        return f"its manifest lists {', '.join(sorted(files)) or 'nothing'}"
    for name, facts in files.items():
        file = path / name
        if not file.is_file():
            return f"{name} is missing"
        if file.stat().st_size != facts["bytes"]:
            return f"{name} has {file.stat().st_size} bytes instead of {facts['bytes']}"
        if sha256_file(file) != facts["sha256"]:
            return f"{name} does not match its SHA-256"
    return ""


def _prune(folder: Path, target: Path, keep: int) -> None:
    """Delete what is older than ``target``; a damaged one counts for nothing, however new."""
    found = checkpoints(folder)
    sound = [path for path in found if path != target and not find_damage(path)]
    kept = sound[max(0, len(sound) - keep + 1) :]
    for path in found:
        if int(path.name) < int(target.name) and path not in kept:
            shutil.rmtree(path)


def _is_alive(pid: int) -> bool:
    if os.name != "posix":  # signal 0 is no question elsewhere
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # of another user, or no process id at all
        return True
    return True


def _read(path: Path) -> Checkpoint:
    parts = {n: load_file(path / f"{n}.safetensors") for n in _TENSORS}
    return Checkpoint(**parts, state=json.loads((path / _STATE).read_text("utf-8")))


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().contiguous()


def _write_manifest(staging: Path) -> None:
    files = sorted(path for path in staging.iterdir())
    facts = {p.name: {"bytes": p.stat().st_size, "sha256": sha256_file(p)} for p in files}
    (staging / MANIFEST).write_text(json.dumps({"files": facts}, indent=2) + "\n", "utf-8")


def _commit(staging: Path, target: Path) -> None:
    """Flush every file to disk, then make the folder appear under its name at once."""
    for path in staging.iterdir():
        with path.open("rb+") as file:
            os.fsync(file.fileno())
    _sync_folder(staging)
    if target.exists():  # damaged, or of a run that went back: the new one is whole
        shutil.rmtree(target)
    staging.replace(target)
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":  # folders cannot be opened elsewhere
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
