"""Damaged DICOM files, each a function of its number."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from synth.seeding import numpy_rng

LARGEST = 200_000  # bytes of a corpus file
Bytes = bytearray
EXTREMES = (0, 1, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0xFFFE, 0x7FFFFFFF, 0xFFFFFFFF, 0x10000)
TAGS = (  # group, element: what decoding depends on
    *((0x0028, element) for element in (2, 4, 6, 8, 0x10, 0x11, 0x34, 0x100, 0x101, 0x102, 0x103)),
    *((0x0028, element) for element in (0x1050, 0x1051, 0x1052, 0x1053, 0x3000, 0x3002, 0x3006)),
    *((0x0028, element) for element in (0x3010, 0x1101, 0x1201, 0x120)),
    *((0x7FE0, 0x10), (0x0002, 0x10), (0x0002, 0), (0x0008, 5), (0x0008, 0x16), (0xFFFE, 0xE000)),
)
VRS = b"AE AS CS DA DS FL FD IS LO LT OB OW PN SH SQ SS ST TM UI UL UN US UT".split()


def corpus(folder: Path) -> list[bytes]:
    """pydicom's small files, and generated ones for the syntaxes and tables these lack."""
    shipped = Path(pydicom.__file__).parent / "data" / "test_files"
    paths = [path for path in sorted(shipped.glob("*.dcm")) if path.stat().st_size < LARGEST]
    assert len(paths) > 60
    often = 4 * _generated(folder)  # every one of these is an image
    return [path.read_bytes() for path in (*paths, *often)]


def _generated(folder: Path) -> list[Path]:
    lut = Dataset()
    lut.LUTDescriptor, lut.LUTData = [4096, 0, 16], np.arange(4096, dtype="<u2").tobytes()
    lut["LUTDescriptor"].VR, lut["LUTData"].VR = "US", "OW"
    tags: list[dict[str, Any]] = [
        {},
        {"syntax": RLELossless},
        {"syntax": JPEGLSLossless},
        {"syntax": JPEG2000Lossless},
        {"syntax": DeflatedExplicitVRLittleEndian},
        {"VOILUTSequence": [lut]},
        {"ModalityLUTSequence": [lut], "PhotometricInterpretation": "MONOCHROME1"},
        {"WindowCenter": [2048, 1000], "WindowWidth": [4096, 500], "VOILUTFunction": "SIGMOID"},
        {"RescaleSlope": 2, "RescaleIntercept": -1024, "PixelPaddingValue": 0},
    ]
    return [write_dicom(folder / f"{number}.dcm", **chosen) for number, chosen in enumerate(tags)]


def write_dicom(
    path: Path,
    array: np.ndarray | None = None,
    *,
    syntax: str = ExplicitVRLittleEndian,
    **tags: Any,
) -> Path:
    """A 12-bit DX file, small unless an array is given."""
    if array is None:
        noise = numpy_rng("corpus").integers(0, 400, (48, 40))
        array = noise + np.arange(40) * 90
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = "2.25.1"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, "2.25.1"
    dataset.PatientName, dataset.PatientID, dataset.Modality = "Zyx^Quorra", "H-1", "DX"
    dataset.Rows, dataset.Columns = array.shape
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation, dataset.PixelRepresentation = "MONOCHROME2", 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelData = array.astype("<u2").tobytes()
    for name, value in tags.items():
        setattr(dataset, name, value)
    if syntax == DeflatedExplicitVRLittleEndian:
        meta.TransferSyntaxUID = syntax
    elif syntax != ExplicitVRLittleEndian:
        dataset.compress(syntax, generate_instance_uid=False)
    dataset.save_as(path, enforce_file_format=True)
    return path


def mutant(files: list[bytes], number: int) -> bytes:
    """One to three kinds of damage to one file of the corpus."""
    rng = numpy_rng("mutant", number)
    data = bytearray(files[rng.integers(len(files))])
    kinds: tuple[Callable[[Bytes, np.random.Generator, list[bytes]], None], ...]
    kinds = (_flip, _cut, _lengthen, _splice, _edit_tag, _edit_tag)
    for kind in rng.choice(len(kinds), size=rng.choice((1, 1, 2, 3))):
        if len(data) > 8:
            kinds[kind](data, rng, files)
    return bytes(data)


def _flip(data: Bytes, rng: np.random.Generator, _files: list[bytes]) -> None:
    """Single bits, half of the time within the header."""
    end = len(data) if rng.random() < 0.5 else min(len(data), 2000)
    for position in rng.integers(0, end, size=2 ** rng.integers(0, 6)):
        data[position] ^= 1 << int(rng.integers(8))


def _cut(data: Bytes, rng: np.random.Generator, _files: list[bytes]) -> None:
    """The end off, often only a little of it."""
    length = len(data)
    lost = int(rng.integers(1, 16)) if rng.random() < 0.3 else int(rng.integers(1, length))
    del data[length - lost :]


def _lengthen(data: Bytes, rng: np.random.Generator, _files: list[bytes]) -> None:
    """The length of an element, found by its value representation."""
    vr = VRS[rng.integers(len(VRS))]
    place = data.find(vr, int(rng.integers(len(data))))
    if place < 0 or place + 8 > len(data):
        place = int(rng.integers(len(data) - 8))
    width = 4 if rng.random() < 0.5 else 2
    _overwrite(data, place + (4 if width == 4 else 2), width, rng)


def _splice(data: Bytes, rng: np.random.Generator, files: list[bytes]) -> None:
    """A piece of another file, in place of as much or between."""
    other = files[rng.integers(len(files))]
    start, size = int(rng.integers(len(other))), int(2 ** rng.integers(1, 12))
    place = int(rng.integers(len(data)))
    piece = other[start : start + size]
    data[place : place + (len(piece) if rng.random() < 0.5 else 0)] = piece


def _edit_tag(data: Bytes, rng: np.random.Generator, _files: list[bytes]) -> None:
    """The value, or the tag itself, of an element that decoding depends on."""
    group, element = TAGS[rng.integers(len(TAGS))]
    tag = group.to_bytes(2, "little") + element.to_bytes(2, "little")
    place = data.find(tag)
    if place < 0 or place + 12 > len(data):
        return
    if rng.random() < 0.15:
        data[place : place + 4] = rng.bytes(4)
        return
    _overwrite(data, place + 8, 2 if rng.random() < 0.7 else 4, rng)


def _overwrite(data: Bytes, place: int, width: int, rng: np.random.Generator) -> None:
    extreme = EXTREMES[rng.integers(len(EXTREMES))]
    value = extreme if rng.random() < 0.6 else int(rng.integers(1 << 32))
    data[place : place + width] = (value % (1 << (8 * width))).to_bytes(width, "little")
