"""Edited images on disk: rows that name their source, and what describes the whole folder."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sample.edit import Edit
from sample.edit_source import Original
from sample.folder import TABLE
from sample.generate import Batch
from sample.identity import Identity
from sample.write import MARK, write_previews
from synth.data.card import source_table
from synth.errors import SynthError
from synth.images import save_png
from synth.manifest import (
    NO_FINDING,
    DatasetInfo,
    SyntheticRow,
    append_jsonl,
    read_info,
    read_jsonl,
    sha256_text,
    write_bytes,
    write_json,
    write_sha256sums,
)
from synth.provenance import versions

_OPTIONS = ("guidance_interval", "guidance_rescale", "spacing")

_CARD = """\
---
pretty_name: {name}
tags: [synthetic, medical, image]
configs:
- config_name: default
  data_files:
  - split: train
    path:
    - metadata.jsonl
    - images/**
---

# {name}: edited images

**Every image in this folder is SYNTHETIC in part: a model changed a real image as a text says.**
What it did not change still shows the patient of the source: handle the folder as you handle the
real images, and keep each row in the split it names, which is its source's. Each PNG says that it
is synthetic (iTXt `Synthetic=YES`), and so does each row of `metadata.jsonl`.

{images} images of {size}×{size} pixels. A row names its source (`source_sample_id`,
`source_sha256`), the text (`text_used`), `strength`, and the file of the region (`mask`), outside
of which the source's pixels stand unchanged. Its labels are the source's with what the text or the
user says instead; they are *asked for*, not read off the image. Not for diagnosis.

{sources}## Terms of use

{terms}
"""


def require_edited(folder: Path) -> None:
    """Refuse a folder that is neither new nor one of edited images.

    Raises:
        SynthError: it holds something else.
    """
    if folder.is_dir() and any(path.name != ".lock" for path in folder.iterdir()):
        info = read_info(folder)
        if not (info.model_extra or {}).get("edited"):
            raise SynthError(
                "the folder is in use by something else, and nothing is overwritten",
                where=folder,
                expected="a new or empty folder, or one that `synth edit` wrote",
                fix="Give another --out.",
            )


def mask_sha256(mask: NDArray[np.bool_] | None) -> str | None:
    """Digest of a region, 0 and 1 as bytes, row by row; None where there is none."""
    return None if mask is None else hashlib.sha256(mask.astype(np.uint8).tobytes()).hexdigest()


def save_mask(folder: Path, mask: NDArray[np.bool_] | None) -> str | None:
    """Write a region into the dataset, white where it is; return its file's name."""
    if mask is None:
        return None
    name = f"masks/{(mask_sha256(mask) or '')[:16]}.png"
    save_png(folder / name, mask.astype(np.uint8) * 255)
    return name


class EditWriter:
    """Writes variants into a folder of edited images, leaving alone what is there already.

    Args:
        folder: the dataset.
        shared: the parts of a row that all variants have in common.
    """

    def __init__(self, folder: Path, shared: Mapping[str, Any]) -> None:
        self._folder, self._shared = folder, dict(shared)
        there = table_rows(folder)
        self.there = frozenset(str(row.get("sample_id")) for row in there)
        self._seen = {row.get("pixel_sha256") for row in there}

    def write(self, batch: Batch, ids: Sequence[str], seeds: Sequence[int]) -> list[SyntheticRow]:
        """Write the images of a batch, then append their rows; return the rows written.

        Args:
            batch: the variants.
            ids: the sample_id of each.
            seeds: the seed of each.
        """
        rows = [
            self._write_image(batch, place, sample_id, seeds[place])
            for place, sample_id in enumerate(ids)
            if sample_id not in self.there
        ]
        append_jsonl(self._folder / TABLE, rows)
        return rows

    def _write_image(self, batch: Batch, place: int, sample_id: str, seed: int) -> SyntheticRow:
        grey: NDArray[np.uint8] = batch.image_u8[place, 0].numpy()
        name = f"images/{sample_id}.png"
        content = save_png(self._folder / name, grey, text=MARK | {"SampleID": sample_id})
        pixel_sha256 = hashlib.sha256(grey.tobytes()).hexdigest()
        filters = {
            "finite": batch.finite[place],
            "not_constant": not batch.constant[place],
            "not_duplicate": pixel_sha256 not in self._seen,
        }
        self._seen.add(pixel_sha256)
        own = {
            "file_name": name,
            "sample_id": sample_id,
            "seed": seed,
            "width": grey.shape[1],
            "height": grey.shape[0],
            "sha256": hashlib.sha256(content).hexdigest(),
            "pixel_sha256": pixel_sha256,
            "batch_index": place,
            "filters": filters,
        }
        return SyntheticRow.model_validate(own | self._shared)


def shared_facts(identity: Identity, original: Original, edit: Edit) -> dict[str, Any]:
    """What all variants of an edit share; patient and split are the source's."""
    row = original.row
    kept = ("split", "patient_id", "study_id", "view", "sex", "age_band")
    options = identity.to_json()
    return {
        **({name: getattr(row, name) for name in kept} if row else {"split": "train"}),
        "text": edit.prompt,
        "text_used": edit.prompt,
        "prompt_hash": sha256_text(edit.prompt),
        "source": f"edited from {original.name}",
        "source_sample_id": row.sample_id if row else None,
        "source_sha256": original.sha256,
        "strength": edit.strength,
        "mask_sha256": mask_sha256(edit.mask),
        "weights_sha256": identity.weights_sha256,
        "config_sha256": identity.config_sha256,
        **{name: options[name] for name in ("solver", "steps", "guidance", "precision")},
        **{name: options[name] for name in _OPTIONS if name in options},
    }


def table_rows(folder: Path) -> list[dict[str, Any]]:
    """The rows of the folder as they are; none where it is new."""
    table = folder / TABLE
    return list(read_jsonl(table)) if table.is_file() else []


def unfinished(folder: Path) -> bool:
    """Whether rows were written that ``finish_folder`` has not yet described."""
    counted = read_info(folder).counts.get("images")
    return counted != len(table_rows(folder)) or not (folder / "SHA256SUMS").is_file()


def finish_folder(folder: Path, info: DatasetInfo, *, size: int, previews: int) -> None:
    """Write everything that describes the whole folder, hashes last.

    Args:
        folder: the dataset.
        info: that of the dataset that the latest source comes from: its terms are added.
        size: side of the images in pixels.
        previews: images on the sheet, the latest ones.
    """
    rows = table_rows(folder)
    before = read_info(folder)
    terms = list(dict.fromkeys([*before.terms, *info.terms]))
    sources = {source.name: source for source in [*before.sources, *info.sources]}
    made = DatasetInfo.model_validate(
        {
            "name": folder.resolve().name,
            "synthetic": True,
            "phantom": info.phantom and (before.phantom or not before.counts),
            "size": size,
            "counts": {"images": len(rows)},
            "findings": sorted({name for row in rows for name in row["labels"]} - {NO_FINDING}),
            "terms": terms,
            "sources": list(sources.values()),
            "versions": versions(),
            "edited": True,
        }
    )
    write_json(folder / "dataset.json", made)
    latest = [SyntheticRow.model_validate(row) for row in rows[-previews:]]
    write_previews(folder, latest, previews)
    text = _CARD.format(
        name=made.name,
        images=len(rows),
        size=size,
        sources=f"## Sources\n\n{source_table(made.sources)}\n\n" if made.sources else "",
        terms="\n".join(f"- {term}" for term in terms) or "None were recorded with the data.",
    )
    write_bytes(folder / "README.md", text.encode())
    write_sha256sums(folder)
