"""What a person sees first in a prepared dataset: its card and a sheet of thumbnails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth.images import fit_square, grey_to_u8, grid, load_grey, save_png
from synth.manifest import DatasetInfo, write_bytes

_SHEET_COLUMNS = 8
_SHEET_SIDE = 96  # pixels of one thumbnail


def write_card(folder: Path, info: DatasetInfo, table: Mapping[str, Mapping[str, int]]) -> None:
    """Write ``README.md``.

    Args:
        folder: the dataset.
        info: its facts.
        table: finding -> images present, absent, uncertain, not stated.
    """
    counts = info.counts
    lines = [
        "---",
        f"pretty_name: {info.name}",
        "tags: [medical, radiology, image-text]",
        "---",
        "",
        f"# {info.name}",
        "",
    ]
    if info.phantom:
        lines += [
            "**Phantom data: computed images, not patients. No clinical realism claimed.**",
            "",
        ]
    lines += [
        f"{counts['images']} images of {info.size} x {info.size} pixels from {counts['patients']} "
        f"patients: {counts['train']} train, {counts['val']} val, {counts['test']} test, "
        "no patient in two splits.",
        "",
        "| finding | present | absent | uncertain | not stated |",
        "|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {name} | {row['present']} | {row['absent']} | {row['uncertain']} | {row['unstated']} |"
        for name, row in table.items()
    ]
    lines += [
        "",
        "Labels: 1 present, 0 absent, -1 uncertain, null not stated. Patient, study and sample ids "
        "are pseudonyms.",
        "",
        "```python",
        "from datasets import load_dataset",
        'images = load_dataset("imagefolder", data_dir="...", split="train")',
        "train = images.filter(lambda row: row['split'] == 'train')",
        "```",
        "",
        "`quarantine.jsonl` lists refused inputs by their path in the source, which may name "
        "patients: it is not covered by `SHA256SUMS` and does not belong in a published copy.",
        "",
        "## Terms of use",
        "",
        *(info.terms or ["None were given with the source."]),
        "",
    ]
    write_bytes(folder / "README.md", "\n".join(lines).encode())


def label_table(
    rows: Sequence[Mapping[str, Any]], findings: Sequence[str]
) -> dict[str, dict[str, int]]:
    """Count label values a finding."""
    names = {1: "present", 0: "absent", -1: "uncertain", None: "unstated"}
    table: dict[str, dict[str, int]] = {}
    for finding in findings:
        values = [row["labels"].get(finding) for row in rows]
        table[finding] = {name: values.count(value) for value, name in names.items()}
    return table


def write_thumbnails(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write ``thumbnails.png``: one strip of images a split, in row order."""
    blank = np.full((_SHEET_SIDE, _SHEET_SIDE), 128, dtype=np.uint8)
    strips: list[NDArray[np.uint8]] = []
    for split in ("train", "val", "test"):
        chosen = [row for row in rows if row["split"] == split][:_SHEET_COLUMNS]
        if chosen:
            strips += [_thumbnail(folder / row["file_name"]) for row in chosen]
            strips += [blank] * (_SHEET_COLUMNS - len(chosen))
    save_png(folder / "thumbnails.png", grid(np.stack(strips), _SHEET_COLUMNS))


def _thumbnail(path: Path) -> NDArray[np.uint8]:
    return grey_to_u8(fit_square(load_grey(path), _SHEET_SIDE))
