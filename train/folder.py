"""The run folder: one run at a time, one configuration for its whole life.

config.yaml              the resolved configuration, written first
log.jsonl                steps, validations, resumes
checkpoints/<images_seen>/
previews/<images_seen>.png
cache/                   latents and text embeddings
weights/                 the final export: a plain diffusers pipeline
run.json                 facts about the finished run
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from synth.config import dump_config
from synth.config.schema import Config
from synth.errors import SynthError, UsageError
from synth.manifest import write_bytes

# What may differ when a run goes on: how long, how often, where, and other verbs' sections.
_FREE = {
    "run.out",
    "train.steps",
    "train.device",
    "train.log_every",
    "train.validate_every",
    "train.preview_every",
    "train.preview_prompts",
    "train.checkpoint_every",
    "train.keep_checkpoints",
}
_FREE_SECTIONS = ("sample", "metrics")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the run folder; made when it is not there.

    Raises:
        SynthError: another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise SynthError(
            "another process is training in this folder",
            where=folder,
            fix="Wait for it, or set another run.out.",
        ) from None
    try:
        yield
    finally:
        lock.release()


def write_config(config: Config) -> None:
    """Write ``config.yaml``, refusing to turn one run into another.

    Raises:
        UsageError: the folder holds a run of a configuration that differs in what it trains.
    """
    path = config.run.out / "config.yaml"
    text = dump_config(config)
    if path.is_file():
        _refuse_difference(path, yaml.safe_load(path.read_text("utf-8")), yaml.safe_load(text))
    write_bytes(path, text.encode())


def _refuse_difference(path: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    before, now = dict(_flat(old)), dict(_flat(new))
    for key in sorted(before.keys() | now.keys()):
        if key in _FREE or key.startswith(tuple(f"{name}." for name in _FREE_SECTIONS)):
            continue
        if before.get(key) != now.get(key):
            raise UsageError(
                f"the run was started with another `{key}`",
                where=path,
                got=now.get(key),
                expected=before.get(key),
                fix=f"Set {key} back, or choose another run.out.",
            )


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
