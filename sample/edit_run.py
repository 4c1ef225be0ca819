"""Edited real images as a dataset: the same manifest, with the source, the region and the strength.

An edited image still shows its patient: rows keep the source's patient and split, and the card says
so. Editing into the same folder again adds to it; the same edit again changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sample.edit import Edit, edit_batches
from sample.edit_source import (
    EditRequest,
    Original,
    check_request,
    edited_labels,
    read_original,
    region,
)
from sample.edit_write import (
    EditWriter,
    finish_folder,
    mask_sha256,
    require_edited,
    save_mask,
    shared_facts,
    unfinished,
)
from sample.folder import locked
from sample.generate import require_finite
from sample.identity import Identity
from sample.model import open_model
from sample.spacing import effective
from synth.config.schema import Config, SampleSection
from synth.errors import SynthError
from synth.families.base import Family
from synth.families.facts import codes_of, facts_of, words_of
from synth.manifest import SyntheticRow, read_info, sha256_text
from synth.progress import Progress, Silent
from synth.seeding import seed_from


@dataclass(frozen=True)
class EditSummary:
    """What ``edit_image`` did.

    Attributes:
        out: the folder.
        sample_ids: of the variants, made now or before.
        made: how many were made now.
        flagged: how many of these failed a quality check.
    """

    out: Path
    sample_ids: tuple[str, ...]
    made: int
    flagged: int

    def to_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "out": str(self.out),
            "sample_ids": list(self.sample_ids),
            "made": self.made,
            "flagged": self.flagged,
        }


def edit_image(
    config: Config,
    request: EditRequest,
    progress: Progress | None = None,
    *,
    family: Family | None = None,
) -> EditSummary:
    """Make variants of a real image and add them to a dataset of edited images.

    Args:
        config: ``run``, ``model``, ``data`` and ``sample`` are used.
        request: what to change.
        progress: told what happens; silent by default.
        family: a model to use instead of loading the run's.

    Raises:
        UsageError: the request is incomplete or contradicts itself, or names what is not there.
        SynthError: the image cannot be read, the folder belongs to something else or holds images
            of another size, or the model gives images that are not finite.
    """
    progress = progress or Silent()
    check_request(request)
    require_edited(request.out)
    family, precision = open_model(config, family)
    size = config.data.size or family.size
    _require_size(request.out, size)
    original = read_original(config, request, size)
    names = config.model.conditions
    facts = facts_of(original.row, names) if original.row else codes_of({}, names)
    edit = Edit(original.image_u8, request.prompt, request.strength, region(request, size), facts)
    identity = _identity(config, family, size=size, precision=precision)
    labels, labeled_by = edited_labels(request, original)
    key = _key(identity, original, edit)
    ids = [f"edit-{key[:12]}-{index:03d}" for index in range(request.count)]
    progress.stage(f"editing {original.name}")
    with locked(request.out):
        shared = shared_facts(identity, original, edit) | {
            "labels": labels,
            "label_source": labeled_by,
            "mask": save_mask(request.out, edit.mask),
            "conditions": words_of(facts, names),
            "batch": min(config.sample.batch, request.count),
        }
        writer = EditWriter(request.out, shared)
        seeds = [seed_from("edit", config.run.seed, sample_id) for sample_id in ids]
        made = _write(family, edit, writer, config.sample, ids, seeds)
        if made or unfinished(request.out):
            previews = config.sample.previews
            finish_folder(request.out, original.info, size=size, previews=previews)
    flagged = sum(not all(row.filters.values()) for row in made)
    if flagged:
        progress.note(f"{flagged} images failed a quality check: see `filters` in metadata.jsonl")
    return EditSummary(request.out, tuple(ids), len(made), flagged)


def _write(
    family: Family,
    edit: Edit,
    writer: EditWriter,
    settings: SampleSection,
    ids: Sequence[str],
    seeds: Sequence[int],
) -> list[SyntheticRow]:
    """Make what is not there; each batch is on disk before the next begins."""
    if writer.there.issuperset(ids):
        return []
    made: list[SyntheticRow] = []
    for batch in edit_batches(family, edit, seeds=seeds, settings=settings):
        require_finite(batch)
        span = slice(batch.start, batch.start + len(batch.image_u8))
        made += writer.write(batch, ids[span], seeds[span])
    return made


def _require_size(folder: Path, size: int) -> None:
    there = read_info(folder).size
    if there and there != size:
        raise SynthError(
            "the folder holds edited images of another size",
            where=folder,
            got=size,
            expected=there,
            fix="Give another --out.",
        )


def _identity(config: Config, family: Family, *, size: int, precision: str) -> Identity:
    sample = config.sample
    return Identity(
        solver=sample.solver,
        steps=sample.steps,
        guidance=sample.guidance,
        size=size,
        precision=precision,
        seed=config.run.seed,
        images=0,
        plan="edit",
        weights_sha256=family.weights_sha256,
        plan_sha256="",
        guidance_interval=sample.guidance_interval,
        guidance_rescale=sample.guidance_rescale,
        spacing=effective(sample.spacing, sample.solver, family.scheduler_config),
    )


def _key(identity: Identity, original: Original, edit: Edit) -> str:
    """Names an edit by all that decides its images but the seed's own number."""
    parts = [
        *(identity.weights_sha256, identity.config_sha256, identity.seed, original.sha256),
        *(edit.prompt, edit.strength, mask_sha256(edit.mask), list(edit.facts)),
    ]
    return sha256_text(json.dumps(parts))
