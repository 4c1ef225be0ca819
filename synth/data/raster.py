"""PNG and JPEG files -> grey levels, with the same refusals and records as DICOM."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from synth.dicom import DecodeLimits, DicomImage, Unreadable

_FACTS = (
    "Modality",
    "ViewPosition",
    "PhotometricInterpretation",
    "PresentationLUTShape",
    "BodyPartExamined",
    "BitsStored",
    "Rows",
    "Columns",
    "PixelSpacing",
    "ImagerPixelSpacing",
    "PatientSex",
    "AgeBand",
)


def read_raster(path: Path, limits: DecodeLimits) -> DicomImage:
    """Read a PNG or JPEG.

    8-bit files keep their full range; deeper ones, which often hold 12 bits in 16, are stretched
    between the 0.5th and 99.5th percentile. Colour becomes Rec. 601 luma, alpha is dropped, an EXIF
    orientation is applied.

    Raises:
        Unreadable: too_large, truncated_image, corrupt_image or flat_image.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's bomb warning: our own limit decides
            with Image.open(path) as image:
                if image.width * image.height > limits.pixels:
                    detail = f"{image.width} x {image.height} pixels, at most {limits.pixels}"
                    raise Unreadable("too_large", detail)
                unit, bits, steps = _to_unit(image)
    except Unreadable:
        raise
    except OSError as error:
        cut = "truncated" in str(error).lower()
        code = "truncated_image" if cut else "corrupt_image"
        raise Unreadable(code, "the image data do not decode", "Copy the file again") from None
    # Pillow's plugins raise SyntaxError, ValueError, struct.error and others on damaged files
    except Exception as error:  # noqa: BLE001
        raise Unreadable(
            "corrupt_image", f"the image data do not decode ({type(error).__name__})"
        ) from None
    if np.ptp(unit) < 1 / 255:
        raise Unreadable("flat_image", "every pixel has the same grey level")
    facts: dict[str, Any] = dict.fromkeys(_FACTS)
    facts.update(BitsStored=bits, Rows=unit.shape[0], Columns=unit.shape[1])
    return DicomImage(unit.astype(np.float32), facts, steps)


def _to_unit(image: Image.Image) -> tuple[NDArray[np.float64], int, dict[str, str]]:
    steps = dict.fromkeys(("modality", "voi", "colour"), "none")
    steps.update(polarity="kept", frame="1 of 1", read="standard", warnings="0")
    turned = ImageOps.exif_transpose(image)
    if turned.mode.startswith("I") or turned.mode == "F":
        values = np.asarray(turned, dtype=np.float64)
        low, high = np.percentile(values, (0.5, 99.5))
        if low == high:
            low, high = values.min(), values.max()
        steps["voi"] = "percentiles 0.5 to 99.5"
        return np.clip((values - low) / max(high - low, 1e-9), 0.0, 1.0), 16, steps
    if turned.mode != "L":
        steps["colour"] = "luma"
    return np.asarray(turned.convert("L"), dtype=np.float64) / 255.0, 8, steps
