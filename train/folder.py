"""The run folder: one run at a time, one configuration for its whole life.

config.yaml              the resolved configuration, written first
log.jsonl                steps, validations, resumes
tensorboard/             the same as event files, with train.tracker=tensorboard
checkpoints/<images_seen>/
previews/<images_seen>.png, .json
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
    "train.sharding",
    "train.log_every",
    "train.validate_every",
    "train.preview_every",
    "train.preview_prompts",
    "train.tracker",
    "train.checkpoint_every",
    "train.keep_checkpoints",
    "train.cache",
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
        SynthError: it holds a finished run on another training split, or a damaged file.
    """
    path = config.run.out / "config.yaml"
    text = dump_config(config)
    if path.is_file():
        old, new = _read_config(path), yaml.safe_load(text)
        _refuse_difference(path, old, new)
        if old["data"]["dataset"] != new["data"]["dataset"]:
            _refuse_other_split(config)
    write_bytes(path, text.encode())


def _read_config(path: Path) -> dict[str, Any]:
    try:
        said = yaml.safe_load(path.read_text("utf-8"))
        if not isinstance(said, dict) or not Config.model_fields.keys() <= said.keys():
            raise ValueError("cut short: what is missing would pass for the default")
        config = Config.model_validate(said)
    except (ValueError, yaml.YAMLError):  # pydantic's error is a ValueError
        raise SynthError(
            "not the configuration that a run wrote",
            where=path,
            fix="Restore it; or delete it, if this run was begun with the present settings.",
        ) from None
    return config.model_dump(mode="json")


def split_sha256(dataset: Dataset) -> str:
    """Hash of the training split: its images and texts in order, wherever the folder lies."""
    rows = dataset.split("train")
    return sha256_text(json.dumps([[r.sample_id, r.sha256, r.text_used or r.text] for r in rows]))


def read_facts(run: Path) -> dict[str, Any] | None:
    """``run.json``, or None where there is none that can be read."""
    try:
        facts = json.loads((run / "run.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return facts if isinstance(facts, dict) and "images_seen" in facts else None


def _refuse_other_split(config: Config) -> None:
    """A finished run opens no checkpoint, whose fingerprint would tell."""
    facts = read_facts(config.run.out)
    if facts is None:
        return
    if facts.get("train_split_sha256") != split_sha256(open_dataset(config.data.dataset)):
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
