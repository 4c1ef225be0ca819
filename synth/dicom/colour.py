"""Colour pixels -> one grey channel, if they are grey in all but name.

Screens, exports and lossy JPEG store grey images as RGB, YBR or with a palette. Channels that
agree within :data:`TOLERANCE` (chroma noise of JPEG) become Rec. 601 luma. Up to :data:`SHARE` of
coloured pixels, the marks and scales of an ultrasound machine, are accepted and flagged
``colour_overlay``. What is coloured beyond that, a photograph, a Doppler map, a tinted palette, is
refused as ``color_image``: grey levels made of it would have no meaning.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut

from synth.dicom.greyscale import luminance
from synth.dicom.header import ImageModule
from synth.dicom.refusal import Unreadable

TOLERANCE = 16 / 255  # between the largest and the smallest channel of a pixel
SHARE = 0.05
NOTED = 0.001  # below this share, stray pixels of a lossy codec rather than marks
REMEDY = "Convert it to grey yourself if the colour is of no meaning"


def is_colour(module: ImageModule) -> bool:
    """Whether the image module announces colour (PS3.3 C.7.6.3.1.2)."""
    return module.samples >= 3 or module.photometric == "PALETTE COLOR"


def dicom_luma(
    dataset: Dataset, module: ImageModule, array: NDArray[np.generic]
) -> tuple[NDArray[np.float32], float]:
    """Decoded RGB [H, W, 3], or palette indices [H, W], -> float32 luma in [0, 1], coloured share.

    Raises:
        Unreadable: color_image, bad_header (a damaged palette) or decode_failed.
    """
    top = (1 << module.bits_stored) - 1
    if module.photometric == "PALETTE COLOR":
        try:
            array = apply_color_lut(array, dataset)
        except (AttributeError, ValueError, KeyError, TypeError, IndexError) as error:
            detail = f"the palette is damaged ({type(error).__name__})"
            raise Unreadable("bad_header", detail) from None
        top = (1 << (8 * array.dtype.itemsize)) - 1
    if array.ndim != 3:
        raise Unreadable("decode_failed", f"colour image decoded to {array.ndim} dimensions")
    return luma_of(array, top)


def luma_of(rgb: NDArray[np.generic], top: int) -> tuple[NDArray[np.float32], float]:
    """RGB [H, W, 3] in 0..top -> float32 luma [H, W] in [0, 1] and the share of coloured pixels.

    Raises:
        Unreadable: color_image.
    """
    share = coloured_share(rgb, top)
    if share > SHARE:
        detail = f"{100 * share:.1f} % of the pixels are coloured, at most {100 * SHARE:g} % may be"
        raise Unreadable("color_image", detail, REMEDY)
    return luminance(rgb, float(top)).astype(np.float32), share


def coloured_share(rgb: NDArray[np.generic], top: int) -> float:
    """How many pixels [H, W, 3] have channels further apart than the tolerance, 0 to 1."""
    red, green, blue = (rgb[..., channel] for channel in range(3))
    high = np.maximum(np.maximum(red, green), blue)
    low = np.minimum(np.minimum(red, green), blue)
    return float(np.mean((high - low) > TOLERANCE * top))


def said(share: float) -> str:
    """The record of :func:`luma_of`."""
    return "luma, channels equal" if share < NOTED else f"luma, {100 * share:.2g} % coloured"
