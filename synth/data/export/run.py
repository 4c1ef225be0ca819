"""A dataset out: any format, with card, Croissant description, terms and checksums. Resumable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from synth.data.export import FORMATS
from synth.data.export.card import card
from synth.data.export.collection import Collection, collect
from synth.data.export.croissant import NAME as CROISSANT
from synth.data.export.croissant import describe
from synth.data.export.folder import INFO, Folder, claimed, refuse_existing
from synth.data.export.layout import Layout, Options, Write
from synth.data.splits import SPLITS
from synth.data.writing import resumable
from synth.errors import UsageError
from synth.manifest import (
    NO_FINDING,
    DatasetInfo,
    Split,
    sha256_file,
    sha256_text,
    write_bytes,
    write_json,
    write_sha256sums,
)
from synth.progress import Progress, Silent
from synth.provenance import project_version, versions

TITLES = {
    "imagefolder": "Hugging Face ImageFolder",
    "parquet": "Parquet",
    "webdataset": "WebDataset",
    "monai": "MONAI datalist",
    "chexpert": "CheXpert layout",
    "dicom": "DICOM",
}


@dataclass(frozen=True)
class ExportSummary:
    """What ``export_dataset`` did.

    Attributes:
        out: the folder.
        format: name of the format.
        images: in the export.
        synthetic: of them.
        splits: images a split.
        written: files written now.
        kept: files found whole from an earlier run.
        weight: of a synthetic training image.
        redistribution: whether the terms let it be passed on.
        commercial: whether they allow commercial use.
        terms: all conditions.
    """

    out: Path
    format: str
    images: int
    synthetic: int
    splits: dict[str, int]
    written: int
    kept: int
    weight: float
    redistribution: bool
    commercial: bool
    terms: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self) | {"out": str(self.out)}


def export_dataset(
    dataset: Path,
    out: Path,
    *,
    to: str,
    merge: Path | None = None,
    splits: Sequence[Split] = SPLITS,
    weight: float | str = 1.0,
    local_use: bool = False,
    options: Options | None = None,
    progress: Progress | None = None,
) -> ExportSummary:
    """Write a dataset in another layout.

    ``out`` appears in one step, finished: until then the files lie beside it in ``.<out>.partial``,
    and the same call again continues there.

    Args:
        dataset: a prepared or synthetic dataset.
        out: a folder that does not exist yet.
        to: a name of :data:`synth.data.export.FORMATS`.
        merge: another dataset whose images come along, for augmentation.
        splits: those to export.
        weight: of a synthetic image, or ``equal``.
        local_use: states that the export stays with those bound by the terms.
        options: of single formats.
        progress: told what happens; silent by default.

    Raises:
        UsageError: the format is unknown, the terms forbid the export, or the request makes no
            sense for it.
        SynthError: a dataset or an image is unreadable, ``out`` exists, or another export to it was
            stopped.
        Unavailable: the format needs a package that is not installed.
    """
    progress, options = progress or Silent(), options or Options()
    if options.shard < 1:
        raise UsageError("a shard needs at least one image", where="--shard-size")
    write: Write = FORMATS.get(to)
    refuse_existing(out)  # before anything is read
    chosen = tuple(split for split in SPLITS if split in splits)
    collection = collect(
        dataset,
        name=out.name,
        merge=merge,
        splits=chosen,
        weight=weight,
        local_use=local_use,
    )
    _check_apart(out, collection)
    for note in _notes(collection):
        progress.note(note)
    info = _info(collection, to, options, chosen)
    with resumable(out), claimed(out, info) as folder:
        layout = _write(write, collection, folder, options, progress, TITLES[to])
        for note in layout.notes:
            progress.note(note)
        _finish(collection, folder, layout, info, TITLES[to])
        folder.publish(out)
    return _summary(collection, folder, out, to)


def _check_apart(out: Path, collection: Collection) -> None:
    for dataset in collection.datasets:
        ours, theirs = out.resolve(), dataset.folder.resolve()
        if ours == theirs or theirs in ours.parents or ours in theirs.parents:
            raise UsageError(
                "the export must not lie inside a dataset, nor a dataset inside it",
                where=out,
                fix="Choose a folder elsewhere.",
            )


def _notes(collection: Collection) -> list[str]:
    notes = []
    sizes = {(item.row.width, item.row.height) for item in collection.items}
    if len(sizes) > 1:
        shown = ", ".join(f"{width}×{height}" for width, height in sorted(sizes)[:4])
        notes.append(f"the images have {len(sizes)} sizes: {shown}")
    if not collection.terms.recorded:
        notes.append("no terms of use were recorded with the data: make sure that you may use them")
    if len({dataset.info.phantom for dataset in collection.datasets}) > 1:
        notes.append("phantom images and images of patients are merged")
    return notes


def _write(
    write: Write,
    collection: Collection,
    folder: Folder,
    options: Options,
    progress: Progress,
    title: str,
) -> Layout:
    total, done = len(collection.items), 0
    progress.stage(f"writing {total} images as {title}")

    def tick() -> None:
        nonlocal done
        done += 1
        progress.update(done, total)

    return write(collection, folder, options, tick)


def _finish(
    collection: Collection, folder: Folder, layout: Layout, info: dict[str, Any], title: str
) -> None:
    """Card, description, facts, checksums; the last one ends the export."""
    out = folder.path
    if (out / "SHA256SUMS").is_file():
        return
    write_bytes(out / "README.md", card(collection, layout, title).encode())
    write_json(out / CROISSANT, describe(collection, layout, out))
    write_json(out / INFO, info | {"complete": True})
    write_sha256sums(out)


def _info(
    collection: Collection, to: str, options: Options, splits: Sequence[Split]
) -> dict[str, Any]:
    """``dataset.json``: facts about the data, and what export the folder is."""
    present = {
        name for item in collection.items for name, value in item.row.labels.items() if value == 1
    }
    counts = Counter(item.row.split for item in collection.items)
    sizes = {item.row.width for item in collection.items}
    info = DatasetInfo(
        name=collection.name,
        synthetic=collection.synthetic == len(collection.items),
        phantom=collection.phantom,
        size=sizes.pop() if len(sizes) == 1 else 0,
        counts={
            "images": len(collection.items),
            "synthetic": collection.synthetic,
            **{split: counts[split] for split in SPLITS if counts[split]},
        },
        findings=sorted(present - {NO_FINDING}),
        terms=list(collection.terms.lines),
        sources=list(collection.terms.sources),
        versions=versions(),
    )
    made_of = [_made_of(dataset.folder) for dataset in collection.datasets]
    export = {
        "format": to,
        "of": " + ".join(dataset.info.name for dataset in collection.datasets),
        "splits": list(splits),
        "options": asdict(options),
        "weight": _weight(collection),
        "redistribution": collection.terms.redistribution,
        "commercial": collection.terms.commercial,
        "local_use": collection.terms.local_use,
        "datasets": made_of,
        "version": project_version(),
    }
    export["identity"] = sha256_text(repr(sorted(export.items(), key=lambda pair: pair[0])))
    facts = {**info.model_dump(mode="json"), "export": export, "complete": False}
    facts["made_from"] = [
        {"name": dataset.info.name, **(dataset.info.model_extra or {})}
        for dataset in collection.datasets
    ]
    return facts


def _made_of(folder: Path) -> dict[str, str]:
    tables = ("metadata.jsonl", "dataset.json")
    return {name: sha256_file(folder / name) for name in tables if (folder / name).is_file()}


def _weight(collection: Collection) -> float:
    return next((item.weight for item in collection.items if item.row.synthetic), 1.0)


def _summary(collection: Collection, folder: Folder, out: Path, to: str) -> ExportSummary:
    terms = collection.terms
    return ExportSummary(
        out=out,
        format=to,
        images=len(collection.items),
        synthetic=collection.synthetic,
        splits={split: len(items) for split, items in collection.splits.items()},
        written=folder.written,
        kept=folder.kept,
        weight=_weight(collection),
        redistribution=terms.redistribution,
        commercial=terms.commercial,
        terms=terms.lines,
    )
