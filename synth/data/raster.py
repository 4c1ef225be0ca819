"""PNG, JPEG, TIFF, BMP, WebP and GIF files -> grey levels, with the refusals and records of DICOM.

The JPEG files of public archives are already the result of their recipe
(:mod:`synth.dicom.presets`), so 8-bit files keep their values under every preset. Deeper files,
which often hold 12 bits in 16, are stretched between the 0.5th and 99.5th percentile: Pillow's own
``convert("L")`` would clip them to white. Channels that agree are made grey, colour is refused
(:mod:`synth.dicom.colour`). An EXIF orientation is applied once.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from pydicom.dataset import Dataset

from synth.dicom import DecodeLimits, DicomImage, Preset, Probe, Unreadable
from synth.dicom.burned_in import has_text
from synth.dicom.colour import NOTED, luma_of, said
from synth.dicom.flags import looks_inverted
from synth.dicom.header import technical_facts
from synth.dicom.levels import levels_of, percentile

_SUFFIXES = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg", ".jpe"),
    "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp",),
    "WEBP": (".webp",),
    "GIF": (".gif",),
}
_EIGHT_BIT = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX")
_PERCENTILES = (0.5, 99.5)
_REMEDY = "Save it as a grey or RGB PNG without loss, or DICOM"
_ORIENTATION = 0x0112  # EXIF

Grey = NDArray[np.float32]


def read_raster(path: Path, limits: DecodeLimits, preset: Preset = "dicom-voi") -> DicomImage:
    """Read an image file that is not DICOM.

    Args:
        path: the file, recognised by its content.
        limits: refusal thresholds.
        preset: recorded; it changes nothing about these files (see above).

    Raises:
        Unreadable: io_error, too_large, truncated_image, corrupt_image, unsupported_format,
            color_image, non_finite or flat_image.
    """
    steps = dict.fromkeys(("modality", "voi", "padding", "colour"), "none")
    steps |= {"polarity": "kept", "geometry": "kept", "frame": "1 of 1", "read": "standard"}
    steps |= {"warnings": "0", "preset": preset}
    with _opened(path, limits) as image:
        flags = _header_flags(path, image)
        grey, bits = _to_grey(image, steps, flags)
    if np.ptp(grey) < 1 / 255:
        raise Unreadable("flat_image", "every pixel has the same grey level", where=path)
    if looks_inverted(grey):
        flags.add("looks_inverted")
    seen = has_text(grey)
    steps["text"] = "suspected by the pixels" if seen else "none seen"
    flags |= {"burned_in_text"} if seen else set()
    facts: dict[str, Any] = technical_facts(Dataset())
    facts.update(BitsStored=bits, Rows=grey.shape[0], Columns=grey.shape[1])
    return DicomImage(grey, facts, steps, flags=tuple(sorted(flags)))


def probe_raster(path: Path, limits: DecodeLimits) -> Probe:
    """Check one file by its header; the pixels are not decoded.

    Raises:
        Unreadable: with the code :func:`read_raster` would give, where the header decides it.
    """
    with _opened(path, limits) as image:
        facts: dict[str, Any] = technical_facts(Dataset())
        facts.update(Rows=image.height, Columns=image.width)
        return Probe(facts, flags=tuple(sorted(_header_flags(path, image))))


@contextmanager
def _opened(path: Path, limits: DecodeLimits) -> Iterator[Image.Image]:
    """An image whose header passed; whatever goes wrong in the block is a refusal."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's bomb warning: our own limit decides
            with Image.open(path, formats=tuple(_SUFFIXES)) as image:
                _check(image, limits)
                yield image
    except Unreadable as refusal:
        raise refusal.at(path) from None
    except MemoryError:  # says nothing of the file but that it is large: the caller set the limit
        raise
    # Pillow's plugins raise SyntaxError, ValueError, struct.error and others on damaged files
    except Exception as error:  # noqa: BLE001
        raise _refusal(error).at(path) from None


