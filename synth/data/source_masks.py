"""Masks in a source: files that tables name as masks are not images of patients."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

from synth.data.importers.streams import read_head, stream
from synth.data.inputs import Input, Inputs
from synth.errors import SynthError
from synth.masks import COLUMN

CODE = "mask"


def set_masks_aside(inputs: Inputs) -> Inputs:
    """Mark as skipped what the column ``mask_file_name`` of any table names.

    Names are relative to the table, as in Hugging Face's ImageFolder, or to the source. Without
    this a mask would be refused as an image without a report, and, where it has its image's name,
    keep the image's own report from being found by that name.
    """
    named = {name for item in inputs.of("table") for name in _named(item)}
    if not named:
        return inputs
    files = tuple(
        replace(item, kind="skipped", code=CODE)
        if item.name in named and item.kind in ("raster", "unsupported", "unreadable")
        else item
        for item in inputs.files
    )
    return Inputs(inputs.source, files)


def _named(table: Input) -> set[str]:
    found: set[str] = set()
    try:
        head = read_head(table.path, table.name)
        if not head.has(COLUMN):
            return found
        for _, row in stream(table.path):
            cell = row.get(COLUMN, "").strip().replace("\\", "/").removeprefix("./")
            if cell:
                found |= {cell, (PurePosixPath(table.name).parent / cell).as_posix()}
    except SynthError:  # said when the table is read; the rows above the break count
        return found
    return found
