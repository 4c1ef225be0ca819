"""Encoded bytes -> float grey levels, by a declared range, losing nothing on the way.

8-bit files divide by 255. Deeper integers divide by the declared white, 65535 where none is
declared: Pillow's own conversion to 8 bits would clip them to white. A level above the declared
white is an error, because clipping would hide a wrong declaration. DICOM goes through
``synth.dicom``: VOI, and polarity exactly once.
"""

from __future__ import annotations

import io
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from synth.dicom import Preset, read_grey
from synth.errors import SynthError, UsageError

_DICOM = (".dcm", ".dicom", ".ima")
_DEEP = ("I", "F")  # first letter of Pillow's modes beyond 8 bits
_WHITE = 65535.0


@dataclass(frozen=True)
class Reading:
    """How files become grey levels; part of every score's protocol.

    Attributes:
        white: the level that is white in files deeper than 8 bits, such as 4095 for 12 bits; None
            is 65535. Files of floating-point numbers need it.
        preset: what maps DICOM levels to grey: a name of ``synth.dicom.PRESETS``.
    """

    white: float | None = None
    preset: Preset = "dicom-voi"

    def __post_init__(self) -> None:
        if self.white is not None and not 0 < self.white < float("inf"):
            raise UsageError("white must be a positive level", got=self.white, expected="e.g. 4095")

    @property
    def words(self) -> str:
        """``white 65535, DICOM by dicom-voi``."""
        return f"white {self.white or _WHITE:g}, DICOM by {self.preset}"


DECLARED_BY_FILES = Reading()  # 65535 is white, DICOM through its VOI


def grey_of(
    content: bytes, name: str, reading: Reading, *, path: Path | None = None
) -> NDArray[np.float32]:
    """Decode an image file.

    Args:
        content: the file.
        name: for messages, and to know DICOM without a preamble by its suffix.
        reading: the declared range.
        path: the file on disk, where there is one: large DICOM files are then read in place.

    Returns:
        float32 [H, W] in [0, 1].

    Raises:
        SynthError: damaged, of an unknown kind, or beyond the declared range.
    """
    if content[128:132] == b"DICM" or Path(name).suffix.lower() in _DICOM:
        return _dicom(content, reading, path)
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.mode.startswith(_DEEP):
                return _deep(np.asarray(image), image.mode, name, reading)
            grey = image if image.mode == "L" else image.convert("L")
            return np.asarray(grey, dtype=np.float32) / 255.0
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise SynthError("not a readable image", where=name, got=_reason(error)) from None


def _reason(error: Exception) -> str:
    """Pillow's words, without the address of the bytes it was given."""
    return str(error).split(" <_io.")[0]


def _dicom(content: bytes, reading: Reading, path: Path | None) -> NDArray[np.float32]:
    if path is not None:
        return read_grey(path, preset=reading.preset).grey
    with tempfile.TemporaryDirectory() as folder:
        unpacked = Path(folder, "image.dcm")
        unpacked.write_bytes(content)
        return read_grey(unpacked, preset=reading.preset).grey


def _deep(
    levels: NDArray[np.generic], mode: str, name: str, reading: Reading
) -> NDArray[np.float32]:
    if mode == "F" and reading.white is None:
        raise SynthError(
            "floating-point pixels have no range of their own",
            where=name,
            fix="Declare the level that is white: --white 1.0.",
        )
    white = reading.white or _WHITE
    values = levels.astype(np.float64)
    if not np.isfinite(values).all():
        raise SynthError("pixels that are not a number, or infinite", where=name)
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > white:
        raise SynthError(
            "levels beyond the declared range",
            where=name,
            got=f"{low:g} to {high:g}",
            expected=f"0 to {white:g}",
            fix="Declare the level that is white with --white.",
        )
    return (values / white).astype(np.float32)
