"""Pixels that are not square are made so; anatomy must not be squashed.

PixelSpacing and ImagerPixelSpacing are the distances between rows, then between columns (PS3.3
10.7.1.3); PixelAspectRatio is vertical to horizontal (C.7.6.3.1.7).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset

from synth.dicom.header import numbers

_SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
_SQUARE = 0.01  # deviations below 1 % are rounding
_PLAUSIBLE = 4.0


def has_spacing(dataset: Dataset) -> bool:
    """Whether the header gives a distance between pixels."""
    return any(_pair(dataset, name) for name in _SPACINGS)


def pixel_aspect(dataset: Dataset) -> float:
    """Height of a pixel over its width; 1 where nothing plausible is stated."""
    for name in (*_SPACINGS, "PixelAspectRatio"):
        pair = _pair(dataset, name)
        if pair:
            aspect = pair[0] / pair[1]
            plausible = 1 / _PLAUSIBLE <= aspect <= _PLAUSIBLE
            return aspect if plausible and abs(aspect - 1) > _SQUARE else 1.0
    return 1.0


def _pair(dataset: Dataset, name: str) -> tuple[float, float] | None:
    pair = numbers(dataset, name)
    return (pair[0], pair[1]) if len(pair) == 2 and min(pair) > 0 else None


def make_square(
    grey: NDArray[np.float32], aspect: float, *, most: int
) -> tuple[NDArray[np.float32], str]:
    """Resample [H, W] so that its pixels are square, and say how.

    The coarser direction is refined, so nothing is lost; where that gives more than ``most`` pixels
    the finer one is reduced instead.
    """
    height, width = grey.shape
    if aspect == 1.0:
        return grey, "kept"
    tall = (round(height * aspect), width) if aspect > 1 else (height, round(width / aspect))
    if tall[0] * tall[1] > most:
        tall = (height, round(width / aspect)) if aspect > 1 else (round(height * aspect), width)
    rows, columns = max(tall[0], 1), max(tall[1], 1)
    resized = Image.fromarray(grey).resize((columns, rows), Image.Resampling.BICUBIC)
    square = np.clip(np.asarray(resized, dtype=np.float32), 0.0, 1.0)
    return square, f"resampled from {height} x {width}: pixel aspect {aspect:.4g}"
