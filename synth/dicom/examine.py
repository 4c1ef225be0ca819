"""What the header of a DICOM file decides, before a pixel is read: for dry runs and for reading."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synth.dicom.colour import is_colour
from synth.dicom.decoders import check_decoder
from synth.dicom.flags import header_flags
from synth.dicom.frames import settle_groups, taken_frame
from synth.dicom.header import (
    Identity,
    ImageModule,
    read_identity,
    read_image_module,
    technical_facts,
)
from synth.dicom.open import DecodeLimits, Opened, check_budget, open_header
from synth.dicom.presets import RECIPES, Preset
from synth.dicom.refusal import Unreadable

DEFAULT_LIMITS = DecodeLimits()


@dataclass(frozen=True)
class Probe:
    """What the header alone says of a file that its header does not rule out.

    Attributes:
        facts: as in :class:`DicomImage`.
        identity: identifiers for linking; never write them.
        flags: those that the header gives rise to, sorted.
    """

    facts: dict[str, Any]
    identity: Identity = field(default=Identity(), repr=False)
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Examined:
    """A header that passed every check."""

    opened: Opened
    module: ImageModule
    probe: Probe
    warnings: int


def probe(
    path: Path, limits: DecodeLimits = DEFAULT_LIMITS, *, preset: Preset = "dicom-voi"
) -> Probe:
    """Check one DICOM file by its header; the pixels are neither read nor decoded.

    Raises:
        Unreadable: with the code :func:`read_grey` would give, where the header decides it.
    """
    with refusing(path):
        return examine(path, preset, limits).probe


def identify(path: Path, limits: DecodeLimits = DEFAULT_LIMITS) -> Identity:
    """Identifiers of a file whose image may be unusable; empty if the header is unusable too."""
    try:
        with quiet():
            return read_identity(open_header(path, limits).dataset)
    # as in read_grey: damage shows anywhere, in any class
    except Exception:  # noqa: BLE001
        return Identity()


def examine(path: Path, preset: Preset, limits: DecodeLimits) -> Examined:
    """Everything that the header decides."""
    with quiet() as caught:
        opened = open_header(path, limits)
        dataset = opened.dataset
        module = read_image_module(dataset, opened.pixels)
        settle_groups(dataset, taken_frame(module.frames))
        check_budget(opened, module, limits)
        check_decoder(dataset.file_meta.TransferSyntaxUID)
        if is_colour(module) and preset in RECIPES:
            detail = f"{module.photometric}: the recipe {preset} takes one-channel images only"
            raise Unreadable("color_image", detail, "Use the preset dicom-voi")
        identity = read_identity(dataset)
        facts = technical_facts(dataset, forbidden=identity.values)
        flags = header_flags(opened, module, facts, suffix=path.suffix.lower())
    if caught:  # their texts may quote identifiers: they are counted, not shown
        flags.add("tag_ignored")
    return Examined(opened, module, Probe(facts, identity, tuple(sorted(flags))), len(caught))


@contextmanager
def refusing(path: Path) -> Iterator[None]:
    """Whatever a file provokes becomes a refusal that names the file."""
    try:
        yield
    except Unreadable as refusal:
        raise refusal.at(path) from None
    except MemoryError:  # says nothing of the file but that it is large: the caller set the limit
        raise
    # pydicom parses elements when they are first touched: damage shows anywhere, in any class
    except Exception as error:  # noqa: BLE001
        detail = f"the header is damaged ({type(error).__name__})"
        raise Unreadable("bad_header", detail, where=path) from None


@contextmanager
def quiet() -> Iterator[list[warnings.WarningMessage]]:
    """Collect pydicom's warnings about odd values; they quote them, so none is shown or logged."""
    logger = logging.getLogger("pydicom")
    disabled = logger.disabled
    logger.disabled = True
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield caught
    finally:
        logger.disabled = disabled
