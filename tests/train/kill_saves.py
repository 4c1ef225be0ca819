"""Kill a process before every file operation of a checkpoint's save, one process a time.

Executed with ``folder`` (empty), ``keep`` and ``replaces`` (a damaged checkpoint bears the new
one's name already) as globals; prints one JSON line for each death.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path

import torch

from train import checkpoint as module
from train.checkpoint import Checkpoint, checkpoints, find_damage, load_latest, save_checkpoint
from train.commit import remove_leftovers

OPERATIONS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "half a file"}
folder: Path = Path(globals()["folder"])
keep: int = globals()["keep"]
replaces: bool = globals()["replaces"]


def make(images: int) -> Checkpoint:
    tensors = {"w": torch.full((64,), float(images))}
    return Checkpoint(tensors, tensors, tensors, {"images_seen": images})


def prepare(place: Path) -> None:
    save_checkpoint(place, make(8), keep=9)
    save_checkpoint(place, make(16), keep=9)
    if replaces:
        damaged = save_checkpoint(place, make(24), keep=9)
        (damaged / "ema.safetensors").write_bytes(b"")


def save_until(place: Path, fatal: int) -> None:
    """Die before operation number ``fatal``."""
    count = 0
    save_file = module.save_file

    def hook(event: str, _: object) -> None:
        nonlocal count
        if event in OPERATIONS:
            if count == fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            count += 1

    def in_halves(tensors: dict[str, torch.Tensor], path: Path) -> None:
        save_file(tensors, path)
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        sys.audit("half a file")
        path.write_bytes(whole)

    module.save_file = in_halves
    sys.addaudithook(hook)
    save_checkpoint(place, make(24), keep=keep)
    os._exit(0)


def sound(place: Path) -> list[str]:
    return [path.name for path in checkpoints(place) if not find_damage(path)]


def after_death(place: Path) -> dict[str, object]:
    """What is left, and what the next run makes of it."""
    latest = load_latest(place, lambda note: None)
    assert latest is not None
    found = {"sound": sound(place), "latest": latest.state["images_seen"]}
    found["torn"] = [path.name for path in checkpoints(place) if find_damage(path)]
    found["values"] = sorted({float(v) for t in latest.weights.values() for v in t})
    remove_leftovers(place)
    save_checkpoint(place, make(24), keep=keep)
    found["entries"] = sorted(path.name for path in place.iterdir())
    found["sound_after"] = sound(place)
    return found


def say(fact: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(fact) + "\n")
    sys.stdout.flush()  # or a fork would say it again


prepare(folder / "first")
for number in range(10_000):
    place = folder / str(number)
    shutil.copytree(folder / "first", place)
    child = os.fork()
    if child == 0:
        save_until(place, number)
    _, status = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(status) == 0:  # it outlived every operation
        say({"ended": number})
        break
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    say(after_death(place))
    shutil.rmtree(place)
