"""Named ways from stored values to grey levels, among them the recipes of public archives.

``dicom-voi``
    What the standard asks for: Modality LUT or rescale, VOI LUT or window, polarity (the default;
    :mod:`synth.dicom.voi`).
``percentile``
    Modality transformation, then the 0.5th to 99.5th percentile, whatever window the header has.
``mimic-cxr-jpg``
    How MIMIC-CXR became MIMIC-CXR-JPG (its author's code, MIT-LCP/mimic-cxr issue 16): stored
    values, minimum to maximum truncated to 8 bits, MONOCHROME1 inverted, histogram equalised.
``chexpert``
    How CheXpert's JPEG files were made (its author's code, stanfordmlgroup/chexpert-labeler issue
    11): OpenCV's convertScaleAbs by 255/maximum with no minimum subtracted, MONOCHROME1 inverted,
    histogram equalised.
``xrv``
    What torchxrayvision reads by default: stored values over the range of the stored bits,
    MONOCHROME1 inverted. Its [-1024, 1024] is [0, 1] here; multiply by 2048 and subtract 1024.

The three recipes use neither rescale nor window nor PresentationLUTShape, keep pixels that are not
square, and take one-channel images only. So files converted here mix with the archives' own JPEG
files without a gap in contrast.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from synth.dicom.refusal import Unreadable

Preset = Literal["dicom-voi", "mimic-cxr-jpg", "chexpert", "xrv", "percentile"]
PRESETS: tuple[Preset, ...] = ("dicom-voi", "mimic-cxr-jpg", "chexpert", "xrv", "percentile")
RECIPES = ("mimic-cxr-jpg", "chexpert", "xrv")  # of archives: no modality, no VOI

Bytes = NDArray[np.uint8]


def apply_recipe(
    preset: Preset,
    stored: NDArray[np.int64],
    counts: NDArray[np.int64],
    *,
    bits_stored: int,
    monochrome1: bool,
) -> tuple[NDArray[np.float64], str]:
    """Levels in [0, 1] by an archive's recipe, and the recipe in words.

    Args:
        preset: one of ``RECIPES``.
        stored: stored values that occur [n].
        counts: pixels of each [n].
        bits_stored: of the header; ``xrv`` scales by it.
        monochrome1: whether the recipe inverts.

    Raises:
        Unreadable: ``flat_image``: the recipe would divide by zero.
    """
    if preset == "xrv":
        top = (1 << bits_stored) - 1
        values = top - stored if monochrome1 else stored
        return np.clip(values / top, 0.0, 1.0), f"none (xrv: over {top})"
    if preset == "mimic-cxr-jpg":
        levels, said = _stretched(stored), "minimum to maximum"
    else:
        levels, said = _scaled_by_maximum(stored), "0 to maximum"
    if monochrome1:
        levels = ~levels
    table = equalisation_table(np.bincount(levels, weights=counts, minlength=256))
    return table[levels] / 255.0, f"none ({preset}: {said}, equalised)"


def _stretched(stored: NDArray[np.int64]) -> Bytes:
    """``uint8(255 (x - min) / (max - min))``, truncating as NumPy's cast does."""
    low, high = int(stored.min()), int(stored.max())
    if low == high:
        raise Unreadable("flat_image", f"every pixel is {low}")
    return ((stored - low) / (high - low) * 255).astype(np.uint8)


def _scaled_by_maximum(stored: NDArray[np.int64]) -> Bytes:
    """OpenCV's ``convertScaleAbs(x, alpha=255/max)``: float32, absolute, half to even, 0..255."""
    high = int(stored.max())
    if high <= 0:
        raise Unreadable("flat_image", f"the largest pixel is {high}: 255 / maximum is undefined")
    scaled = np.abs(stored.astype(np.float32) * np.float32(255.0 / high))
    levels: Bytes = np.minimum(np.rint(scaled), 255).astype(np.uint8)
    return levels


def equalisation_table(histogram: NDArray[np.number]) -> Bytes:
    """The table of OpenCV's ``equalizeHist``: uint8 [256] from counts [256].

    With h the counts, i0 the first level that occurs and N the pixels, level i becomes
    ``(h[i0 + 1] + … + h[i]) * (255 / (N - h[i0]))``, computed in single precision and rounded half
    to even; levels up to i0 become 0. An image of one level stays as it is.
    """
    counts = histogram.astype(np.int64)
    total, first = int(counts.sum()), int(np.flatnonzero(counts)[0])
    if counts[first] == total:
        return np.arange(256, dtype=np.uint8)
    scale = np.float32(255.0) / np.float32(total - counts[first])
    above = np.cumsum(counts) - counts[first]
    above[: first + 1] = 0
    table: Bytes = np.clip(np.rint(above.astype(np.float32) * scale), 0, 255).astype(np.uint8)
    return table
