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
from itertools import islice
from pathlib import Path
from typing import TextIO

from synth.errors import SynthError

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl")
_MOST_CHARACTERS = 16_000_000  # of one cell: far above any report
_HEAD_LINES = 50  # of JSONL, to know its keys


@dataclass(frozen=True, slots=True)
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
        """Whether all these columns are there, spelled exactly so: rows are read by these names."""
        return set(columns) <= set(self.columns)


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
        try:
            for _, cells in islice(stream(path), _HEAD_LINES):
                keys.update(dict.fromkeys(cells))
        except SynthError:
            if not keys:
                raise  # else the rows above the broken one are read later
        return TableHead(path, name, tuple(keys))
    with _text(path, head_only=True) as file:
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
                first = [(name, header.index(name)) for name in dict.fromkeys(header)]
                plain = len(first) == len(header)
            elif plain and len(cells) >= len(header):
                yield reader.line, dict(zip(header, cells, strict=False))
            else:
                count = len(cells)
                yield reader.line, {name: cells[at] if at < count else "" for name, at in first}


def stream_cells(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Rows as ``(line, cells)``, the header included, for tables whose header is malformed."""
    with _text(path) as file:
        reader = _Reader(file, path)
        for cells in reader:
            yield reader.line, cells


def read_text(path: Path) -> str:
    """A whole text file, in the encodings of tables.

    Raises:
        SynthError: it is not readable, or longer than any report.
    """
    with _text(path) as file:
        text = file.read(_MOST_CHARACTERS + 1)
    if len(text) > _MOST_CHARACTERS:
        raise SynthError("the text is longer than any report", where=path)
    return text


class _Reader:
    """``csv.reader`` whose errors name file and line, and which notices a quote never closed."""

    def __init__(self, file: TextIO, path: Path) -> None:
        csv.field_size_limit(_MOST_CHARACTERS)
        start = _line(file, path, 1)
        self._path = path
        self._ended = False
        delimiter = max(",;\t", key=start.count)
        self._csv = csv.reader(self._lines(start, file), delimiter=delimiter)

    @property
    def line(self) -> int:
        return self._csv.line_num

    def __iter__(self) -> Iterator[list[str]]:
        return self

    def __next__(self) -> list[str]:
        begin = self._csv.line_num + 1
        try:
            cells = next(self._csv)
        except (csv.Error, UnicodeError, EOFError, OSError, zlib.error) as error:
            raise self._error(begin, error) from None
        if self._ended:  # a whole row never asks for a line more
            raise self._error(begin, "a quoted cell is never closed")
        return cells

    def _error(self, line: int, got: object) -> SynthError:
        return SynthError(
            "the table is not readable",
            where=f"{self._path}:{line}",
            got=got,
            fix="Repair this row, or export the table again.",
        )

    def _lines(self, start: str, rest: TextIO) -> Iterator[str]:
        yield start.replace("\0", "")
        number = 2
        while line := _line(rest, self._path, number):
            yield line.replace("\0", "")
            number += 1
        self._ended = True


def _line(file: TextIO, path: Path, number: int) -> str:
    line = file.readline(_MOST_CHARACTERS + 1)
    if len(line) > _MOST_CHARACTERS:
        raise SynthError(
            "the table is not readable",
            where=f"{path}:{number}",
            got=f"a line of more than {_MOST_CHARACTERS:,} characters",
        )
    return line


def _is_jsonl(path: Path) -> bool:
    return path.name.lower().removesuffix(".gz").endswith(".jsonl")


@contextmanager
def _text(path: Path, *, head_only: bool = False) -> Iterator[TextIO]:
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    try:
        encoding = _encoding(path, head_only=head_only)
        with opened(path, "rt", encoding=encoding, errors="replace", newline="") as file:
            yield file
    except (EOFError, OSError, zlib.error) as error:
        fix = "Copy the file again."
        raise SynthError("the file is not readable", where=path, got=error, fix=fix) from None


def _encoding(path: Path, *, head_only: bool) -> str:
    """By byte order mark, else UTF-8 if the whole file (or its head) decodes, else Latin-1."""
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    with opened(path, "rb") as file:
        block = file.read(1 << 20)
        if block.startswith((b"\xff\xfe", b"\xfe\xff")):
            return "utf-16"
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            while block:
                decoder.decode(block)
                block = b"" if head_only else file.read(1 << 20)
        except UnicodeDecodeError:
            return "latin-1"
    return "utf-8-sig"


def _stream_jsonl(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    with _text(path) as file:
        number = 0
        while raw := _line(file, path, number := number + 1):
            if not raw.strip():
                continue
            try:
                record = json.loads(raw)
            except (ValueError, RecursionError):
                raise SynthError("not a JSON line", where=f"{path}:{number}") from None
            if isinstance(record, dict):
                cells = {str(key): "" if v is None else str(v) for key, v in record.items()}
                yield number, cells
