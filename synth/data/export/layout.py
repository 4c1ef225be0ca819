"""What a format is asked for, and what it says of the files that it wrote."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from synth.data.export.collection import Collection
from synth.data.export.columns import Kind
from synth.data.export.folder import Folder

Bits = Literal["auto", "8", "16"]
SopClass = Literal["sc", "dx"]
Tick = Callable[[], None]  # called once an image


@dataclass(frozen=True)
class Options:
    """Choices of single formats; the others do not look at them.

    Attributes:
        shard: images in a Parquet file or a tar archive, at most.
        sop_class: ``sc`` Secondary Capture, ``dx`` Digital X-Ray Image (for presentation).
        bits: stored bits of DICOM pixels; ``auto`` keeps those of the file.
        report: write the text as a Basic Text SR document too.
        body_part: Body Part Examined.
        view: of DICOM images whose row names none.
    """

    shard: int = 1000
    sop_class: SopClass = "sc"
    bits: Bits = "auto"
    report: bool = False
    body_part: str = "CHEST"
    view: str | None = None


@dataclass(frozen=True)
class Files:
    """Files of one kind, as Croissant describes them.

    Attributes:
        name: identifier.
        pattern: glob relative to the export; without a ``*`` it is one file.
        media_type: of each.
        table: column -> kind, if these files are the table of the export.
    """

    name: str
    pattern: str
    media_type: str
    table: Mapping[str, Kind] = field(default_factory=dict)


@dataclass(frozen=True)
class Layout:
    """What a format wrote.

    Attributes:
        files: by kind.
        code: Python that opens it, for the card; ``DIR`` stands for the folder.
        remarks: sentences for the card.
        data_files: split -> glob, for the Hugging Face configuration in the card.
        notes: what the user should hear now.
    """

    files: tuple[Files, ...]
    code: str
    remarks: tuple[str, ...] = ()
    data_files: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Write(Protocol):
    """A format."""

    def __call__(
        self, collection: Collection, folder: Folder, options: Options, tick: Tick
    ) -> Layout:
        """Put the collection into the folder."""
        ...
