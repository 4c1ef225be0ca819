"""One image file -> a square 8-bit PNG in memory, or a refusal; in this process or in workers."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from PIL import Image

from synth.data.inputs import IMAGE_SUFFIXES, Input, read_head
from synth.data.raster import read_raster
from synth.dicom import DecodeLimits, DicomImage, Identity, Unreadable, Voi, identify, read_grey
from synth.images import fit_square, grey_to_u8

_CHUNK = 8  # files handed to a worker at once


@dataclass(frozen=True)
class ConvertOptions:
    """What decides the pixels."""

    size: int
    voi: Voi
    limits: DecodeLimits


@dataclass(frozen=True)
class Converted:
    """The outcome for one file: either ``refusal`` or ``png``."""

    item: Input
    refusal: Unreadable | None = None
    png: bytes = b""
    facts: dict[str, Any] = field(default_factory=dict)
    steps: dict[str, str] = field(default_factory=dict)
    identity: Identity = field(default=Identity(), repr=False)

    @property
    def sha256(self) -> str:
        """Of the PNG's bytes: equal for equal pixels."""
        return hashlib.sha256(self.png).hexdigest()


def convert(options: ConvertOptions, item: Input) -> Converted:
    """Decode, pad to a square, resize, encode; never raises for a bad file."""
    try:
        _sniff(item.path)
        if item.kind == "unsupported":
            detail = f"{item.path.suffix.lower()} images are not read"
            raise Unreadable("unsupported_format", detail, "Save it as PNG without loss, or DICOM")
        image = _read(item.path, item.kind, options)
    except Unreadable as refusal:
        identity = identify(item.path, options.limits) if item.kind == "dicom" else Identity()
        return Converted(item, refusal=refusal, identity=identity)  # it may still have a report
    square = grey_to_u8(fit_square(image.grey, options.size))
    buffer = io.BytesIO()
    Image.fromarray(square).save(buffer, format="PNG", compress_level=6)
    return Converted(item, None, buffer.getvalue(), image.facts, image.steps, image.identity)


def _read(path: Path, kind: str, options: ConvertOptions) -> DicomImage:
    if kind == "dicom":
        return read_grey(path, voi=options.voi, limits=options.limits)
    return read_raster(path, options.limits)


def _sniff(path: Path) -> None:
    """Recognise what is often found under an image's name."""
    head = read_head(path)
    if not head:
        raise Unreadable("empty_file", "the file is empty or cannot be opened", "Copy it again")
    text = head.lstrip().lower()
    if text.startswith((b"<!doctype", b"<html")):
        detail = "a web page was saved under an image's name"
        raise Unreadable("html_instead_of_image", detail, "Check the download's credentials")
    if head.startswith(b"version https://git-lfs"):
        raise Unreadable("lfs_pointer", "a Git LFS pointer, not the image", "Run git lfs pull")
    if path.suffix.lower() not in IMAGE_SUFFIXES and not path.is_file():
        raise Unreadable("io_error", "not a regular file")


def convert_all(
    items: Sequence[Input], options: ConvertOptions, *, workers: int
) -> Iterator[Converted]:
    """Convert in order; with ``workers`` above 1 in processes that a crash cannot take down."""
    if workers <= 1:
        yield from map(partial(convert, options), items)
        return
    done = 0
    while done < len(items):
        try:
            with _pool(workers) as pool:
                for result in pool.map(partial(convert, options), items[done:], chunksize=_CHUNK):
                    yield result
                    done += 1
        except BrokenProcessPool:
            # Some file of the next chunks kills its process: find it alone, then go on in parallel.
            for item in items[done : done + workers * _CHUNK]:
                yield _convert_alone(options, item)
                done += 1


def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"))


def _convert_alone(options: ConvertOptions, item: Input) -> Converted:
    try:
        with _pool(1) as pool:
            return pool.submit(convert, options, item).result()
    except BrokenProcessPool:
        refusal = Unreadable("decode_crash", "the decoder ended its process")
        return Converted(item, refusal=refusal)
