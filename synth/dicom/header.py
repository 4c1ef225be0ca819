"""What the header says: the image module checked, technical facts allowed out, identity kept in.

Nothing of a header leaves this package but the allow-list in :func:`technical_facts`; identifiers
are read only to link a report to its image and to remove them from that report.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from synth.dicom.refusal import Unreadable

_TECHNICAL = (
    "Modality",
    "ViewPosition",
    "PhotometricInterpretation",
    "PresentationLUTShape",
    "BodyPartExamined",
    "BitsStored",
    "Rows",
    "Columns",
)
_SPACING = ("PixelSpacing", "ImagerPixelSpacing")
_SENSITIVE = re.compile(
    r"(Name|Physician|Operator|Institution|Address|Telephone|PatientID|IDs?$|Number$|UID$"
    r"|Date$|Time$|Comments$|Description$|History$|Station|Requesting|BirthDate)"
)
_NESTED = re.compile(  # narrower: inside sequences most words are codes of the image, not of people
    r"(Name$|Physician|Operator|Institution|Address|Telephone|PatientID|IDs?$|Number$|UID$)"
)
# Items of these hold a person or a place as a code (PS3.3 10.1 and C.7.5.1), not a finding.
_CODED_IDENTITY = re.compile(r"(PersonIdentificationCode|Institution\w*Code)Sequence")
_CODE_VALUES = ("CodeValue", "LongCodeValue", "CodeMeaning")
_PHOTOMETRIC = re.compile(r"MONOCHROME[12]|PALETTE COLOR|RGB|YBR_[A-Z0-9_]{3,12}")
_PARTS = """
    CHEST THORAX LUNG HEART RIB RIBS STERNUM CLAVICLE SHOULDER ABDOMEN PELVIS SPINE CSPINE TSPINE
    LSPINE HEAD SKULL NECK BREAST HAND WRIST ELBOW HIP KNEE ANKLE FOOT WHOLEBODY EXTREMITY
