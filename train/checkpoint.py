"""Checkpoints that are whole or absent: staging folder, fsync, manifest of hashes, rename.

    checkpoints/<images_seen>/
        weights.safetensors     the trainable parameters
        ema.safetensors         their averages
        optimizer.safetensors   AdamW's moments
        state.json              counters and what the run depends on
        manifest.json           size and SHA-256 of each of the above

Nothing is pickled, and no file but these is opened. A damaged checkpoint is passed over and the one
before it used; an older one is deleted only after the newer was read back.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from synth.errors import SynthError
from synth.manifest import sha256_file
from train.commit import discard, put_in_place, staging_for, sync_folder

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
    staging = staging_for(target)
    try:
        _write(staging, checkpoint)
        if problem := find_damage(staging):
            raise SynthError("the checkpoint does not read back", where=target, got=problem)
        put_in_place(staging, target)
    finally:  # a full disk gets its room back
        shutil.rmtree(staging, ignore_errors=True)
    _prune(folder, target, keep)
    return target


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoint folders, oldest first, sound or not."""
    found = [path for path in folder.glob("*") if path.name.isdecimal()]
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
    """What is wrong with a checkpoint, or an empty string; reads every byte of it."""
    try:
        files = json.loads((path / MANIFEST).read_text("utf-8"))["files"]
        wanted = {name: (facts["bytes"], facts["sha256"]) for name, facts in files.items()}
    except OSError:
        return "its manifest is missing"
    except (ValueError, TypeError, KeyError, AttributeError):
        return "its manifest is not what was written"
    if set(wanted) != _FILES:
        return f"its manifest lists {', '.join(sorted(wanted)) or 'nothing'}"
    for name, (size, digest) in wanted.items():
        try:
            problem = _find_file_damage(path / name, size, digest)
        except OSError as error:  # a bad sector, a folder in its place
            problem = f"{name} cannot be read: {error.strerror}"
        if problem:
            return problem
    return ""


def _find_file_damage(file: Path, size: int, digest: str) -> str:
    """What is wrong with one file; a hash that fits does not make it of the right kind."""
    if not file.is_file():
        return f"{file.name} is missing"
    if file.stat().st_size != size:
        return f"{file.name} has {file.stat().st_size} bytes instead of {size}"
    if sha256_file(file) != digest:
        return f"{file.name} does not match its SHA-256"
    try:
        if file.name == _STATE:
            int(json.loads(file.read_text("utf-8"))["images_seen"])
        else:
            with safe_open(file, framework="pt"):
                pass
    except (ValueError, TypeError, KeyError, SafetensorError):
        return f"{file.name} is not what a checkpoint holds"
    return ""


def _prune(folder: Path, target: Path, keep: int) -> None:
    """Delete what is older than ``target``; a damaged one counts for nothing, however new."""
    sound = 1
    for path in reversed(checkpoints(folder)):
        if int(path.name) >= int(target.name):
            continue
        if sound < keep and not find_damage(path):
            sound += 1
        else:
            discard(path)


def _read(path: Path) -> Checkpoint:
    parts = {n: load_file(path / f"{n}.safetensors") for n in _TENSORS}
    return Checkpoint(**parts, state=json.loads((path / _STATE).read_text("utf-8")))


def _write(staging: Path, checkpoint: Checkpoint) -> None:
    """All files and then their manifest, flushed to disk."""
    staging.mkdir(parents=True)
    for name in _TENSORS:
        tensors = {key: _plain(t) for key, t in getattr(checkpoint, name).items()}
        save_file(tensors, staging / f"{name}.safetensors")
    (staging / _STATE).write_text(json.dumps(dict(checkpoint.state), indent=2) + "\n", "utf-8")
    files = sorted(path for path in staging.iterdir())
    facts = {p.name: {"bytes": p.stat().st_size, "sha256": sha256_file(p)} for p in files}
    (staging / MANIFEST).write_text(json.dumps({"files": facts}, indent=2) + "\n", "utf-8")
    sync_folder(staging)


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().contiguous()
