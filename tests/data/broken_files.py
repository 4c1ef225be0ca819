"""Bytes of images that are not what they say."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import DeflatedExplicitVRLittleEndian

from .conftest import picture


def png(array: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, **{"format": "PNG", **options})
    return buffer.getvalue()


def grey(*parts: int | str, side: int = 40) -> np.ndarray:
    return (picture(*parts, side=side) >> 4).astype(np.uint8)


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises these pixels and holds hardly any."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"\0" * 99)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def change(path: Path, **tags: Any) -> None:
    """Set tags of a file; ``None`` leaves one out."""
    dataset = dcmread(path)
    for name, value in tags.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    dataset.save_as(path)


def deflate(path: Path, *, megabytes: int) -> None:
    """Turn a file into one of the Deflated syntax that inflates to zeros."""
    dataset = dcmread(path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(path, enforce_file_format=True)
    content = path.read_bytes()
    start = 132 + 12 + dcmread(path).file_meta.FileMetaInformationGroupLength
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    head = zlib.decompress(content[start:], -zlib.MAX_WBITS)
    first = deflater.compress(head) + deflater.flush(zlib.Z_FULL_FLUSH)
    block = deflater.compress(bytes(1 << 20)) + deflater.flush(zlib.Z_FULL_FLUSH)
    path.write_bytes(content[:start] + first + block * megabytes + deflater.flush())


def syntax(path: Path, uid: str) -> None:
    """Claim another transfer syntax, with encapsulated pixels of nonsense."""
    dataset = dcmread(path)
    dataset.PixelData = encapsulate([b"\xff\xd8\xff\xc3" + bytes(range(200))])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = uid
    dataset.save_as(path, implicit_vr=False, little_endian=True, force_encoding=True)
