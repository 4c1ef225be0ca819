"""Open a DICOM file within budgets: recognised by content, bounded before anything is decoded.

The header is read first and alone; the pixel element stays on the disk, only its place and length
are known. So a dry run costs a millisecond a file, and a bomb is refused before it is read.
"""

from __future__ import annotations

import errno
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from synth.dicom.header import ImageModule, PixelElement
from synth.dicom.refusal import Unreadable

_PIXEL_TAGS = {
    0x7FE00008: "FloatPixelData",
    0x7FE00009: "DoubleFloatPixelData",
    0x7FE00010: "PixelData",
}
_NATIVE = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)
_LONG_VRS = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"UN")  # a 4-byte length, PS3.5 7.1.2
_PREFIX = 132  # preamble and DICM


@dataclass(frozen=True)
class DecodeLimits:
    """Budgets checked before anything is decoded.

    Attributes:
        pixels: rows x columns x samples of the one frame that is decoded.
        total_bytes: uncompressed bytes of all frames; compressed single frames fit easily.
        file_bytes: size of the file itself, and of the inflated stream of a Deflated one.
    """

    pixels: int = 100_000_000
    total_bytes: int = 4 << 30
    file_bytes: int = 2 << 30


@dataclass(frozen=True)
class Opened:
    """A header, and what else the first look at a file tells.

    Attributes:
        dataset: all elements before the pixels.
        pixels: ``None`` if there are none.
        forced: the file lacked the standard's prefix.
        preamble: its first bytes; empty if forced.
    """

    dataset: Dataset
    pixels: PixelElement | None
    forced: bool
    preamble: bytes


def open_header(path: Path, limits: DecodeLimits) -> Opened:
    """Parse the elements before the pixels, whatever their quality.

    Raises:
        Unreadable: io_error, truncated, too_large, not_dicom, no_pixels or bad_header.
    """
    try:
        with path.open("rb") as file:
            return _open_header(file, limits)
    except OSError as error:
        raise Unreadable("io_error", f"cannot be read: {error.strerror}") from None


def _open_header(file: BinaryIO, limits: DecodeLimits) -> Opened:
    size = file.seek(0, 2)
    file.seek(0)
    head = file.read(144)
    file.seek(0)
    if size == 0:
        raise Unreadable("truncated", "the file is empty", "Copy it again")
    if size > limits.file_bytes:
        raise Unreadable("too_large", f"{size} bytes, at most {limits.file_bytes} are read")
    standard = head[128:_PREFIX] == b"DICM"
    if not standard and not _looks_headerless(head):
        raise Unreadable("not_dicom", "no DICM prefix and no plausible first tag")
    try:
        dataset, pixels = _parse(file, size, limits, standard=standard)
    except Unreadable:
        raise
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):
            raise
        # pydicom's own, or a seek to where a damaged length points
        raise Unreadable("bad_header", "the header is damaged (OSError)") from None
    except InvalidDicomError:
        raise Unreadable("not_dicom", "not a DICOM file") from None
    except EOFError:
        raise Unreadable("truncated", "the file ends inside an element", "Copy it again") from None
    # pydicom raises some ten unrelated classes on damaged files (measured by mutation)
    except Exception as error:  # noqa: BLE001
        raise Unreadable("bad_header", f"the header is damaged ({type(error).__name__})") from None
    if len(dataset) == 0 and pixels is None and "TransferSyntaxUID" not in dataset.file_meta:
        code = "no_pixels" if standard else "not_dicom"
        raise Unreadable(code, "the file holds no elements", "Copy it again")
    _settle_syntax(dataset)
    return Opened(dataset, pixels, forced=not standard, preamble=head[:128] if standard else b"")


def _parse(
    file: BinaryIO, size: int, limits: DecodeLimits, *, standard: bool
) -> tuple[Dataset, PixelElement | None]:
    deflated = standard and _is_deflated(file)
    if deflated:
        _check_inflated(file, limits)
    dataset = dcmread(file, force=not standard, stop_before_pixels=not deflated)
    len(dataset)
    if deflated:
        return dataset, _inflated_element(dataset)
    return dataset, _pixel_element(file, size, dataset)


