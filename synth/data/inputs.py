"""What lies under a source folder: every file exactly once, by content rather than by name."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from synth.errors import SynthError

Kind = Literal["dicom", "raster", "table", "text", "terms", "hidden", "unsupported", "other"]

IMAGE_SUFFIXES = frozenset((".dcm", ".dicom", ".ima", ".png", ".jpg", ".jpeg"))
_RASTER_SUFFIXES = frozenset((".png", ".jpg", ".jpeg"))
_UNREAD_SUFFIXES = frozenset((".tif", ".tiff", ".bmp", ".webp", ".gif"))  # images all the same
_TABLE_SUFFIXES = frozenset((".csv", ".tsv", ".jsonl"))
_PROSE = frozenset(("readme", "license", "licence", "sha256sums", "checksums", "md5sums"))


@dataclass(frozen=True)
class Input:
    """One file: its path relative to the source, with ``/``, and what it is taken for."""

    path: Path
    name: str
    kind: Kind


@dataclass(frozen=True)
class Inputs:
    """All files of a source, sorted by name."""

    source: Path
    files: tuple[Input, ...]

    def of(self, *kinds: Kind) -> tuple[Input, ...]:
        """The files of these kinds."""
        return tuple(item for item in self.files if item.kind in kinds)

    @property
    def images(self) -> tuple[Input, ...]:
        """What must come out as ok, quarantined or duplicate."""
        return self.of("dicom", "raster", "unsupported")

    @property
    def counts(self) -> dict[str, int]:
        """Files a kind."""
        return dict(sorted(Counter(item.kind for item in self.files).items()))


def scan(source: Path) -> Inputs:
    """Walk a folder without following links; never opens what is not a regular file.

    A file is an image if its first bytes say so or its suffix does: a damaged ``.dcm`` must end in
    the quarantine, not be overlooked. So must an image in a format that is not read.

    Raises:
        SynthError: the folder is missing, or empty.
    """
    if not source.is_dir():
        got = "a file" if source.exists() else "nothing"
        raise SynthError("the source folder does not exist", where=source, got=got)
    files: list[Input] = []
    for folder, folders, names in os.walk(source):
        folders.sort()
        for name in names:
            path = Path(folder, name)
            relative = path.relative_to(source).as_posix()
            files.append(Input(path, relative, _kind(path, relative)))
    if not files:
        raise SynthError(
            "the source folder is empty",
            where=source,
            expected="DICOM, PNG or JPEG files with reports (a CSV table or .txt files)",
        )
    return Inputs(source, tuple(sorted(files, key=lambda item: item.name)))


def _kind(path: Path, relative: str) -> Kind:
    suffix, stem = path.suffix.lower(), path.stem.lower()
    if any(part.startswith(".") for part in relative.split("/")) or stem.startswith("~$"):
        return "hidden"
    if suffix in (".lock", ".tmp", ".part", ".crdownload") or relative.endswith("~"):
        return "hidden"
    if not path.is_file() or path.is_symlink():
        return "other"
    if path.name.upper() == "DICOMDIR":
        return "other"
    if suffix in _TABLE_SUFFIXES:
        return "table"
    if suffix == ".txt":
        return "terms" if relative.lower() == "terms.txt" else "other" if stem in _PROSE else "text"
    return _by_content(path, suffix)


def _by_content(path: Path, suffix: str) -> Kind:
    head = read_head(path)
    if head[128:132] == b"DICM":
        return "dicom"
    if head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")):
        return "raster"
    if suffix in IMAGE_SUFFIXES:
        return "raster" if suffix in _RASTER_SUFFIXES else "dicom"
    return "unsupported" if suffix in _UNREAD_SUFFIXES else "other"


def read_head(path: Path) -> bytes:
    """The first 512 bytes; nothing if the file cannot be opened."""
    try:
        with path.open("rb") as file:
            return file.read(512)
    except OSError:
        return b""
