"""What lies under a source folder: every path exactly once, by content rather than by name."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from synth.data.importers.streams import is_table
from synth.errors import SynthError

Kind = Literal[
    "dicom",
    "raster",
    "unsupported",
    "archive",
    "unreadable",
    "table",
    "text",
    "terms",
    "skipped",
]

_RASTER_SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".gif")  # as in synth.data.raster
)
IMAGE_SUFFIXES = _RASTER_SUFFIXES | {".dcm", ".dicom", ".ima"}
_RASTER_HEADS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"GIF8")
_UNREAD_SUFFIXES = (  # images all the same
    *(".jp2", ".j2k", ".jxl", ".heic", ".avif"),
    *(".nii", ".nii.gz", ".nrrd", ".mha", ".mhd", ".npy", ".npz"),
)
_UNREAD_HEADS = (b"\x93NUMPY", b"\0\0\0\x0cjP  ")
_ARCHIVE_SUFFIXES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".7z", ".rar")
_ARCHIVE_HEADS = (b"PK\x03\x04", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf'\x1c", b"Rar!")
_OTHER_TABLES = frozenset((".xlsx", ".xls", ".ods", ".parquet", ".xml", ".json", ".sas7bdat"))
_PARTIAL_SUFFIXES = (".lock", ".tmp", ".part", ".crdownload", "~")
_PROSE = frozenset(("readme", "license", "licence", "sha256sums", "checksums", "md5sums"))


@dataclass(frozen=True, slots=True)
class Input:
    r"""One path under the source.

    Attributes:
        path: where it lies.
        name: relative to the source, with ``/``; bytes that are not UTF-8 as ``\xe9``.
        kind: what it is taken for.
        code: for ``skipped`` and ``unreadable``, why: see :data:`synth.data.quarantine.SKIPPED`.
    """

    path: Path
    name: str
    kind: Kind
    code: str = ""


@dataclass(frozen=True)
class Inputs:
    """All paths of a source, sorted by name."""

    source: Path
    files: tuple[Input, ...]

    def of(self, *kinds: Kind) -> tuple[Input, ...]:
        """The files of these kinds."""
        return tuple(item for item in self.files if item.kind in kinds)

    @property
    def images(self) -> tuple[Input, ...]:
        """What must come out as ok, quarantined or duplicate unless an importer reads it."""
        return self.of("dicom", "raster", "unsupported", "archive", "unreadable")

    @property
    def counts(self) -> dict[str, int]:
        """Files a kind."""
        return dict(sorted(Counter(item.kind for item in self.files).items()))


def scan(source: Path) -> Inputs:
    """Walk a folder without following links; never opens what is not a regular file.

    A file is an image if its first bytes say so or its suffix does: a damaged ``.dcm`` must end in
    the quarantine, not be overlooked. So must an image in a format that is not read, an archive
    that may hold images, and a folder that cannot be listed.

    Raises:
        SynthError: the folder is missing, or empty.
    """
    if not source.is_dir():
        got = "a file" if source.exists() else "nothing"
        raise SynthError("the source folder does not exist", where=source, got=got)
    files = sorted(_walk(source), key=lambda item: item.name)
    if not files:
        raise SynthError(
            "the source folder is empty",
            where=source,
            expected="DICOM, PNG or JPEG files with reports (a CSV table or .txt files)",
        )
    return Inputs(source, tuple(files))


def _walk(source: Path) -> Iterator[Input]:
    closed: list[Path] = []
    for folder, folders, names in os.walk(
        source, onerror=lambda error: closed.append(Path(error.filename))
    ):
        for name in folders:
            path = Path(folder, name)
            if path.is_symlink() or path.suffix.lower() in IMAGE_SUFFIXES:
                yield Input(path, _name(path, source), "skipped", "not_a_regular_file")
        for name in names:
            path = Path(folder, name)
            yield _classify(path, _name(path, source))
    for path in closed:
        yield Input(path, _name(path, source), "unreadable", "io_error")


def _name(path: Path, source: Path) -> str:
    relative = path.relative_to(source).as_posix()
    return os.fsencode(relative).decode("utf-8", "backslashreplace")


def _classify(path: Path, name: str) -> Input:
    suffix, stem, whole = path.suffix.lower(), path.stem.lower(), path.name.lower()
    code = ""
    if not _is_regular(path):
        code = "not_a_regular_file"
    elif whole.endswith(_PARTIAL_SUFFIXES):
        code = "partial_file"
    elif any(part.startswith(".") for part in name.split("/")) or stem.startswith("~$"):
        code = "hidden"
    elif whole == "dicomdir":
        code = "dicomdir"
    elif stem in _PROSE and suffix in ("", ".txt", ".md"):
        code = "documentation"
    if code:
        return Input(path, name, "skipped", code)
    if is_table(whole):
        return Input(path, name, "table")
    if suffix == ".txt":
        return Input(path, name, "terms" if name.lower() == "terms.txt" else "text")
    return _by_content(path, name, suffix)


def _is_regular(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:  # gone since the folder was listed
        return False


def _by_content(path: Path, name: str, suffix: str) -> Input:
    try:
        head = read_head(path)
    except OSError:  # whatever it is, it is not overlooked
        return Input(path, name, "unreadable", "io_error")
    if head[128:132] == b"DICM":
        return Input(path, name, "dicom")
    if head.startswith(_RASTER_HEADS):
        return Input(path, name, "raster")
    if name.lower().endswith(_UNREAD_SUFFIXES) or head.startswith(_UNREAD_HEADS):
        return Input(path, name, "unsupported")
    packed = head.startswith(_ARCHIVE_HEADS) and suffix in (*IMAGE_SUFFIXES, "")
    if packed or name.lower().endswith(_ARCHIVE_SUFFIXES):
        return Input(path, name, "archive")
    if suffix in IMAGE_SUFFIXES:
        return Input(path, name, "raster" if suffix in _RASTER_SUFFIXES else "dicom")
    table = suffix in _OTHER_TABLES
    return Input(path, name, "skipped", "table_not_understood" if table else "not_an_image")


def read_head(path: Path) -> bytes:
    """The first 512 bytes.

    Raises:
        OSError: the file cannot be opened.
    """
    with path.open("rb") as file:
        return file.read(512)
