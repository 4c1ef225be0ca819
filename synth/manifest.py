"""The dataset folder: one JSONL row an image, readable by Hugging Face ``datasets`` as it stands.

    metadata.jsonl        one ``Row`` (real) or ``SyntheticRow`` an image, appended after its file
    images/<shard>/…png   one-channel PNG
    masks/…png            where rows name one in ``mask_file_name``: see ``synth.masks``
    dataset.json          ``DatasetInfo``: schema version, counts, terms of use, preprocessing
    quarantine.jsonl      what was refused, why, and what to do
    SHA256SUMS, README.md

Files are committed by temp + fsync + rename, so a killed run leaves whole files or none.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from synth.errors import SynthError

SCHEMA_VERSION = 1
NO_FINDING = "no_finding"  # a label that says that every other one is absent
Label = Literal[1, 0, -1] | None  # present, absent, uncertain, not stated
Split = Literal["train", "val", "test"]


class Row(BaseModel):
    """One image of a prepared dataset. Ids are pseudonyms, never a hospital's own.

    Attributes:
        text: the scrubbed report.
        text_used: what conditions the model.
        flags: warnings about image and text: names of ``synth.dicom.FLAGS`` and of
            ``synth.text.ReadReport.warnings``.
        attributes: finding -> side, severity, location, where stated.
        phash: perceptual hash of the image, 64 hexadecimal digits; empty if it was not computed.
        mask_file_name: a further column, where there is a mask: see ``synth.masks``.
        official_split: the split that the image's source gives it; ``split`` is the same one or
            holds the image further out of training.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    file_name: str
    sample_id: str
    split: Split
    patient_id: str | None = None
    study_id: str | None = None
    view: str | None = None
    sex: str | None = None
    age_band: str | None = None
    language: str | None = None
    text: str = ""
    text_used: str = ""
    labels: dict[str, Label] = Field(default_factory=dict)
    label_source: str = ""
    source: str = ""
    sha256: str = ""
    width: int = 0
    height: int = 0
    bit_depth: int = 8
    preprocessing: dict[str, Any] = Field(default_factory=dict)
    flags: list[str] = Field(default_factory=list)
    attributes: dict[str, dict[str, str]] | None = None
    phash: str = ""
    official_split: Split | None = None
    synthetic: bool = False


class SyntheticRow(Row):
    """One generated image: everything needed to make it again, bit for bit."""

    synthetic: bool = True
    seed: int
    attempt: int = 0
    prompt_hash: str
    weights_sha256: str
    config_sha256: str
    solver: str
    steps: int
    guidance: float
    filters: dict[str, Any] = Field(default_factory=dict)
    nearest_real_distance: float | None = None


class SourceTerms(BaseModel):
    """A source that images came from and its terms, which bind whatever is made of them.

    Attributes:
        name: stable lower-case name.
        title: as people write it.
        licence: SPDX id or the name of the agreement.
        terms: the conditions, one each.
        citation: one line.
        url: where it is published.
        redistribution: whether the data, or samples of a model trained on them, may be passed on.
        commercial: whether commercial use is allowed.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str
    title: str
    licence: str = ""
    terms: list[str] = Field(default_factory=list)
    citation: str = ""
    url: str = ""
    redistribution: bool = False
    commercial: bool = False


class DatasetInfo(BaseModel):
    """Facts about the whole folder: ``dataset.json``."""

    model_config = ConfigDict(extra="allow")

    schema_version: int = SCHEMA_VERSION
    name: str
    synthetic: bool = False
    phantom: bool = False
    size: int = 0
    counts: dict[str, int] = Field(default_factory=dict)
    findings: list[str] = Field(default_factory=list)
    flags: dict[str, int] = Field(default_factory=dict)
    terms: list[str] = Field(default_factory=list)
    sources: list[SourceTerms] = Field(default_factory=list)
    preprocessing: dict[str, Any] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True)
class Dataset:
    """A dataset folder read into memory: rows in file order, images left on disk."""

    folder: Path
    info: DatasetInfo
    rows: tuple[Row, ...]

    def path(self, row: Row) -> Path:
        """Where a row's image lies."""
        return self.folder / row.file_name

    def split(self, *names: str) -> tuple[Row, ...]:
        """The rows of the named splits, in file order."""
        return tuple(row for row in self.rows if row.split in names)

    @property
    def findings(self) -> tuple[str, ...]:
        """The finding names used by the labels, sorted; ``no_finding`` is none."""
        return tuple(sorted({name for row in self.rows for name in row.labels} - {NO_FINDING}))


