"""A DICOM file -> grey levels in [0, 1] with every choice recorded.

Order: stored bits -> Modality LUT or rescale (PS3.3 C.11.1) -> VOI LUT or window (C.11.2) -> [0, 1]
-> polarity, exactly once. A file is inverted if it is MONOCHROME1 (C.7.6.3.1.2) or its Presentation
LUT Shape is INVERSE (C.11.6.1.2); both together, which the DX module requires of MONOCHROME1
(C.8.11.3), are one statement and invert once. The inversion is about the output range (1 - grey),
never about the content. A negative rescale slope is a modality matter and does not count.

With ``voi="auto"``: the first VOI LUT, else the first valid window, else 8-bit data keep their full
range and deeper data are stretched between the 0.5th and 99.5th percentile, padding left out.
Colour files whose channels agree become Rec. 601 luma without VOI (:mod:`synth.dicom.colour`). Of
several frames the middle one (``frames // 2``) is taken. Pixels that are not square are resampled.
The other presets: :mod:`synth.dicom.presets`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.pixels import pixel_array
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from synth.dicom.burned_in import has_text
from synth.dicom.colour import NOTED, dicom_luma, is_colour, said
from synth.dicom.decoders import decoder_remedy
from synth.dicom.examine import DEFAULT_LIMITS, Examined, examine, quiet, refusing
from synth.dicom.flags import looks_inverted
from synth.dicom.frames import taken_frame
from synth.dicom.geometry import make_square, pixel_aspect
from synth.dicom.header import Identity, ImageModule
from synth.dicom.levels import levels_of
from synth.dicom.open import DecodeLimits, Opened, is_compressed
from synth.dicom.presets import PRESETS, RECIPES, Preset, apply_recipe
from synth.dicom.refusal import Unreadable
from synth.dicom.voi import VOIS, Voi, modality_values, padded_levels, to_unit, window_was_ignored
from synth.errors import UsageError

Grey = NDArray[np.float32]
_OVERSHOOT = 1 / 16  # of the range: how far ringing at an edge goes at most


@dataclass(frozen=True)
class DicomImage:
    """One decoded image.

    Attributes:
        grey: float32 [H, W] in [0, 1], larger is brighter.
        facts: technical allow-list, same keys for every file.
        steps: every choice made, same keys for every file.
        identity: identifiers for linking; never write them.
        flags: warnings, sorted; names of :data:`synth.dicom.flags.FLAGS`.
    """

    grey: Grey
    facts: dict[str, Any]
    steps: dict[str, str]
    identity: Identity = field(default=Identity(), repr=False)
    flags: tuple[str, ...] = ()


def read_grey(
    path: Path,
    *,
    preset: Preset = "dicom-voi",
    voi: Voi = "auto",
    limits: DecodeLimits = DEFAULT_LIMITS,
) -> DicomImage:
    """Read one DICOM file as grey levels.

    Args:
        path: any file; it is recognised by its content.
        preset: a name of :data:`synth.dicom.presets.PRESETS`.
        voi: for ``dicom-voi``: ``auto`` as above; ``window``, ``lut``, ``percentile`` force one
            (falling back as ``auto`` does where the file has none); ``none`` keeps the full range.
        limits: refusal thresholds.

    Raises:
        Unreadable: with a code of :data:`synth.dicom.refusal.CODES`, naming the file.
        UsageError: the preset or the VOI is not one of those.
    """
    if preset not in PRESETS:
        raise UsageError("no such preset", got=preset, expected=", ".join(PRESETS))
    if voi not in VOIS:
        raise UsageError("no such VOI", got=voi, expected=", ".join(VOIS))
    with refusing(path), quiet():
        examined = examine(path, preset, limits)
        array, frame = _decode(path, examined.opened, examined.module)
        grey, steps, flags = _to_grey(examined, array, preset, voi)
        flags |= set(examined.probe.flags)
        grey, steps["geometry"] = _squared(examined, grey, preset, limits, flags)
        steps["text"] = _text(grey, flags)
    steps["frame"] = f"{frame + 1} of {examined.module.frames}"
    steps["read"] = "forced: no DICM prefix" if examined.opened.forced else "standard"
    steps["warnings"] = str(examined.warnings)
    steps["preset"] = preset
    probe = examined.probe
    return DicomImage(grey, probe.facts, steps, probe.identity, tuple(sorted(flags)))


def _decode(path: Path, opened: Opened, module: ImageModule) -> tuple[NDArray[np.generic], int]:
    """The frame that is taken, [H, W] or [H, W, 3], and its index."""
    frame = taken_frame(module.frames)
    array = _in_place(path, opened, module, frame)
    if array is not None:
        return array, frame
    dataset = opened.dataset
    if opened.pixels is not None and opened.pixels.offset is not None:
        syntax = dataset.file_meta.TransferSyntaxUID
        try:
            dataset = dcmread(path, force=opened.forced)
        except MemoryError:
            detail = "an element claims more bytes than there is memory"
            raise Unreadable("bad_header", detail, "Copy it again") from None
        dataset.file_meta.TransferSyntaxUID = syntax
        if syntax == RLELossless:  # packs whole words; pydicom masks them as if from bit 0 on
            dataset.BitsStored, dataset.HighBit = module.bits_allocated, module.bits_allocated - 1
    return _decode_by_plugin(dataset, module, frame), frame


def _in_place(
    path: Path, opened: Opened, module: ImageModule, frame: int
) -> NDArray[np.generic] | None:
    """One native frame straight from the file; ``None`` where a decoder is needed."""
    syntax = opened.dataset.file_meta.TransferSyntaxUID
    plain = syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
    pixels = opened.pixels
    if not plain or module.samples != 1 or module.bits_allocated not in (8, 16, 32):
        return None
    if pixels is None or pixels.offset is None:
        return None
    kind = np.dtype(f"<{'i' if module.signed else 'u'}{module.bits_allocated // 8}")
    count = module.rows * module.columns
    start = pixels.offset + frame * count * kind.itemsize
    array = np.fromfile(path, dtype=kind, count=count, offset=start)
    return array.reshape(module.rows, module.columns)


def _decode_by_plugin(dataset: Dataset, module: ImageModule, frame: int) -> NDArray[np.generic]:
    try:
        array = pixel_array(dataset, index=frame, raw=module.samples == 1)
    except MemoryError:
        raise
    # decoders are third-party C code with as many exception classes; one file must not end a run
    except Exception as error:  # noqa: BLE001
        uid = dataset.file_meta.TransferSyntaxUID
        if "missing dependencies" in str(error) or "does not support" in str(error):
            remedy = decoder_remedy(uid)
            detail = f"no installed decoder reads this {uid.name} ({uid}) image"
            raise Unreadable("unsupported_transfer_syntax", detail, remedy) from None
        raise Unreadable(
            "decode_failed", f"{uid.name} pixels do not decode ({type(error).__name__})"
        ) from None
    expected = (module.rows, module.columns)
    if array.shape[:2] != expected:
        raise Unreadable("decode_failed", f"decoded {array.shape[:2]}, header says {expected}")
    return np.asarray(array)


def _to_grey(
    examined: Examined, array: NDArray[np.generic], preset: Preset, voi: Voi
) -> tuple[Grey, dict[str, str], set[str]]:
    dataset, module = examined.opened.dataset, examined.module
    steps = dict.fromkeys(("modality", "voi", "padding", "colour"), "none")
    flags: set[str] = set()
    if is_colour(module):
        grey, share = dicom_luma(dataset, module, array)
        steps |= {"polarity": "kept", "colour": said(share)}
        flags |= {"colour_overlay"} if share >= NOTED else set()
        low, high = float(grey.min()), float(grey.max())
    elif module.photometric in ("MONOCHROME1", "MONOCHROME2"):
        grey, low, high = _levels_to_grey(dataset, module, array, preset, voi, steps)
        if preset == "dicom-voi" and voi != "none" and window_was_ignored(dataset, steps["voi"]):
            flags.add("window_ignored")
        if looks_inverted(grey):
            flags.add("looks_inverted")
    else:
        raise Unreadable("bad_header", f"PhotometricInterpretation {module.photometric!r:.40}")
    if high - low < 1 / 255:
        raise Unreadable("flat_image", "no contrast is left after the grey-scale steps")
    return grey, steps, flags


def _levels_to_grey(
    dataset: Dataset,
    module: ImageModule,
    array: NDArray[np.generic],
    preset: Preset,
    voi: Voi,
    steps: dict[str, str],
) -> tuple[Grey, float, float]:
    """The grey image, its smallest and its largest level; fills in ``steps``."""
    high_bit = module.high_bit
    if is_compressed(dataset) and dataset.file_meta.TransferSyntaxUID != RLELossless:
        high_bit = module.bits_stored - 1  # these hand out values from bit 0 on; RLE whole words
        array = _within_bits(array, module)
    levels = levels_of(
        array, bits_stored=module.bits_stored, high_bit=high_bit, signed=module.signed
    )
    if levels.stored.min() == levels.stored.max():
        raise Unreadable("flat_image", f"every pixel is {int(levels.stored.min())}")
    first = module.photometric == "MONOCHROME1"
    if preset in RECIPES:
        unit, steps["voi"] = apply_recipe(
            preset, levels.stored, levels.counts, bits_stored=module.bits_stored, monochrome1=first
        )
        steps["polarity"] = "inverted once (MONOCHROME1)" if first else "kept"
        return levels.paint(unit), float(unit.min()), float(unit.max())
    values, steps["modality"] = modality_values(dataset, module, levels.stored)
    padded = padded_levels(dataset, module, levels.stored)
    if padded.any():
        steps["padding"] = "left out of percentiles"
    counted = np.where(padded, 0, levels.counts)
    chosen: Voi = "percentile" if preset == "percentile" else voi
    unit, steps["voi"] = to_unit(dataset, module, values, counted, chosen)
    unit, steps["polarity"] = _apply_polarity(dataset, unit, monochrome1=first)
    return levels.paint(unit), float(unit.min()), float(unit.max())


def _within_bits(array: NDArray[np.generic], module: ImageModule) -> NDArray[np.generic]:
    """Clip what a lossy codec overshot; more than that is a wrong header, never wrapped around.

    Raises:
        Unreadable: bad_header.
    """
    low = -(1 << (module.bits_stored - 1)) if module.signed else 0
    high = low + (1 << module.bits_stored) - 1
    beyond = max(int(array.max()) - high, low - int(array.min()))
    if beyond <= 0:
        return array
    if beyond > (high - low) * _OVERSHOOT:
        raise Unreadable(
            "bad_header",
            f"decoded values from {int(array.min())} to {int(array.max())} do not fit "
            f"BitsStored {module.bits_stored}",
            "Export it again from its archive",
        )
    clipped: NDArray[np.generic] = np.clip(array, low, high)
    return clipped


def _apply_polarity(
    dataset: Dataset, unit: NDArray[np.float64], *, monochrome1: bool
) -> tuple[NDArray[np.float64], str]:
    reasons = ["MONOCHROME1"] if monochrome1 else []
    if str(dataset.get("PresentationLUTShape") or "").strip().upper() == "INVERSE":
        reasons.append("INVERSE")
    if not reasons:
        return unit, "kept"
    return 1.0 - unit, f"inverted once ({' + '.join(reasons)})"


def _squared(
    examined: Examined, grey: Grey, preset: Preset, limits: DecodeLimits, flags: set[str]
) -> tuple[Grey, str]:
    """Square pixels, but for the recipes, whose archives kept them; moves the flag along."""
    if preset in RECIPES:
        return grey, "kept"
    square, geometry = make_square(grey, pixel_aspect(examined.opened.dataset), most=limits.pixels)
    if geometry != "kept":
        flags.discard("non_square_pixels")
        flags.add("non_square_pixels_resampled")
    return square, geometry


def _text(grey: Grey, flags: set[str]) -> str:
    """Why text is suspected; adds the flag where the pixels are the reason."""
    seen = has_text(grey)
    stated = "burned_in_text" in flags
    if seen:
        flags.add("burned_in_text")
    reasons = (["the header"] if stated else []) + (["the pixels"] if seen else [])
    return f"suspected by {' and '.join(reasons)}" if reasons else "none seen"
