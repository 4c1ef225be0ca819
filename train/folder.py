"""The run folder: one run at a time, one configuration for its whole life.

config.yaml              the resolved configuration, written first
log.jsonl                steps, validations, resumes
checkpoints/<images_seen>/
previews/<images_seen>.png
cache/                   latents and text embeddings
ema/                     snapshots of the averages that `synth ema` combines
weights/                 the final export: a plain diffusers pipeline
run.json                 facts about the finished run
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from synth.config import dump_config
from synth.config.schema import Config
from synth.errors import SynthError, UsageError
from synth.manifest import Dataset, open_dataset, sha256_text, write_bytes

# What may differ when a run goes on: how long, how often, where, and other verbs' sections. The
# dataset may move: checkpoints and run.json know the training split by its content.
FREE_KEYS = {
    "run.out",
    "data.dataset",
    "train.steps",
    "train.device",
    "train.log_every",
    "train.validate_every",
    "train.preview_every",
    "train.preview_prompts",
    "train.checkpoint_every",
    "train.keep_checkpoints",
    "train.ema.snapshot_every",
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
        SynthError: it holds a finished run on another training split.
    """
    path = config.run.out / "config.yaml"
    text = dump_config(config)
    if path.is_file():
        old, new = yaml.safe_load(path.read_text("utf-8")), yaml.safe_load(text)
        _refuse_difference(path, old, new)
        if old["data"]["dataset"] != new["data"]["dataset"]:
            _refuse_other_split(config)
    write_bytes(path, text.encode())


def split_sha256(dataset: Dataset) -> str:
    """Hash of the training split: its images and texts in order, wherever the folder lies."""
    rows = dataset.split("train")
    return sha256_text(json.dumps([[r.sample_id, r.sha256, r.text_used or r.text] for r in rows]))


def _refuse_other_split(config: Config) -> None:
    """A finished run opens no checkpoint, whose fingerprint would tell."""
    path = config.run.out / "run.json"
    if not path.is_file():
        return
    recorded = json.loads(path.read_text("utf-8")).get("train_split_sha256")
    if recorded != split_sha256(open_dataset(config.data.dataset)):
        raise SynthError(
            "the training split is not the one this run began with",
            where=config.data.dataset,
            fix="Set data.dataset back, or choose another run.out.",
        )


def _refuse_difference(path: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    before, now = dict(_flat(old)), dict(_flat(new))
    for key in sorted(before.keys() | now.keys()):
        if key in FREE_KEYS or key.startswith(tuple(f"{name}." for name in _FREE_SECTIONS)):
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