def open_dataset(folder: Path | str) -> Dataset:
    """Read ``metadata.jsonl`` and ``dataset.json`` of a prepared or synthetic dataset.

    Raises:
        SynthError: the folder or its table is missing, empty or malformed, with the line number.
    """
    folder = Path(folder)
    table = folder / "metadata.jsonl"
    if not table.is_file():
        raise SynthError(
            "not a dataset: no metadata.jsonl",
            where=folder,
            fix="Make one with `synth prepare SOURCE DATASET`.",
        )
    rows = tuple(_parse_row(table, number, raw) for number, raw in enumerate(read_jsonl(table), 1))
    if not rows:
        raise SynthError("the dataset has no images", where=table)
    return Dataset(folder, read_info(folder), rows)


def read_info(folder: Path) -> DatasetInfo:
    """``dataset.json`` of a folder; nothing but its name where there is none.

    Raises:
        SynthError: it is malformed.
    """
    path = folder / "dataset.json"
    if not path.is_file():
        return DatasetInfo(name=folder.name)
    try:
        return DatasetInfo.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise SynthError(f"bad value for `{key}`: {first['msg']}", where=path) from None


def _parse_row(table: Path, number: int, raw: dict[str, Any]) -> Row:
    labels = raw.get("labels")
    if isinstance(labels, dict):  # one string a name, not one a row: half the memory of a table
        raw["labels"] = {sys.intern(name): value for name, value in labels.items()}
    try:
        kind = SyntheticRow if raw.get("synthetic") else Row
        return kind.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise SynthError(
            f"bad value for `{name}`: {first['msg']}", where=f"{table}:{number}"
        ) from None


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a JSONL file; a torn last line, left by a kill, is skipped.

    Raises:
        SynthError: any other line is not a JSON object.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except ValueError:
                if not line.endswith(b"\n"):  # the write was cut short
                    return
                raise SynthError("not a JSON line", where=f"{path}:{number}") from None
            if not isinstance(value, dict):
                raise SynthError("not a JSON object", where=f"{path}:{number}")
            yield value


def append_jsonl(path: Path, rows: Iterable[BaseModel | dict[str, Any]]) -> None:
    """Append rows and fsync; a torn last line is cut off first so that the file stays readable."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = b"".join(_line(row) for row in rows)
    with path.open("ab+") as file:
        _mend_last_line(file)
        file.write(lines)
        file.flush()
        os.fsync(file.fileno())


def _line(row: BaseModel | dict[str, Any]) -> bytes:
    value = row.model_dump(mode="json") if isinstance(row, BaseModel) else row
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


def _mend_last_line(file: BinaryIO) -> None:
    """Cut a last line that a kill tore; end with a newline one that only lacks it."""
    start = end = file.seek(0, os.SEEK_END)
    tail = b""
    while start and b"\n" not in tail:  # read backwards: the file may be large
        start = max(0, start - 65536)
        file.seek(start)
        tail = file.read(end - start)
    last = tail[tail.rfind(b"\n") + 1 :]
    if last and _is_json(last):
        file.write(b"\n")
    elif last:
        file.truncate(end - len(last))


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: temp file beside it, fsync, rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Write JSON (pydantic models too) atomically, indented, keys in given order."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    write_bytes(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


def write_sha256sums(folder: Path, *, exclude: Iterable[str] = ()) -> None:
    """Write ``SHA256SUMS`` over every file of the folder, in the format of ``sha256sum``.

    Args:
        folder: the dataset.
        exclude: names, relative to the folder, of files that are not part of it.
    """
    left_out = {"SHA256SUMS", *exclude}
    names = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file()
        and path.relative_to(folder).as_posix() not in left_out
        and not path.name.startswith(".")
    )
    lines = [f"{sha256_file(folder / name)}  {name}\n" for name in names]
    write_bytes(folder / "SHA256SUMS", "".join(lines).encode())


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_text(text: str) -> str:
    """Hex SHA-256 of UTF-8 text."""
    return hashlib.sha256(text.encode()).hexdigest()
