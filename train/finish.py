"""The end of a run: the exported pipeline and the facts beside it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from synth.config import config_sha256
from synth.data.card import source_table
from synth.families.base import Family
from synth.families.device import select_precision
from synth.manifest import write_bytes, write_json
from synth.provenance import versions
from train.folder import split_sha256
from train.session import Session, unwrapped, validate


def finish(session: Session) -> dict[str, Any]:
    """Export the averaged weights and write ``run.json``, in that order; returns its content."""
    if not session.validation:  # the session before this one ended between checkpoint and export
        validate(session)
    facts = _facts(session)
    if session.accelerator.is_main_process:
        session.progress.stage("exporting")
        weights = session.config.run.out / "weights"
        with unwrapped(session), session.training.ema.swapped_in():
            facts["weights_sha256"] = _export(session.family, weights, _card(session))
        facts["seconds"] = round(session.seconds, 3)
        write_json(session.config.run.out / "run.json", facts)
        session.progress.note(f"{weights}: a diffusers pipeline")
    session.accelerator.wait_for_everyone()
    return facts


def _export(family: Family, weights: Path, card: str) -> str:
    """Write the pipeline beside, then swap: ``weights`` is whole whenever it is there."""
    staging = weights.with_name(f".weights.{os.getpid()}.staging")
    shutil.rmtree(staging, ignore_errors=True)
    digest = family.export(staging)
    write_bytes(staging / "README.md", card.encode())
    if weights.exists():  # of the same run, trained for fewer steps
        shutil.rmtree(weights)
    staging.replace(weights)
    return digest


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
