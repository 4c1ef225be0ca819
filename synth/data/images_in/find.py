"""What images a folder, a file or an archive holds, in a fixed order, without decoding any."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from synth.data.images_in.picture import Picture
from synth.errors import SynthError
from synth.manifest import Dataset, Row, SyntheticRow

_RASTER = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
_DICOM = (".dcm", ".dicom", ".ima")
_PACKED = (".tar.gz", ".tgz", ".tar.zst", ".tar.xz", ".tar.bz2")
_EXPECTED = "PNG, JPEG, TIFF or DICOM files, or WebDataset .tar archives"
_SPLITS = {"train": "train", "val": "val", "validation": "val", "test": "test"}


def dataset_pictures(dataset: Dataset, rows: Sequence[Row]) -> tuple[Picture, ...]:
    """The images of some rows of a prepared or synthetic dataset."""
    return tuple(Picture(row.file_name, dataset.path(row), row=row) for row in rows)


def is_tar(path: Path) -> bool:
    """A WebDataset archive, or a folder that holds such archives and no images beside them."""
    if path.is_file():
        return path.name.lower().endswith((".tar", *_PACKED))
    return path.is_dir() and any(path.glob("*.tar")) and not _images(path)


def find_pictures(path: Path) -> tuple[Picture, ...]:
    """Every image of a plain folder (sorted by name), of one file, or of WebDataset archives.

    DICOM files are known by suffix, or by content where there is no suffix.

    Raises:
        SynthError: nothing is there, or no image.
    """
    if not path.exists():
        raise SynthError("no such folder", where=path)
    if path.is_file() and not is_tar(path):
        return (Picture(path.name, path),)
    if is_tar(path):
        archives = [path] if path.is_file() else sorted(path.glob("*.tar"))
        found = tuple(picture for archive in archives for picture in _members(archive))
    else:
        found = tuple(Picture(file.relative_to(path).as_posix(), file) for file in _images(path))
    if not found:
        raise SynthError("no images to score", where=path, got="no images", expected=_EXPECTED)
    return found


def _images(folder: Path) -> list[Path]:
    return [file for file in sorted(folder.rglob("*")) if _is_image(file)]


def _is_image(path: Path) -> bool:
    if path.name.startswith("."):
        return False
    suffix = path.suffix.lower()
    if suffix in _RASTER or suffix in _DICOM:
        return True
    # Archives name DICOM files by UID or number, so that what follows a dot is no suffix.
    known = suffix.removeprefix(".").isdigit() or not suffix
    return known and path.is_file() and _starts_as_dicom(path)


def _starts_as_dicom(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _members(archive: Path) -> list[Picture]:
    """The samples of one archive: files whose names agree up to the first dot belong together."""
    if archive.name.lower().endswith(_PACKED):
        raise SynthError(
            "a compressed archive cannot be read at random",
            where=archive,
            fix="Unpack it to .tar (`gunzip`): images are compressed already.",
        )
    images: list[tuple[str, str, tarfile.TarInfo]] = []
    rows: dict[str, Row] = {}
    try:
        with tarfile.open(archive, "r:") as tar:
            for member in tar:
                if not member.isfile():
                    continue
                key, suffix = _key(member.name)
                if suffix in _RASTER or suffix in _DICOM:
                    images.append((key, suffix, member))
                elif suffix == ".json" and (file := tar.extractfile(member)) is not None:
                    row = _row(key, file.read())
                    rows |= {} if row is None else {key: row}
    except tarfile.TarError as error:
        raise SynthError("not a readable tar archive", where=archive, got=error) from None
    return [
        Picture(f"{key}{suffix}", archive, member.offset_data, member.size, rows.get(key))
        for key, suffix, member in images
    ]


def _key(name: str) -> tuple[str, str]:
    """``a/b.c.png`` -> (``a/b``, ``.png``), as WebDataset splits names."""
    folder, _, base = name.rpartition("/")
    stem, _, rest = base.partition(".")
    return (f"{folder}/{stem}" if folder else stem), f".{rest.rpartition('.')[2].lower()}"


_FACTS = ("patient_id", "study_id", "sex", "age_band", "view", "text_used", "sample_id")


def _row(key: str, content: bytes) -> Row | None:
    """What a sample's JSON says, where it is written as `synth export` writes it."""
    try:
        facts = json.loads(content)
    except ValueError:
        return None
    split = _SPLITS.get(str(facts.get("split"))) if isinstance(facts, dict) else None
    if split is None:
        return None
    known = {"sample_id": key} | {
        name: facts[name] for name in _FACTS if isinstance(facts.get(name), str)
    }
    kind = SyntheticRow if facts.get("synthetic") and "prompt_hash" in facts else Row
    extra = {name: value for name, value in facts.items() if name in kind.model_fields}
    merged: dict[str, Any] = (
        extra
        | known
        | {
            "file_name": key,
            "split": split,
            "labels": _labels(facts),
        }
    )
    try:
        return kind.model_validate({name: v for name, v in merged.items() if v is not None})
    except ValidationError:
        return None


def _labels(facts: Mapping[str, Any]) -> dict[str, int | None]:
    """Findings: a table of their own, or every other column that holds 1, 0, -1 or nothing."""
    held = facts.get("labels")
    if isinstance(held, Mapping):
        return {str(name): _label(value) for name, value in held.items()}
    known = {*Row.model_fields, *SyntheticRow.model_fields, "weight"}
    return {
        name: _label(value)
        for name, value in facts.items()
        if name not in known and (value is None or type(value) is int) and value in (1, 0, -1, None)
    }


def _label(value: object) -> int | None:
    return value if type(value) is int and value in (1, 0, -1) else None
