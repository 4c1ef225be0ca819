"""The end of a run: the exported pipeline and the facts beside it.

``weights/SHA256SUMS`` lists the pipeline's files, and ``run.json`` holds that list's own hash: so a
run whose weights were changed or partly deleted afterwards is not taken for a finished one.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from synth.config import config_sha256
from synth.data.card import source_table
from synth.families import load_family
from synth.families.base import Family
from synth.families.device import select_precision
from synth.manifest import sha256_file, write_bytes, write_json, write_sha256sums
from synth.provenance import versions
from train.commit import put_in_place, staging_for, sync_folder
from train.folder import split_sha256
from train.processes import on_main
from train.session import Session, unwrapped, validate
from train.shard import whole

_SUMS = "SHA256SUMS"
_CARD = "README.md"  # the user's to edit


def finish(session: Session) -> dict[str, Any]:
    """Export the averaged weights and write ``run.json``, in that order; returns its content."""
    if not session.validation:  # the session before this one ended between checkpoint and export
        validate(session)
    facts = _facts(session)
    main, sharded = session.accelerator.is_main_process, session.training.sharded
    averages = whole(session.training.ema.tensors, keep=main) if sharded else {}  # by all

    def export() -> None:
        session.progress.stage("exporting")
        weights = session.config.run.out / "weights"
        with _averaged(session, averages) as family:
            facts["weights_sha256"] = _export(family, weights, _card(session))
        facts["weights_sums_sha256"] = sha256_file(weights / _SUMS)
        facts["seconds"] = round(session.seconds, 3)
        write_json(session.config.run.out / "run.json", facts)
        session.progress.note(f"{weights}: a diffusers pipeline")

    on_main(session.accelerator, export)
    return facts


@contextmanager
def _averaged(session: Session, gathered: Mapping[str, Tensor]) -> Iterator[Family]:
    """The model with the averaged weights; where it is sharded another one on the CPU."""
    if not session.training.sharded:
        with unwrapped(session), session.training.ema.swapped_in():
            yield session.family
        return
    model = session.config.model.model_copy(update={"attention": "auto"})  # of the CPU
    family = load_family(model, device=torch.device("cpu"), dtype=torch.float32)
    with torch.no_grad():
        for name, parameter in family.trainable():
            parameter.copy_(gathered[name])
    yield family


def _export(family: Family, weights: Path, card: str) -> str:
    """Write the pipeline beside, then swap: ``weights`` is whole whenever it is there."""
    staging = staging_for(weights)
    try:
        digest = family.export(staging)
        write_bytes(staging / _CARD, card.encode())
        write_sha256sums(staging, exclude=[_CARD])
        sync_folder(staging)
        put_in_place(staging, weights)  # over those of the same run after fewer steps
    finally:  # a full disk gets its room back
        shutil.rmtree(staging, ignore_errors=True)
    return digest


def find_change(weights: Path, sums_sha256: str) -> str:
    """What is no longer as it was exported, or an empty string; reads every byte.

    Args:
        weights: the exported pipeline.
        sums_sha256: hash of its list of files; empty where an earlier version wrote none.
    """
    if not sums_sha256:
        return "" if (weights / "model_index.json").is_file() else "model_index.json is missing"
    sums = weights / _SUMS
    if not sums.is_file() or sha256_file(sums) != sums_sha256:
        return f"{_SUMS} is not the one of this run"
    for line in sums.read_text("utf-8").splitlines():
        digest, _, name = line.partition("  ")
        if not (weights / name).is_file():
            return f"{name} is missing"
        if sha256_file(weights / name) != digest:
            return f"{name} has changed"
    return ""


def _card(session: Session) -> str:
    """What the weights were trained on and the terms that therefore bind them."""
    info = session.dataset.info
    kind = "computed phantoms, not patients" if info.phantom else "medical images"
    lines = [
        f"# {session.config.run.out.resolve().name}",
        "",
        f"A diffusers pipeline fine-tuned on `{info.name}` ({kind}), "
        f"{len(session.examples.train)} images. Not for diagnosis.",
        "",
    ]
    if info.sources:
        lines += ["## Sources", "", source_table(info.sources), ""]
    terms = [f"- {term}" for term in info.terms] or ["None were recorded with the data."]
    lines += ["## Terms of use", "", "Inherited from the training data:", "", *terms, ""]
    return "\n".join(lines)


def _facts(session: Session) -> dict[str, Any]:
    """What a reader of the run wants to know and cannot see in the configuration."""
    config, training, examples = session.config, session.training, session.examples
    info = session.dataset.info
    return {
        "config_sha256": config_sha256(config),
        "steps": training.images_seen // config.train.batch,
        "images_seen": training.images_seen,
        "seconds": round(session.seconds, 3),
        "skipped_steps": training.skipped,
        "device": str(session.accelerator.device),
        "processes": session.accelerator.num_processes,
        "sharding": session.config.train.sharding,
        "precision": select_precision(config.train.precision, session.accelerator.device),
        "attention": {"requested": config.model.attention, "ran": session.family.kernel},
        "trainable_parameters": sum(p.numel() for _, p in training.trainable),
        "base_weights_sha256": session.family.weights_sha256,
        "train_split_sha256": split_sha256(session.dataset),
        "train_images": len(examples.train),
        "validation_images": len(examples.val),
        "distinct_prompts": examples.prompts,
        "truncated": {
            "prompts": len(examples.truncated),
            "tokens": sum(examples.truncated),
        },
        "dataset": {
            "name": info.name,
            "phantom": info.phantom,
            "terms": info.terms,
            "sources": [source.model_dump(mode="json") for source in info.sources],
        },
        "validation": session.validation,
        "versions": versions(),
    }
