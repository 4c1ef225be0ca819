"""One image file -> a square 8-bit PNG in memory, or a refusal; always in a limited process."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from synth.data.inputs import Input, read_head
from synth.data.near_duplicates import perceptual_hash
from synth.data.pool import DecodeBudget, Failure, run_pool
from synth.data.raster import read_raster
from synth.dicom import (
    DecodeLimits,
    DicomImage,
    Identity,
    Preset,
    Unreadable,
    Voi,
    identify,
    read_grey,
)
from synth.images import fit_square, grey_to_u8

_CODES = {
    "timeout": "decode_timeout",
    "memory": "decode_memory",
    "crash": "decode_crash",
    "error": "decode_failed",
}
_REMEDIES = {
    "timeout": "Convert it with another tool, or leave it out: it is most likely damaged",
    "memory": "Convert it with another tool, or leave it out: it is most likely damaged",
    "crash": "Convert it with another tool, or leave it out: it is most likely damaged",
    "error": "Please report this as a bug, without the image",
}


@dataclass(frozen=True)
class ConvertOptions:
    """What decides the pixels.

    Attributes:
        size: side of the PNG in pixels.
        voi: see :func:`synth.dicom.read_grey`.
        limits: what a header may promise.
        preset: the same.
    """

    size: int
    voi: Voi
    limits: DecodeLimits
    preset: Preset = "dicom-voi"


@dataclass(frozen=True)
class Converted:
    """The outcome for one file: either ``refusal`` or ``png``.

    Attributes:
        item: the file.
        refusal: why it has no image.
        png: an 8-bit grey PNG.
        facts: technical allow-list.
        steps: every choice made.
        identity: identifiers for linking; never write them.
        flags: warnings, names of :data:`synth.dicom.FLAGS`.
        phash: perceptual hash of the PNG, see :mod:`synth.data.near_duplicates`.
    """

    item: Input
    refusal: Unreadable | None = None
    png: bytes = b""
    facts: dict[str, Any] = field(default_factory=dict)
    steps: dict[str, str] = field(default_factory=dict)
    identity: Identity = field(default=Identity(), repr=False)
    flags: tuple[str, ...] = ()
    phash: str = ""

    @property
    def sha256(self) -> str:
        """Of the PNG's bytes: equal for equal pixels."""
        return hashlib.sha256(self.png).hexdigest()


def convert(options: ConvertOptions, item: Input) -> Converted:
    """Decode, pad to a square, resize, encode; never raises for a bad file."""
    try:
        sniff(item)
        image = _read(item.path, item.kind, options)
    except Unreadable as refusal:
        # It may still have a report, which would otherwise seem to lack an image.
        return Converted(item, refusal=refusal, identity=_identity(options.limits, item))
    square = grey_to_u8(fit_square(image.grey, options.size))
    return Converted(
        item,
        png=encode_png(square),
        facts=image.facts,
        steps=image.steps,
        identity=image.identity,
        flags=image.flags,
        phash=perceptual_hash(square),
    )


def encode_png(square: NDArray[np.uint8]) -> bytes:
    """[H, W] grey levels as a PNG.

    Level 4 takes a third of the time of Pillow's default for 1 % more bytes; beyond it zlib looks
    for long matches that radiographs do not have.
    """
    buffer = io.BytesIO()
    Image.fromarray(square).save(buffer, format="PNG", compress_level=4)
    return buffer.getvalue()


def _read(path: Path, kind: str, options: ConvertOptions) -> DicomImage:
    if kind == "dicom":
        return read_grey(path, preset=options.preset, voi=options.voi, limits=options.limits)
    return read_raster(path, options.limits, options.preset)


def _identity(limits: DecodeLimits, item: Input) -> Identity:
    return identify(item.path, limits) if item.kind == "dicom" else Identity()


def sniff(item: Input) -> None:
    """Recognise what is often found under an image's name.

    Raises:
        Unreadable: io_error, empty_file, html_instead_of_image, lfs_pointer, unsupported_format.
    """
    try:
        head = read_head(item.path)
    except OSError as error:
        raise Unreadable("io_error", f"cannot be read: {error.strerror}") from None
    if not head:
        raise Unreadable("empty_file", "the file is empty", "Copy it again")
    text = head.lstrip().lower()
    if text.startswith((b"<!doctype", b"<html")):
        detail = "a web page was saved under an image's name"
        raise Unreadable("html_instead_of_image", detail, "Check the download's credentials")
    if head.startswith((b"version https://git-lfs", b"/annex/objects/")):
        detail = "a Git LFS or git-annex pointer, not the image"
        raise Unreadable("lfs_pointer", detail, "Run git lfs pull, or git annex get")
    if item.kind == "unsupported":
        detail = f"{item.path.suffix.lower()} images are not read"
        raise Unreadable("unsupported_format", detail, "Save it as PNG without loss, or DICOM")


def convert_all(
    items: Iterable[Input],
    options: ConvertOptions,
    *,
    workers: int,
    budget: DecodeBudget | None = None,
) -> Iterator[Converted]:
    """Convert in order, in ``workers`` processes; a file cannot stop, stall or crash this one.

    Raises:
        SynthError: the processes do not start.
    """
    outcomes = run_pool(partial(convert, options), items, workers=workers, budget=budget)
    with closing(outcomes):
        for outcome in outcomes:
            if outcome.failure is not None:
                yield _refused(outcome.item, outcome.failure, options.limits, budget)
            elif outcome.value is not None:
                yield outcome.value


def _refused(
    item: Input, failure: Failure, limits: DecodeLimits, budget: DecodeBudget | None
) -> Converted:
    """A file that took its process along; who it is about is found out in another one."""
    detail = f"unexpected {failure.detail}" if failure.kind == "error" else failure.detail
    refusal = Unreadable(_CODES[failure.kind], detail, _REMEDIES[failure.kind], where=item.path)
    [found] = run_pool(partial(_identity, limits), [item], workers=1, budget=budget)
    return Converted(item, refusal=refusal, identity=found.value or Identity())
