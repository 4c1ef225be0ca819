"""Masks: what of an image is a lesion or an organ, in a file beside the image.

A row may name one in ``mask_file_name``, relative to the dataset as ``file_name`` is; Hugging
Face's ImageFolder then shows it as a column ``mask``. The file is a PNG of one channel and the
image's size: 0 is outside, everything above 0 is inside. A file without any inside says that there
is nothing to mark; a row without the column says nothing.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from synth.errors import SynthError
from synth.manifest import Row

COLUMN = "mask_file_name"
_MODES = ("1", "L", "I;16", "I")  # Pillow's names of one channel without a palette


def mask_name(row: Row) -> str | None:
    """The mask that a row names, relative to the dataset; None where it names none.

    Raises:
        SynthError: what it names is no text.
    """
    name = (row.model_extra or {}).get(COLUMN)
    if name in (None, ""):
        return None
    if not isinstance(name, str):
        raise SynthError(f"`{COLUMN}` is not a file name", where=row.sample_id, got=name)
    return name


def mask_path(folder: Path, name: str) -> Path:
    """Where a mask lies.

    Raises:
        SynthError: outside the dataset, or missing.
    """
    inside = PurePosixPath(name)
    if inside.is_absolute() or ".." in inside.parts:
        raise SynthError("the mask lies outside the dataset", where=name)
    if not (folder / inside).is_file():
        raise SynthError("the mask is missing", where=name)
    return folder / inside


def read_mask(path: Path, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Read a mask.

    Args:
        path: the PNG.
        size: width and height of its image in pixels.

    Returns:
        bool [height, width], True inside.

    Raises:
        SynthError: not a PNG of one channel, of another size than its image, or inside everywhere,
            which is a mask the wrong way round.
    """
    try:
        with Image.open(path) as image:
            image.load()
            kind, mode, found = image.format, image.mode, image.size
            levels = np.asarray(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise SynthError("the mask cannot be decoded", where=path, got=error) from None
    if kind != "PNG":
        raise SynthError("the mask is not a PNG", where=path, got=kind, fix="Compression moves it.")
    if mode not in _MODES:
        raise SynthError(
            "the mask has not one channel", where=path, got=mode, expected="grey levels"
        )
    if found != size:
        raise SynthError(
            "the mask is not of its image's size",
            where=path,
            got=f"{found[0]}×{found[1]}",
            expected=f"{size[0]}×{size[1]}",
        )
    inside = levels > 0
    if inside.all():
        raise SynthError(
            "the mask has no outside", where=path, got="no level 0", expected="0 outside, >0 inside"
        )
    return np.asarray(inside, dtype=np.bool_)
