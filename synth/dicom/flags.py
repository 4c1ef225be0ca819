"""Warnings that travel with an accepted image, so that a user can count or exclude them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from synth.dicom.geometry import has_spacing, pixel_aspect
from synth.dicom.header import ImageModule
from synth.dicom.open import Opened, is_compressed

FLAGS: dict[str, str] = {
    "age_out_of_range": "the header's age cannot be read or lies above 120 years",
    "burned_in_text": "text is stated or suspected in the pixels: the header says so, a screen was "
    "captured and the header does not deny it, or text-like rows were found near an edge",
    "colour_overlay": "a grey image with a few coloured marks, made grey",
    "excess_bytes": "more pixel bytes than the header announces; the rest was left out",
    "extension_mismatch": "the file's content is not what its name says",
    "forced_read": "a DICOM dataset without the standard's 128-byte preamble and prefix",
    "localizer": "a scout image of a slice series",
    "looks_inverted": "bright surroundings and a dark middle: the polarity may be wrong; nothing "
    "is changed for it",
    "lossy_compressed": "the header says that the image was compressed with loss",
    "multi_frame": "one frame of several was taken, the middle one",
    "non_square_pixels": "pixels are not square and the preset keeps them as they are",
    "non_square_pixels_resampled": "pixels were not square and have been made so",
    "not_chest": "the header names another part of the body",
    "polyglot_preamble": "the preamble starts like a program or an archive",
    "secondary_capture": "a captured, scanned or derived image rather than an acquisition",
    "spacing_missing": "no plausible distance between pixels",
    "tag_ignored": "values of the header that break the standard were left out",
    "view_unknown": "a radiograph whose view is not stated or not known",
    "window_ignored": "the header's window or VOI LUT is invalid or leaves no contrast",
}

_SUFFIXES = frozenset(("", ".dcm", ".dicom", ".dic", ".ima", ".img"))
_RASTER_SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".gif"))
_RADIOGRAPHY = frozenset(("CR", "DX", "DR", "RG", "MG"))
_VIEW = re.compile(r"PA|AP|LL|RL|LAT|LATERAL|LLD|RLD|LAO|RAO|LPO|RPO|LLO|RLO|CC|MLO|ML|LM|XCCL")
_CHEST = re.compile(r"CHEST|THORA|LUNG|RIB|HEART|CARDIAC|STERN|CLAVICLE|WHOLEBODY|TORSO|TRUNK")
_PROGRAMS = (
    *(b"MZ", b"\x7fELF", b"#!", b"PK\x03\x04", b"%PDF", b"\xca\xfe\xba\xbe"),
    *(b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf", b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe"),
)
_CAPTURE_CLASS = "1.2.840.10008.5.1.4.1.1.7"  # Secondary Capture and its multi-frame siblings


def header_flags(
    opened: Opened, module: ImageModule, facts: Mapping[str, Any], *, suffix: str
) -> set[str]:
    """What the header alone gives rise to.

    Args:
        opened: the file.
        module: its image module.
        facts: the technical facts of :func:`synth.dicom.header.technical_facts`.
        suffix: of the file's name, lower case.
    """
    dataset = opened.dataset
    kinds = _words(dataset, "ImageType")
    captured = _is_captured(dataset, kinds)
    view, part = facts.get("ViewPosition"), facts.get("BodyPartExamined")
    wanted = {
        "age_out_of_range": bool(_words(dataset, "PatientAge")) and facts.get("AgeBand") is None,
        "burned_in_text": text_is_suspected(dataset),
        "excess_bytes": _excess(opened, module),
        "extension_mismatch": suffix in _RASTER_SUFFIXES,
        "forced_read": opened.forced,
        "localizer": "LOCALIZER" in kinds,
        "lossy_compressed": _words(dataset, "LossyImageCompression") == {"01"},
        "multi_frame": module.frames > 1,
        "non_square_pixels": pixel_aspect(dataset) != 1.0,
        "not_chest": bool(part) and _CHEST.search(str(part)) is None,
        "polyglot_preamble": opened.preamble.startswith(_PROGRAMS),
        "secondary_capture": captured or "SECONDARY" in kinds,
        "spacing_missing": not has_spacing(dataset),
        "view_unknown": facts.get("Modality") in _RADIOGRAPHY and not _is_view(view),
    }
    return {flag for flag, holds in wanted.items() if holds}


def text_is_suspected(dataset: Dataset) -> bool:
    """BurnedInAnnotation YES, or a captured screen whose header does not say NO (PS3.3 C.7.6.1)."""
    stated = _words(dataset, "BurnedInAnnotation")
    if "YES" in stated:
        return True
    return "NO" not in stated and _is_captured(dataset, _words(dataset, "ImageType"))


def _is_captured(dataset: Dataset, kinds: set[str]) -> bool:
    return (
        str(dataset.get("SOPClassUID") or "").startswith(_CAPTURE_CLASS)
        or bool(_words(dataset, "Modality") & {"SC", "OT"})
        or "SCREEN SAVE" in kinds
    )


def _words(dataset: Dataset, name: str) -> set[str]:
    """The values of a coded tag in capitals; empty if it is missing or empty."""
    value = dataset.get(name)
    if value is None or value == "":
        return set()
    items = [value] if isinstance(value, str) else value
    try:
        return {str(item).strip().upper() for item in items} - {""}
    except TypeError:  # not a text in this file
        return set()


def _is_view(view: object) -> bool:
    return any(_VIEW.fullmatch(word) for word in re.split(r"[^A-Z]+", str(view or "")))


def _excess(opened: Opened, module: ImageModule) -> bool:
    if is_compressed(opened.dataset) or opened.pixels is None:
        return False
    return opened.pixels.length > module.native_bytes + module.native_bytes % 2


def looks_inverted(grey: NDArray[np.float32]) -> bool:
    """Whether an image [H, W] in [0, 1] shows a frontal chest with its polarity reversed.

    Chest radiographs have air around the patient and a spine brighter than the lungs beside it;
    both must be reversed. Of 135 phantoms 112 are found when inverted and none otherwise; laterals
    and other regions are mostly left alone.
    """
    small = grey[:: max(grey.shape[0] // 64, 1), :: max(grey.shape[1] // 64, 1)]
    rows, columns = small.shape
    if min(rows, columns) < 16:
        return False
    middle = small[rows * 3 // 10 : rows * 7 // 10]
    spine = middle[:, columns * 45 // 100 : columns * 55 // 100].mean()
    lungs = np.concatenate(
        (
            middle[:, columns * 22 // 100 : columns * 36 // 100],
            middle[:, columns * 64 // 100 : columns * 78 // 100],
        ),
        axis=1,
    ).mean()
    edge = max(rows // 16, 1)
    top = rows // 3  # below it, shoulders and abdomen reach the border
    border = np.concatenate(
        [small[:edge].ravel(), small[:top, :edge].ravel(), small[:top, -edge:].ravel()]
    )
    center = small[rows // 4 : rows * 3 // 4, columns // 4 : columns * 3 // 4]
    return bool(spine < lungs - 0.05 and np.median(border) > np.median(center) + 0.15)
