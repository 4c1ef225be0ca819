"""Rejected images on one sheet, with their reasons: a filter is only believed once it is seen."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sample.filters.record import rejected_attempts
from synth.images import grey_to_u8, load_grey, save_png
from synth.manifest import SyntheticRow

SHEET = "rejected.png"
MOST = 24
_SIDE, _GAP, _COLUMNS = 192, 8, 6
_LINE, _LINES, _WIDE = 12, 11, 34  # pixels a line, lines a caption, letters a line


@dataclass(frozen=True)
class Example:
    """One rejected image: where its file is, of what, which filters it failed and why."""

    file_name: str
    title: str
    failed: tuple[str, ...]
    reasons: tuple[str, ...]


def examples(rows: Sequence[SyntheticRow], most: int = MOST) -> list[Example]:
    """Rejected images whose files are kept: each filter in turn, in the order of the plan."""
    found = [example for row in rows for example in _of(row)]
    by_filter: dict[str, list[Example]] = {}
    for example in found:
        by_filter.setdefault(example.failed[0], []).append(example)
    chosen: list[Example] = []
    for turn in range(most):
        for name in sorted(by_filter):
            if turn < len(by_filter[name]) and len(chosen) < most:
                chosen.append(by_filter[name][turn])
    return chosen


def write_sheet(folder: Path, rows: Sequence[SyntheticRow], *, mark: dict[str, str]) -> None:
    """Write ``rejected.png``; where nothing was rejected there is none.

    Args:
        folder: the dataset.
        rows: all of its rows, in the order of the plan.
        mark: texts that travel inside the file.
    """
    shown = [one for one in examples(rows) if (folder / one.file_name).is_file()]
    if not shown:
        (folder / SHEET).unlink(missing_ok=True)  # of an earlier state of the same dataset
        return
    tiles = [_tile(folder, example) for example in shown]
    columns = min(_COLUMNS, len(tiles))
    height, width = tiles[0].shape
    lines = -(-len(tiles) // columns)
    sheet = np.full((lines * (height + _GAP), columns * (width + _GAP)), 255, dtype=np.uint8)
    for index, tile in enumerate(tiles):
        top, left = index // columns * (height + _GAP), index % columns * (width + _GAP)
        sheet[top : top + height, left : left + width] = tile
    save_png(folder / SHEET, sheet, text=mark)


def _of(row: SyntheticRow) -> list[Example]:
    """The rejected images of a row, attempts that another replaced first."""
    asked = ", ".join(name.replace("_", " ") for name, value in row.labels.items() if value == 1)
    found = [
        Example(
            one["file_name"],
            f"{row.sample_id} attempt {one['attempt']}: {asked or 'no finding'}",
            tuple(one["failed"]),
            tuple(one["reasons"]),
        )
        for one in rejected_attempts(row)
        if one.get("file_name")
    ]
    failed = tuple(name for name, good in row.filters.items() if not good)
    if failed:
        because = tuple((row.model_extra or {}).get("rejected_because") or failed)
        title = f"{row.sample_id} attempt {row.attempt}, in the dataset: {asked or 'no finding'}"
        found.append(Example(row.file_name, title, failed, because))
    return found


def _tile(folder: Path, example: Example) -> NDArray[np.uint8]:
    grey = Image.fromarray(grey_to_u8(load_grey(folder / example.file_name)))
    tile = Image.new("L", (_SIDE, _SIDE + _LINES * _LINE + 4), 255)
    tile.paste(grey.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC), (0, 0))
    lines = textwrap.wrap(example.title, _WIDE)
    for reason in example.reasons:
        lines += textwrap.wrap("- " + reason, _WIDE, subsequent_indent="  ")
    if len(lines) > _LINES:
        lines = [*lines[: _LINES - 1], "  …"]
    font = ImageFont.load_default(10)
    draw = ImageDraw.Draw(tile)
    for number, line in enumerate(lines):
        draw.text((0, _SIDE + 3 + number * _LINE), line, fill=0, font=font)
    return np.asarray(tile, dtype=np.uint8)
