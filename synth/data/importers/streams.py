"""Tables as they lie on disk, gzipped or not: the header first, then rows one by one.

CSV, TSV and semicolon tables, JSONL; UTF-8 with or without BOM, UTF-16, Latin-1. A table is never
held in memory whole: the largest public ones have 400,000 rows.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from synth.errors import SynthError

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl")
_MOST_CHARACTERS = 16_000_000  # of one cell: far above any report
_HEAD_LINES = 50  # of JSONL, to know its keys


@dataclass(frozen=True)
class TableHead:
    """A table's file and its columns.

    Attributes:
        path: the file.
        name: its path relative to the source, with ``/``.
        columns: header cells, stripped, in order; the keys of the first lines of a JSONL file.
    """

    path: Path
    name: str
    columns: tuple[str, ...]

    def has(self, *columns: str) -> bool:
        """Whether all these columns are there, whatever their case."""
        mine = {column.lower() for column in self.columns}
        return all(column.lower() in mine for column in columns)


def is_table(name: str) -> bool:
    """Whether a file name is a table's, gzipped or not."""
    return name.lower().removesuffix(".gz").endswith(TABLE_SUFFIXES)


def read_head(path: Path, name: str) -> TableHead:
    """Read a table's columns.

    Raises:
        SynthError: the file is not readable as a table.
    """
    if _is_jsonl(path):
        keys: dict[str, None] = {}
        for number, (_, cells) in enumerate(stream(path)):
            keys.update(dict.fromkeys(cells))
            if number >= _HEAD_LINES:
                break
        return TableHead(path, name, tuple(keys))
    with _text(path) as file:
        for header in _Reader(file, path):
            if any(cell.strip() for cell in header):
                return TableHead(path, name, tuple(cell.strip() for cell in header))
    return TableHead(path, name, ())


def stream(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows as ``(line, {column: cell})``; cells as written, ``""`` where a row is short.

    Of columns with the same name the first counts; an unnamed one is called ``""``. Lines are
    counted from 1 and are those on which the row ends.

    Raises:
        SynthError: with file and line.
    """
    if _is_jsonl(path):
        yield from _stream_jsonl(path)
        return
    with _text(path) as file:
        reader = _Reader(file, path)
        header: list[str] = []
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if not header:
                header = [cell.strip() for cell in cells]
                continue
            row = dict.fromkeys(header, "")
            for name, cell in reversed(list(zip(header, cells, strict=False))):
                row[name] = cell
            yield reader.line, row


def stream_cells(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Rows as ``(line, cells)``, the header included, for tables whose header is malformed."""
    with _text(path) as file:
        reader = _Reader(file, path)
        for cells in reader:
            yield reader.line, cells


class _Reader:
    """``csv.reader`` whose errors name file and line."""

    def __init__(self, file: TextIO, path: Path) -> None:
        csv.field_size_limit(_MOST_CHARACTERS)
        start = file.readline()
        self._path = path
        self._lines = self._without_nul(start, file)
        delimiter = max(",;\t", key=start.count)
        self._csv = csv.reader(self._lines, delimiter=delimiter)

    @property
    def line(self) -> int:
        return self._csv.line_num

    def __iter__(self) -> Iterator[list[str]]:
        return self

    def __next__(self) -> list[str]:
        try:
            return next(self._csv)
        except (csv.Error, UnicodeError, EOFError, OSError, zlib.error) as error:
            raise SynthError(
                "the table is not readable",
                where=f"{self._path}:{self._csv.line_num}",
                got=error,
                fix="Repair this line, or export the table again.",
            ) from None

    @staticmethod
    def _without_nul(start: str, rest: TextIO) -> Iterator[str]:
        yield start.replace("\0", "")
        for line in rest:
            yield line.replace("\0", "")


def _is_jsonl(path: Path) -> bool:
    return path.name.lower().removesuffix(".gz").endswith(".jsonl")


@contextmanager
def _text(path: Path) -> Iterator[TextIO]:
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    try:
        encoding = _encoding(path)
        with opened(path, "rt", encoding=encoding, errors="replace", newline="") as file:
            yield file
    except (EOFError, OSError, zlib.error) as error:
        fix = "Copy the file again."
        raise SynthError("the table is not readable", where=path, got=error, fix=fix) from None


def _encoding(path: Path) -> str:
    """By byte order mark, else UTF-8 if the whole file decodes, else Latin-1."""
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    with opened(path, "rb") as file:
        block = file.read(1 << 20)
        if block.startswith((b"\xff\xfe", b"\xfe\xff")):
            return "utf-16"
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            while block:
                decoder.decode(block)
                block = file.read(1 << 20)
        except UnicodeDecodeError:
            return "latin-1"
    return "utf-8-sig"


def _stream_jsonl(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    with _text(path) as file:
        for line, raw in enumerate(file, 1):
            if not raw.strip():
                continue
            try:
                record = json.loads(raw)
            except ValueError:
                raise SynthError("not a JSON line", where=f"{path}:{line}") from None
            if isinstance(record, dict):
                cells = {str(key): "" if v is None else str(v) for key, v in record.items()}
                yield line, cells