def _header_flags(path: Path, image: Image.Image) -> set[str]:
    same = path.suffix.lower() in ("", *_SUFFIXES.get(image.format or "", _SUFFIXES["JPEG"]))
    return set() if same else {"extension_mismatch"}


def _refusal(error: Exception) -> Unreadable:
    if isinstance(error, Image.DecompressionBombError):
        return Unreadable("too_large", "more pixels than Pillow is willing to open")
    if isinstance(error, UnidentifiedImageError) or not isinstance(error, OSError):
        detail = f"the image data do not decode ({type(error).__name__})"
        return Unreadable("corrupt_image", detail, "Copy the file again")
    if error.errno is not None:
        return Unreadable("io_error", f"cannot be read: {error.strerror}")
    code = "truncated_image" if "truncated" in str(error).lower() else "corrupt_image"
    return Unreadable(code, "the image data do not decode", "Copy the file again")


def _check(image: Image.Image, limits: DecodeLimits) -> None:
    """All that the header decides, before anything is decoded."""
    if image.width * image.height > limits.pixels:
        detail = f"{image.width} x {image.height} pixels, at most {limits.pixels}"
        raise Unreadable("too_large", detail)
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        detail = f"an animation, or a file of several pages ({frames})"
        raise Unreadable("unsupported_format", detail, "Save the page that is wanted on its own")
    if image.mode not in _EIGHT_BIT and not image.mode.startswith("I") and image.mode != "F":
        raise Unreadable("unsupported_format", f"{image.mode} pixels are not read", _REMEDY)


def _to_grey(image: Image.Image, steps: dict[str, str], flags: set[str]) -> tuple[Grey, int]:
    """The grey levels and the bits they came from; fills in ``steps`` and ``flags``."""
    orientation = image.getexif().get(_ORIENTATION, 1)
    turned = ImageOps.exif_transpose(image)
    if orientation in range(2, 9):
        steps["geometry"] = f"EXIF orientation {orientation} applied"
    if turned.mode == "F" or turned.mode.startswith("I"):
        steps["voi"] = "percentiles 0.5 to 99.5"
        array = np.asarray(turned)
        return (_stretched_floats(array), 32) if turned.mode == "F" else _stretched(array)
    if turned.mode in ("1", "L"):
        return _full_range(np.asarray(turned.convert("L"))), 8
    if turned.mode in ("LA", "PA", "RGBA") or "transparency" in turned.info:
        turned = turned.convert("RGBA")
        if turned.getchannel("A").getextrema()[0] != 255:
            detail = "transparent pixels: what lies behind them is unknown"
            raise Unreadable("unsupported_format", detail, _REMEDY)
    grey, share = luma_of(np.asarray(turned.convert("RGB")), 255)
    steps["colour"] = said(share)
    flags |= {"colour_overlay"} if share >= NOTED else set()
    return grey, 8


def _full_range(array: NDArray[np.uint8]) -> Grey:
    levels: Grey = (np.arange(256) / 255.0).astype(np.float32)
    return levels[array]


def _stretched(array: NDArray[np.generic]) -> tuple[Grey, int]:
    """Integers deeper than 8 bits between their percentiles."""
    bits = 8 * array.dtype.itemsize
    signed = array.dtype.kind == "i"
    levels = levels_of(array, bits_stored=bits, high_bit=bits - 1, signed=signed)
    low, high = (percentile(levels.stored, levels.counts, p) for p in _PERCENTILES)
    if low == high:
        low, high = float(levels.stored.min()), float(levels.stored.max())
    unit = np.clip((levels.stored - low) / max(high - low, 1e-9), 0.0, 1.0)
    return levels.paint(unit), 16


def _stretched_floats(array: NDArray[np.floating]) -> Grey:
    if not np.isfinite(array).all():
        raise Unreadable("non_finite", "pixels that are not a number, or infinite")
    low, high = (float(value) for value in np.percentile(array, _PERCENTILES))
    if low == high:
        low, high = float(array.min()), float(array.max())
    unit: Grey = np.clip((array - low) / max(high - low, 1e-9), 0.0, 1.0).astype(np.float32)
    return unit