"""
_BODY_PARTS = frozenset(_PARTS.split())
_CODE = re.compile(r"[A-Za-z0-9 _\-./]{1,32}")  # a coded value; free text never passes


@dataclass(frozen=True)
class PixelElement:
    """Where the pixels lie.

    Attributes:
        keyword: PixelData, FloatPixelData or DoubleFloatPixelData.
        length: bytes present in the file, as far as its header claims them.
        offset: of the first byte in the file; ``None`` where they cannot be read in place.
        undefined: the length is left open, as only encapsulated pixels may (PS3.5 A.4).
    """

    keyword: str
    length: int
    offset: int | None = None
    undefined: bool = False


@dataclass(frozen=True)
class ImageModule:
    """The tags that decoding needs, validated (PS3.3 C.7.6.3)."""

    rows: int
    columns: int
    frames: int
    samples: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    photometric: str

    @property
    def native_bytes(self) -> int:
        """Bytes of the uncompressed pixel data, all frames."""
        bits = self.rows * self.columns * self.samples * self.frames * self.bits_allocated
        if self.photometric == "YBR_FULL_422":
            bits = bits * 2 // 3
        return -(-bits // 8)


@dataclass(frozen=True)
class Identity:
    """Identifiers, in memory only: for linking, grouping and scrubbing. Never written anywhere."""

    patient: str = ""
    study: str = ""
    accession: str = ""
    instance: str = ""
    values: tuple[str, ...] = field(default=(), repr=False)  # all that must not come through


def read_image_module(dataset: Dataset, pixels: PixelElement | None) -> ImageModule:
    """Check the image module.

    Raises:
        Unreadable: ``not_an_image``, ``no_pixels``, ``unsupported_format`` or ``bad_header``.
    """
    if "Rows" not in dataset and pixels is None:
        kind = getattr(dataset.get("SOPClassUID"), "name", "") or "no image attributes"
        if "DirectoryRecordSequence" in dataset:
            kind = "a DICOMDIR; its files are found without it"
        if len(dataset) == 0 or kind.endswith("Image Storage"):
            raise Unreadable("no_pixels", f"header only ({kind})", "Copy the file again")
        raise Unreadable("not_an_image", f"the object is not an image ({kind})")
    if pixels is None or pixels.length == 0:
        raise Unreadable("no_pixels", "the header describes an image but there is no pixel data")
    if pixels.keyword != "PixelData":
        raise Unreadable("unsupported_format", "floating-point pixel data (a parametric map)")
    module = ImageModule(
        rows=_integer(dataset, "Rows", low=1),
        columns=_integer(dataset, "Columns", low=1),
        frames=_integer(dataset, "NumberOfFrames", low=1, default=1),
        samples=_integer(dataset, "SamplesPerPixel", low=1, default=1),
        bits_allocated=_integer(dataset, "BitsAllocated", low=1),
        bits_stored=_integer(dataset, "BitsStored", low=1),
        high_bit=_integer(
            dataset, "HighBit", low=0, default=int(dataset.get("BitsStored") or 1) - 1
        ),
        signed=bool(_integer(dataset, "PixelRepresentation", low=0, default=0)),
        photometric=str(dataset.get("PhotometricInterpretation") or "").strip().upper(),
    )
    if not module.photometric:
        raise Unreadable("bad_header", "PhotometricInterpretation is missing")
    if not _PHOTOMETRIC.fullmatch(module.photometric):
        raise Unreadable("bad_header", "PhotometricInterpretation is not a defined term")
    if (module.samples == 1) != module.photometric.startswith(("MONO", "PALETTE")):
        raise Unreadable(
            "bad_header", f"{module.photometric} with {module.samples} samples a pixel"
        )
    if module.bits_allocated not in (1, 8, 16, 32):
        raise Unreadable("bad_header", f"BitsAllocated is {module.bits_allocated}")
    if not module.bits_stored - 1 <= module.high_bit < module.bits_allocated:
        raise Unreadable(
            "bad_header",
            f"BitsAllocated {module.bits_allocated}, BitsStored {module.bits_stored} and "
            f"HighBit {module.high_bit} contradict each other",
        )
    return module


def _integer(dataset: Dataset, name: str, *, low: int, default: int | None = None) -> int:
    value = dataset.get(name)
    if value in (None, ""):
        if default is not None:
            return default
        raise Unreadable("bad_header", f"{name} is missing")
    try:
        number = int(value)
    except (TypeError, ValueError):
        raise Unreadable("bad_header", f"{name} is not an integer") from None
    if number < low:
        raise Unreadable("bad_header", f"{name} is {number}")
    return number


def numbers(dataset: Dataset, name: str) -> tuple[float, ...]:
    """The finite decimal values of a tag; empty if it is missing, empty or not numeric."""
    value = dataset.get(name)
    if value is None or value == "":
        return ()
    items = [value] if isinstance(value, (str, int, float)) else list(value)
    try:
        parsed = tuple(float(item) for item in items)
    except (TypeError, ValueError):
        return ()
    return parsed if all(math.isfinite(item) for item in parsed) else ()


def technical_facts(dataset: Dataset, *, forbidden: Iterable[str] = ()) -> dict[str, Any]:
    """The allow-list: every key always present, ``None`` where the header says nothing.

    Ages become bands of twenty years; values that do not look like a code, or hold a forbidden
    word or value (a name or number typed into the wrong field), are dropped.
    """
    # a surname Pa is not the view PA
    values = {word.upper() for word in forbidden if len(word) >= 3}
    facts: dict[str, Any] = {}
    for name in _TECHNICAL:
        value = dataset.get(name)
        if isinstance(value, int):
            facts[name] = int(value)
        else:
            text = str(value).strip().upper() if value is not None else ""
            facts[name] = text if _is_clean(text, values) else None
    for name in _SPACING:
        spacing = numbers(dataset, name)
        facts[name] = list(spacing) if len(spacing) == 2 and min(spacing) > 0 else None
    sex = str(dataset.get("PatientSex") or "").strip().upper()
    facts["PatientSex"] = sex if sex in ("F", "M", "O") else None
    facts["AgeBand"] = age_band(str(dataset.get("PatientAge") or ""))
    return facts


def _is_clean(text: str, forbidden: set[str]) -> bool:
    """Whether a coded value, in capitals, names nobody."""
    words = re.split(r"[^A-Z0-9]+", text)
    if not _CODE.fullmatch(text) or re.search(r"\d{5}", text):
        return False  # no code of the standard has five digits in a row
    if _BODY_PARTS.issuperset(words):  # a description that says CHEST does not make it a name
        return True
    plain = "".join(words)
    return forbidden.isdisjoint(words) and not any(
        len(squeezed) >= 4 and squeezed in plain
        for squeezed in (re.sub(r"[^A-Z0-9]+", "", value) for value in forbidden)
    )


def age_band(age: str) -> str | None:
    """``"058Y"`` or ``"58"`` -> ``"40-59"``; bands of twenty years, 80 and more together.

    >>> age_band("006M"), age_band("095Y"), age_band("155Y")
    ('0-19', '80+', None)
    """
    match = re.fullmatch(r"\s*(\d{1,3})(?:\.0*)?\s*([YMWD]?)\s*", age.upper())
    if match is None:
        return None
    years = int(match.group(1)) if match.group(2) in ("", "Y") else 0
    if years > 120:
        return None
    low = years // 20 * 20
    return "80+" if low >= 80 else f"{low}-{low + 19}"


def read_identity(dataset: Dataset) -> Identity:
    """Collect identifiers, whatever their quality: every value of a tag, and inside sequences."""
    values = _identifying(dataset, _SENSITIVE)
    return Identity(
        patient=_text(dataset, "PatientID"),
        study=_text(dataset, "StudyInstanceUID"),
        accession=_text(dataset, "AccessionNumber"),
        instance=_text(dataset, "SOPInstanceUID"),
        values=tuple(sorted(value for value in values if len(value) >= 2)),
    )


def _identifying(dataset: Dataset, sensitive: re.Pattern[str], inside: str = "") -> set[str]:
    """Spellings of all that may name someone, down through the sequences."""
    values: set[str] = set()
    for element in dataset:
        keyword = element.keyword
        if element.VR == "SQ":
            for item in element.value or ():
                values |= _identifying(item, _NESTED, keyword)
            continue
        if keyword.endswith("SOPClassUID"):
            continue
        coded = keyword in _CODE_VALUES and _CODED_IDENTITY.fullmatch(inside)
        if element.VR == "PN" or coded or sensitive.search(keyword):
            for value in _each(element.value):
                values |= _spellings(element.VR, value)
    return values


def _each(value: Any) -> list[str]:
    """The values of an element one by one: text of all at once would match nothing."""
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, (MultiValue, list)) else [str(value)]


def _text(dataset: Dataset, name: str) -> str:
    return str(dataset.get(name) or "").strip()


def _spellings(kind: str, value: str) -> set[str]:
    """A person name also by its parts (``DOE^JANE`` -> ``DOE``, ``JANE``, ``JANE DOE``)."""
    value = value.strip()
    if kind == "PN":
        parts = [part for part in re.split(r"[\^=,\s]+", value) if part]
        return {value, *parts, " ".join(parts), " ".join(reversed(parts)), ", ".join(parts)}
    if kind in ("DA", "TM", "DT", "DS", "IS", "US", "SS", "UL", "AS") or len(value) > 64:
        return set()  # numbers would hit ordinary words of a report; the text rules see dates
    return {value} if len(value) >= 4 else set()
