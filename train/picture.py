"""Pairs on one sheet: every image, what the latents keep of it, and its text as it is cut."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from synth.images import save_png
from train.pairs import Pair

COLUMNS = 5
_CELL = 256  # pixels of an image on the sheet, at least
_GAP = 12
_FONT = 13
_LINE = 17
_PAPER, _INK, _PALE = 255, 0, 150


def write_sheet(
    path: Path,
    pairs: Sequence[Pair],
    images: NDArray[np.uint8],
    decoded: NDArray[np.uint8] | None,
) -> None:
    """Write the sheet as a grey PNG.

    Args:
        path: where to.
        pairs: in order.
        images: [N, H, W], as they are encoded.
        decoded: the same, encoded and decoded again, drawn below each image; None leaves it out.
    """
    zoom = max(1, -(-_CELL // images.shape[-1]))
    stacked = images if decoded is None else np.concatenate([images, decoded], axis=1)
    stacked = stacked.repeat(zoom, axis=1).repeat(zoom, axis=2)
    width = stacked.shape[2]
    font = ImageFont.load_default(_FONT)
    texts = [_lines(index, pair, width) for index, pair in enumerate(pairs, start=1)]
    columns = min(COLUMNS, len(pairs))
    bands = [range(i, min(i + columns, len(pairs))) for i in range(0, len(pairs), columns)]
    heights = [stacked.shape[1] + _LINE * (1 + max(len(texts[i]) for i in band)) for band in bands]
    sheet = Image.new(
        "L",
        (columns * (width + _GAP) + _GAP, _LINE + sum(heights) + _GAP * (len(bands) + 2)),
        _PAPER,
    )
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP, _GAP), _legend(decoded is not None, width, columns), fill=_INK, font=font)
    top = 2 * _GAP + _LINE
    for band, height in zip(bands, heights, strict=True):
        for column, index in enumerate(band):
            left = _GAP + column * (width + _GAP)
            sheet.paste(Image.fromarray(stacked[index]), (left, top))
            for number, (line, ink) in enumerate(texts[index]):
                place = (left, top + stacked.shape[1] + 6 + number * _LINE)
                draw.text(place, line, fill=ink, font=font)
        top += height + _GAP
    save_png(path, np.asarray(sheet))


def _legend(decoded: bool, width: int, columns: int) -> str:
    """As much as the sheet is wide enough for."""
    below = "below what its latents keep, then " if decoded else "below "
    words = f"Above the image as it is encoded, {below}what the model reads; pale: cut, never read"
    return textwrap.shorten(words, max(8, int(columns * width / (0.52 * _FONT))), placeholder=" …")


def _lines(index: int, pair: Pair, width: int) -> list[tuple[str, int]]:
    """Lines of a cell and their ink; what is cut is pale."""
    letters = max(16, int(width / (0.52 * _FONT)))
    lines = [(f"{index}  {pair.row.sample_id}", _INK)]
    lines += [(line, _INK) for line in textwrap.wrap(pair.text, letters)]
    lines += [
        (line, _PALE) for line in textwrap.wrap(f"[cut: {pair.cut}]" * bool(pair.cut), letters)
    ]
    facts = ", ".join(f"{name} {value}" for name, value in pair.conditions.items())
    labels = f"labels: {', '.join(pair.findings) or 'none present'}"
    return lines + [
        (line, _INK) for said in (facts, labels) for line in textwrap.wrap(said, letters)
    ]