def _pixel_element(file: BinaryIO, size: int, dataset: Dataset) -> PixelElement | None:
    """Read the tag, VR and length where pydicom stopped (PS3.5 section 7.1)."""
    implicit, little = dataset.original_encoding
    order: Literal["little", "big"] = "little" if little is not False else "big"
    raw = file.read(12)
    if len(raw) < 8:
        return None
    tag = int.from_bytes(raw[:2], order) << 16 | int.from_bytes(raw[2:4], order)
    keyword = _PIXEL_TAGS.get(tag)
    if keyword is None:
        return None
    start = file.tell() - len(raw)
    if implicit:
        length, offset = int.from_bytes(raw[4:8], order), start + 8
    elif raw[4:6] in _LONG_VRS:
        length, offset = int.from_bytes(raw[8:12], order), start + 12
    else:
        length, offset = int.from_bytes(raw[6:8], order), start + 8
    present = max(size - offset, 0)
    undefined = length == 0xFFFFFFFF
    return PixelElement(keyword, present if undefined else min(length, present), offset, undefined)


def _inflated_element(dataset: Dataset) -> PixelElement | None:
    for keyword in _PIXEL_TAGS.values():
        if keyword in dataset:
            return PixelElement(keyword, len(dataset[keyword].value or b""))
    return None


def _settle_syntax(dataset: Dataset) -> None:
    """Name the transfer syntax of a file that does not, by what reading it showed."""
    if "TransferSyntaxUID" in dataset.file_meta:
        return
    implicit, little = dataset.original_encoding
    explicit = ExplicitVRLittleEndian if little is not False else ExplicitVRBigEndian
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit


def _looks_headerless(head: bytes) -> bool:
    """A dataset without the 132-byte prefix starts with a tag of group 0002 or 0008."""
    if len(head) < 12 or head[:2] not in (b"\x02\x00", b"\x08\x00", b"\x00\x08"):
        return False
    explicit = head[4:6].isalpha() and head[4:6].isupper()
    return explicit or int.from_bytes(head[4:8], "little") < 1024


def _is_deflated(file: BinaryIO) -> bool:
    """Whether the file meta information says so; a cheap look before a full one."""
    head = file.read(4096)
    file.seek(0)
    return str(DeflatedExplicitVRLittleEndian).encode() in head


def _check_inflated(file: BinaryIO, limits: DecodeLimits) -> None:
    """Bound the inflation of a Deflated dataset: 1 MB of it can hold gigabytes."""
    meta = read_file_meta_info(file.name)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return
    file.seek(_PREFIX + 12 + int(meta.FileMetaInformationGroupLength))
    pending = file.read()
    file.seek(0)
    inflater, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
    most = min(limits.file_bytes, limits.pixels * 4)
    while pending and not inflater.eof:
        total += len(inflater.decompress(pending, 1 << 22))
        pending = inflater.unconsumed_tail
        if total > most:
            raise Unreadable("too_large", f"inflates to more than {most} bytes")


def check_budget(opened: Opened, module: ImageModule, limits: DecodeLimits) -> None:
    """Compare the header's promises with the limits and with the bytes that are there.

    Raises:
        Unreadable: too_large, truncated or bad_header.
    """
    pixels = module.rows * module.columns * module.samples
    if pixels > limits.pixels:
        raise Unreadable(
            "too_large",
            f"{module.columns} x {module.rows} x {module.samples} samples, "
            f"at most {limits.pixels} are decoded",
        )
    if module.native_bytes > limits.total_bytes:
        raise Unreadable("too_large", f"{module.frames} frames, {module.native_bytes} bytes in all")
    if is_compressed(opened.dataset):
        return
    if opened.pixels is not None and opened.pixels.undefined:
        detail = "encapsulated pixels in a transfer syntax that is not compressed"
        raise Unreadable("bad_header", detail, "Export it again from its archive")
    got = opened.pixels.length if opened.pixels else 0
    if got < module.native_bytes:
        raise Unreadable(
            "truncated", f"{got} bytes of pixels, {module.native_bytes} expected", "Copy it again"
        )


def is_compressed(dataset: Dataset) -> bool:
    """Whether the pixels are encapsulated (PS3.5 A.4), as they are in every syntax but four."""
    return dataset.file_meta.TransferSyntaxUID not in _NATIVE
