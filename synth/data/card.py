"""What a person sees first in a prepared dataset: its card and a sheet of thumbnails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth.images import fit_square, grey_to_u8, grid, load_grey, save_png
from synth.manifest import DatasetInfo, SourceTerms, write_bytes

_SHEET_COLUMNS = 8
_SHEET_SIDE = 96  # pixels of one thumbnail


def write_card(folder: Path, info: DatasetInfo, table: Mapping[str, Mapping[str, int]]) -> None:
    """Write ``README.md``.

    Args:
        folder: the dataset.
        info: its facts.
        table: finding -> images present, absent, uncertain, not stated.
    """
    lines = [
        "---",
        f"pretty_name: {info.name}",
        "tags: [medical, radiology, image-text]",
        "---",
        "",
    ]
    lines += [f"# {info.name}", ""]
    if info.phantom:
        lines += [
            "**Phantom data: computed images, not patients. No clinical realism claimed.**",
            "",
        ]
    if info.preprocessing.get("keep_raw_text"):
        lines += [
            "**`text_raw` holds reports as they were written, identifiers included: not for "
            "publication.**",
            "",
        ]
    for section in (_contents(info, table), _flags(info), _use(), _terms(info)):
        lines += section
    write_bytes(folder / "README.md", "\n".join(lines).encode())


def _contents(info: DatasetInfo, table: Mapping[str, Mapping[str, int]]) -> list[str]:
    counts = info.counts
    lines = [
        f"{counts['images']} images of {info.size} x {info.size} pixels from {counts['patients']} "
        f"patients: {counts['train']} train, {counts['val']} val, {counts['test']} test, "
        "no patient in two splits.",
        "",
    ]
    if alike := counts.get("near_duplicates"):
        across = counts["near_duplicates_across_splits"]
        lines += [
            f"{alike} pairs of images of different patients look the same, {across} of them in "
            "different splits (`near_duplicates.jsonl`). Nothing was removed.",
            "",
        ]
    lines += [
        "| finding | present | absent | uncertain | not stated |",
        "|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {name} | {row['present']} | {row['absent']} | {row['uncertain']} | {row['unstated']} |"
        for name, row in table.items()
    ]
    return [
        *lines,
        "",
        "Labels: 1 present, 0 absent, -1 uncertain, null not stated. Patient, study and sample ids "
        "are pseudonyms.",
        "",
    ]


def _flags(info: DatasetInfo) -> list[str]:
    if not info.flags:
        return []
    lines = [f"| {flag} | {count} |" for flag, count in info.flags.items()]
    return ["## Warnings", "", "| flag | images |", "|---|---:|", *lines, ""]


def _use() -> list[str]:
    return [
        "```python",
        "from datasets import load_dataset",
        'images = load_dataset("imagefolder", data_dir="...", split="train")',
        "train = images.filter(lambda row: row['split'] == 'train')",
        "```",
        "",
        "`quarantine.jsonl` lists refused inputs by their path in the source, which may name "
        "patients: it is not covered by `SHA256SUMS` and does not belong in a published copy.",
        "",
    ]


def _terms(info: DatasetInfo) -> list[str]:
    table = ["## Sources", "", source_table(info.sources), ""] if info.sources else []
    terms = [f"- {line}" for line in info.terms] or ["None were given with the source."]
    return [*table, "## Terms of use", "", *terms, ""]


def source_table(sources: Sequence[SourceTerms]) -> str:
    """The named sources, their licences and how to cite them, as a Markdown table."""
    lines = [
        "| source | licence | may be passed on | commercial use | cite |",
        "|---|---|---|---|---|",
    ]
    for one in sources:
        title = f"[{one.title}]({one.url})" if one.url else one.title
        rights = (_allowed(one.redistribution), _allowed(one.commercial))
        cells = (title, one.licence, *rights, one.citation)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def _allowed(value: bool) -> str:
    return "yes" if value else "no"


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
