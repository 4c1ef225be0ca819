"""A DICOM file -> grey levels in [0, 1] with every choice recorded.

Order: stored bits -> Modality LUT or rescale (PS3.3 C.11.1) -> VOI LUT or window (C.11.2) -> [0, 1]
-> polarity, exactly once. A file is inverted if it is MONOCHROME1 (C.7.6.3.1.2) or its Presentation
LUT Shape is INVERSE (C.11.6.1.2); both together, which the DX module requires of MONOCHROME1
(C.8.11.3), are one statement and invert once. The inversion is about the output range (1 - grey),
never about the content. A negative rescale slope is a modality matter and does not count.

With ``voi="auto"``: the first VOI LUT, else the first valid window, else 8-bit data keep their full
range and deeper data are stretched between the 0.5th and 99.5th percentile. Colour becomes Rec. 601
luma without VOI. Of several frames the middle one (``frames // 2``) is taken.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut, pixel_array

from synth.dicom.greyscale import luminance, stored_values
from synth.dicom.header import (
    Identity,
    ImageModule,
    read_identity,
    read_image_module,
    technical_facts,
)
from synth.dicom.open import (
    DecodeLimits,
    check_budget,
    check_decoder,
    decoder_remedy,
    read_dataset,
)
from synth.dicom.refusal import Unreadable
from synth.dicom.voi import Voi, modality_values, to_unit

DEFAULT_LIMITS = DecodeLimits()


@dataclass(frozen=True)
class DicomImage:
    """One decoded image.

    Attributes:
        grey: float32 [H, W] in [0, 1], larger is brighter.
        facts: technical allow-list, same keys for every file.
        steps: every choice made, same keys for every file.
        identity: identifiers for linking; never write them.
    """

    grey: NDArray[np.float32]
    facts: dict[str, Any]
    steps: dict[str, str]
    identity: Identity = field(default=Identity(), repr=False)


def read_grey(
    path: Path,
    *,
    voi: Voi = "auto",
    limits: DecodeLimits = DEFAULT_LIMITS,
) -> DicomImage:
    """Read one DICOM file as grey levels.

    Args:
        path: any file; it is recognised by its content.
        voi: ``auto`` as above; ``window``, ``lut``, ``percentile`` force one (falling back as
            ``auto`` does where the file has none); ``none`` keeps the full stored range.
        limits: refusal thresholds.

    Raises:
        Unreadable: with a code of :data:`synth.dicom.refusal.CODES`.
    """
    try:
        return _read(path, voi, limits)
    except Unreadable:
        raise
    # pydicom parses elements when they are first touched: damage shows anywhere, in any class
    except Exception as error:  # noqa: BLE001
        raise Unreadable("bad_header", f"the header is damaged ({type(error).__name__})") from None


def identify(path: Path, limits: DecodeLimits = DEFAULT_LIMITS) -> Identity:
    """Identifiers of a file whose image may be unusable; empty if the header is unusable too."""
    try:
        with _quiet():
            return read_identity(read_dataset(path, limits)[0])
    # as in read_grey: damage shows anywhere, in any class
    except Exception:  # noqa: BLE001
        return Identity()


def _read(path: Path, voi: Voi, limits: DecodeLimits) -> DicomImage:
    with _quiet() as caught:
        dataset, forced = read_dataset(path, limits)
        module = read_image_module(dataset)
        check_budget(dataset, module, limits)
        check_decoder(dataset)
        frame = module.frames // 2
        array = _decode(dataset, module, frame)
        grey, steps = _to_grey(dataset, module, array, voi)
        identity = read_identity(dataset)
        facts = technical_facts(dataset, forbidden=identity.values)
    steps["frame"] = f"{frame + 1} of {module.frames}"
    steps["read"] = "forced: no DICM prefix" if forced else "standard"
    steps["warnings"] = str(len(caught))  # their texts may quote identifiers
    return DicomImage(grey, facts, steps, identity)


@contextmanager
def _quiet() -> Iterator[list[warnings.WarningMessage]]:
    """Collect pydicom's warnings about odd values: they are counted, not shown."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught


def _decode(dataset: Dataset, module: ImageModule, frame: int) -> NDArray[np.generic]:
    try:
        array = pixel_array(dataset, index=frame, raw=module.samples == 1)
    except Unreadable:
        raise
    # decoders are third-party C code with as many exception classes; one file must not end a run
    except Exception as error:  # noqa: BLE001
        uid = dataset.file_meta.TransferSyntaxUID
        if "missing dependencies" in str(error) or "does not support" in str(error):
            remedy = decoder_remedy(str(uid))
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
    dataset: Dataset, module: ImageModule, array: NDArray[np.generic], voi: Voi
) -> tuple[NDArray[np.float32], dict[str, str]]:
    if module.samples >= 3 or module.photometric == "PALETTE COLOR":
        unit = _colour_to_unit(dataset, module, array)
        steps = {"modality": "none", "voi": "none", "polarity": "kept", "colour": "luma"}
    elif module.photometric in ("MONOCHROME1", "MONOCHROME2"):
        stored = stored_values(
            array,
            bits_stored=module.bits_stored,
            high_bit=module.bits_stored - 1 if _compressed(dataset) else module.high_bit,
            signed=module.signed,
        )
        if stored.min() == stored.max():
            raise Unreadable("flat_image", f"every pixel is {int(stored.min())}")
        values, modality = modality_values(dataset, module, stored)
        unit, chosen = to_unit(dataset, module, values, voi)
        unit, polarity = _apply_polarity(dataset, module, unit)
        steps = {"modality": modality, "voi": chosen, "polarity": polarity, "colour": "none"}
    else:
        raise Unreadable("bad_header", f"PhotometricInterpretation {module.photometric!r:.40}")
    if unit.max() - unit.min() < 1 / 255:
        raise Unreadable("flat_image", "no contrast is left after the grey-scale steps")
    return unit.astype(np.float32), steps


def _compressed(dataset: Dataset) -> bool:
    return bool(dataset.file_meta.TransferSyntaxUID.is_encapsulated)


def _colour_to_unit(
    dataset: Dataset, module: ImageModule, array: NDArray[np.generic]
) -> NDArray[np.float64]:
    top = float((1 << module.bits_stored) - 1)
    if module.photometric == "PALETTE COLOR":
        try:
            array = apply_color_lut(array, dataset)
        except (AttributeError, ValueError, KeyError, TypeError, IndexError) as error:
            detail = f"the palette is damaged ({type(error).__name__})"
            raise Unreadable("bad_header", detail) from None
        top = float((1 << (8 * array.dtype.itemsize)) - 1)
    if array.ndim != 3:
        raise Unreadable("decode_failed", f"colour image decoded to {array.ndim} dimensions")
    return luminance(array, top)


def _apply_polarity(
    dataset: Dataset, module: ImageModule, unit: NDArray[np.float64]
) -> tuple[NDArray[np.float64], str]:
    reasons = []
    if module.photometric == "MONOCHROME1":
        reasons.append("MONOCHROME1")
    if str(dataset.get("PresentationLUTShape") or "").strip().upper() == "INVERSE":
        reasons.append("INVERSE")
    if not reasons:
        return unit, "kept"
    return 1.0 - unit, f"inverted once ({' + '.join(reasons)})"
