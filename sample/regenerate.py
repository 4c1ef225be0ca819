"""One image of a synthetic dataset made again from its row, and compared with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sample.edit import Edit, edit_batches
from sample.generate import Asked, BatchMaker, require_finite
from sample.model import open_model
from sample.verdict import Regenerated, compare
from synth.config.schema import Config, SampleSection
from synth.errors import SynthError, UsageError
from synth.families.base import Family
from synth.families.facts import codes_of
from synth.images import fit_square, grey_to_u8, load_grey
from synth.manifest import Dataset, Row, SyntheticRow, open_dataset, sha256_file
from synth.progress import Progress, Silent
from synth.registry import did_you_mean


def regenerate(
    folder: Path,
    sample_id: str,
    config: Config,
    progress: Progress | None = None,
    *,
    source: Path | None = None,
    family: Family | None = None,
) -> Regenerated:
    """Make one image again and compare it with its row.

    The batch that made it is rebuilt, so that the same weights, software and hardware give the same
    bits.

    Args:
        folder: a dataset of ``synth sample`` or ``synth edit``.
        sample_id: the image.
        config: ``run.out`` or ``sample.weights``, ``model``, ``sample.device`` and, for an edited
            image, ``data.dataset`` are used; all that decides the image is taken from its row.
        progress: told what happens; silent by default.
        source: the real image that an edited one was made from; None: looked for in the dataset.
        family: a model to use instead of loading it.

    Raises:
        UsageError: the dataset has no image of this id, or it is a real one.
        SynthError: the weights or the source are missing or not those that made the image.
    """
    dataset = open_dataset(folder)
    row = find_synthetic(dataset, sample_id)
    facts = {**recorded(dataset), **(row.model_extra or {})}
    config = config.model_copy(update={"sample": settings_of(row, facts, config.sample)})
    family, _ = open_model(config, family)
    _require_weights(row, family)
    (progress or Silent()).stage(f"making {sample_id} again")
    names = config.model.conditions
    if "strength" in facts:
        real = _source_of(row, facts, config, source)
        image_u8 = _edited(family, dataset, row, facts, real, config.sample, names)
    else:
        image_u8 = _generated(family, dataset, row, config.sample, names)
    return compare(dataset, row, image_u8, precision=config.sample.precision)


def find_synthetic(dataset: Dataset, sample_id: str) -> SyntheticRow:
    """The row of a synthetic image.

    Raises:
        UsageError: there is none of that id, or it is a real image's.
    """
    row = next((row for row in dataset.rows if row.sample_id == sample_id), None)
    if isinstance(row, SyntheticRow):
        return row
    ids = [row.sample_id for row in dataset.rows if row.synthetic]
    if row is None and ids:
        raise UsageError(
            "the dataset has no image of this id",
            where=dataset.folder,
            got=sample_id,
            expected=f"one of {len(ids)}, such as {ids[0]}",
            fix=did_you_mean(sample_id, ids),
        )
    raise UsageError(
        "only a synthetic image can be made again",
        where=dataset.folder,
        got=f"{sample_id}: a real image" if row else "a dataset of real images",
    )


def recorded(dataset: Dataset) -> dict[str, Any]:
    """Settings that all images of the dataset share, as ``dataset.json`` has them."""
    return dict((dataset.info.model_extra or {}).get("sampling") or {})


def settings_of(row: SyntheticRow, facts: Mapping[str, Any], given: SampleSection) -> SampleSection:
    """The sampler's settings as they were.

    Args:
        row: of the image.
        facts: what the row and its dataset recorded beside.
        given: weights and device are taken from here.
    """
    options = {n: facts[n] for n in ("guidance_interval", "guidance_rescale") if n in facts}
    return SampleSection.model_validate(
        {
            "solver": row.solver,
            "steps": row.steps,
            "guidance": facts.get("guidance", row.guidance),
            "spacing": facts.get("spacing", "model"),
            "precision": facts.get("precision", "fp32"),
            "batch": facts.get("batch", 1),
            "weights": given.weights,
            "device": given.device,
            **options,
        }
    )


def _require_weights(row: SyntheticRow, family: Family) -> None:
    if family.weights_sha256 != row.weights_sha256:
        raise SynthError(
            "these are not the weights that made the image",
            where=row.sample_id,
            got=f"weights of SHA-256 {family.weights_sha256[:12]}…",
            expected=f"{row.weights_sha256[:12]}…",
            fix="Give those with --weights: the run may have been trained on since.",
        )


def _generated(
    family: Family,
    dataset: Dataset,
    row: SyntheticRow,
    settings: SampleSection,
    names: Sequence[str],
) -> NDArray[np.uint8]:
    batch = neighbours(dataset, row)
    asked = [_asked(other, names) for other in batch]
    made = BatchMaker(family, settings, size=row.width)(asked)
    place = batch.index(row)
    if not made.finite[place]:
        require_finite(made)
    return np.asarray(made.image_u8[place, 0].numpy())


def _asked(row: SyntheticRow, names: Sequence[str]) -> Asked:
    conditions = (row.model_extra or {}).get("conditions") or {}
    return Asked(row.text_used, row.seed, codes_of(conditions, names), row.guidance)


def neighbours(dataset: Dataset, row: SyntheticRow) -> list[SyntheticRow]:
    """The images of the batch that made a row's, in order; the row alone where they are not there.

    An image that was made again with another seed was made alone.
    """
    extra = row.model_extra or {}
    if row.attempt > 0:
        return [row]
    place = dataset.rows.index(row)
    start = place - int(extra.get("batch_index", 0))
    batch = [
        other
        for other in dataset.rows[max(start, 0) : max(start, 0) + int(extra.get("batch", 1))]
        if isinstance(other, SyntheticRow)
    ]
    places = [
        i if other.attempt else (other.model_extra or {}).get("batch_index")
        for i, other in enumerate(batch)
    ]
    return batch if row in batch and places == list(range(len(batch))) else [row]


def _source_of(
    row: SyntheticRow, facts: Mapping[str, Any], config: Config, source: Path | None
) -> Path:
    """The real image's file.

    Raises:
        SynthError: it is not there, or not the one that was edited.
    """
    if source is None and facts.get("source_sample_id"):
        dataset = open_dataset(config.data.dataset)
        found: list[Row] = [r for r in dataset.rows if r.sample_id == facts["source_sample_id"]]
        source = dataset.path(found[0]) if found else None
    if source is None or not source.is_file():
        raise SynthError(
            "the real image that was edited is not there",
            where=row.sample_id,
            got=str(source) if source else "no source",
            expected=str(facts.get("source_sample_id") or row.source),
            fix="Give it with --source FILE.",
        )
    if sha256_file(source) != facts["source_sha256"]:
        raise SynthError(
            "this is not the real image that was edited",
            where=source,
            got=f"SHA-256 {sha256_file(source)[:12]}…",
            expected=f"{facts['source_sha256'][:12]}…",
            fix="Give the right one with --source FILE.",
        )
    return source


def _edited(
    family: Family,
    dataset: Dataset,
    row: SyntheticRow,
    facts: Mapping[str, Any],
    source: Path,
    settings: SampleSection,
    names: Sequence[str],
) -> NDArray[np.uint8]:
    mask = load_grey(dataset.folder / facts["mask"]) > 0.5 if facts.get("mask") else None
    image_u8 = grey_to_u8(fit_square(load_grey(source), row.width))
    codes = codes_of(facts.get("conditions") or {}, names)
    edit = Edit(image_u8, row.text_used, float(facts["strength"]), mask, codes)
    made = next(edit_batches(family, edit, seeds=[row.seed] * settings.batch, settings=settings))
    require_finite(made)
    return np.asarray(made.image_u8[0, 0].numpy())
