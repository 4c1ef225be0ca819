"""Open a DICOM file within budgets: recognised by content, bounded before anything is decoded."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.pixels import get_decoder
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

from synth.dicom.header import ImageModule
from synth.dicom.refusal import Unreadable

_CONVERT = "Convert it, for example: dcmconv +te IN OUT, or gdcmconv --raw IN OUT"
_REMEDIES = {  # UID prefix or UID -> what to install
    "1.2.840.10008.1.2.4.51": "pip install pylibjpeg pylibjpeg-libjpeg (GPL)",
    "1.2.840.10008.1.2.4.57": "pip install 'medical-image-synthesis[jpeg-lossless]' (GPL decoder)",
    "1.2.840.10008.1.2.4.70": "pip install 'medical-image-synthesis[jpeg-lossless]' (GPL decoder)",
    "1.2.840.10008.1.2.4.80": "pip install pyjpegls",
    "1.2.840.10008.1.2.4.81": "pip install pyjpegls",
    "1.2.840.10008.1.2.4.90": "pip install pylibjpeg pylibjpeg-openjpeg",
    "1.2.840.10008.1.2.4.91": "pip install pylibjpeg pylibjpeg-openjpeg",
    "1.2.840.10008.1.2.4.201": "pip install pylibjpeg pylibjpeg-openjpeg",
    "1.2.840.10008.1.2.4.202": "pip install pylibjpeg pylibjpeg-openjpeg",
    "1.2.840.10008.1.2.4.203": "pip install pylibjpeg pylibjpeg-openjpeg",
}


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


def read_dataset(path: Path, limits: DecodeLimits) -> tuple[Dataset, bool]:
    """Parse a file's elements; also says whether it lacked the standard's prefix.

    Raises:
        Unreadable: io_error, truncated, too_large, not_dicom, no_pixels or bad_header.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(144)
    except OSError as error:
        raise Unreadable("io_error", f"cannot be read: {error.strerror}") from None
    if size == 0:
        raise Unreadable("truncated", "the file is empty", "Copy it again")
    if size > limits.file_bytes:
        raise Unreadable("too_large", f"{size} bytes, at most {limits.file_bytes} are read")
    standard = head[128:132] == b"DICM"
    if not standard and not _looks_headerless(head):
        raise Unreadable("not_dicom", "no DICM prefix and no plausible first tag")
    try:
        if standard:
            _check_inflated(path, limits)
        dataset = dcmread(path, force=not standard)
        len(dataset)
    except Unreadable:
        raise
    except InvalidDicomError:
        raise Unreadable("not_dicom", "not a DICOM file") from None
    except EOFError:
        raise Unreadable("truncated", "the file ends inside an element", "Copy it again") from None
    # pydicom raises some ten unrelated classes on damaged files (measured by mutation)
    except Exception as error:  # noqa: BLE001
        raise Unreadable("bad_header", f"the header is damaged ({type(error).__name__})") from None
    if "TransferSyntaxUID" not in dataset.file_meta:
        if len(dataset) == 0:
            code = "no_pixels" if standard else "not_dicom"
            raise Unreadable(code, "the file holds no elements", "Copy it again")
        dataset.file_meta.TransferSyntaxUID = (
            ImplicitVRLittleEndian if (dataset.original_encoding[0]) else _explicit(dataset)
        )
    return dataset, not standard


def _explicit(dataset: Dataset) -> str:
    little = dataset.original_encoding[1] is not False
    return "1.2.840.10008.1.2.1" if little else "1.2.840.10008.1.2.2"


def _looks_headerless(head: bytes) -> bool:
    """A dataset without the 132-byte prefix starts with a tag of group 0002 or 0008."""
    if len(head) < 12 or head[:2] not in (b"\x02\x00", b"\x08\x00", b"\x00\x08"):
        return False
    explicit = head[4:6].isalpha() and head[4:6].isupper()
    return explicit or int.from_bytes(head[4:8], "little") < 1024


def _check_inflated(path: Path, limits: DecodeLimits) -> None:
    """Bound the inflation of a Deflated dataset: 1 MB of it can hold gigabytes."""
    meta = read_file_meta_info(path)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return
    with path.open("rb") as file:
        content = file.read()
    start = 132 + 12 + int(meta.FileMetaInformationGroupLength)
    inflater, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
    pending = content[start:]
    most = min(limits.file_bytes, limits.pixels * 4)
    while pending and not inflater.eof:
        total += len(inflater.decompress(pending, 1 << 22))
        pending = inflater.unconsumed_tail
        if total > most:
            raise Unreadable("too_large", f"inflates to more than {most} bytes")


def check_budget(dataset: Dataset, module: ImageModule, limits: DecodeLimits) -> None:
    """Compare the header's promises with the limits and with the bytes that are there.

    Raises:
        Unreadable: too_large or truncated.
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
    got = len(dataset.PixelData)
    compressed = dataset.file_meta.TransferSyntaxUID.is_compressed
    if not compressed and got < module.native_bytes:
        raise Unreadable(
            "truncated", f"{got} bytes of pixels, {module.native_bytes} expected", "Copy it again"
        )


def check_decoder(dataset: Dataset) -> None:
    """Make sure that this installation decodes the transfer syntax.

    Raises:
        Unreadable: unsupported_transfer_syntax, naming it and the package that helps.
    """
    uid = dataset.file_meta.TransferSyntaxUID
    name = uid.name if uid.name != str(uid) else "unknown"
    try:
        available = get_decoder(uid).is_available
    except NotImplementedError:
        available = False
    if not available:
        remedy = decoder_remedy(str(uid))
        raise Unreadable("unsupported_transfer_syntax", f"no decoder for {name} ({uid})", remedy)


def decoder_remedy(uid: str) -> str:
    """What to install, or how to convert, for a transfer syntax that no decoder here reads."""
    return _REMEDIES.get(uid, _CONVERT)
