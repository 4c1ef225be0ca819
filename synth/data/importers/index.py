"""All that tables and texts say, findable by image."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Protocol

from synth.data.importers import folder
from synth.data.importers.base import Key, Problem, Record, Source
from synth.data.importers.recognise import Recognised, Recognition, recognise, unreadable
from synth.data.importers.streams import TableHead
from synth.data.inputs import Input, Inputs
from synth.dicom import Identity, Unreadable
from synth.errors import SynthError

_ROUNDED = re.compile(r"[+-]?\d(?:\.\d+)?e\+\d+", re.IGNORECASE)  # as spreadsheets round long ids


class _Finder(Protocol):
    def keys(self, path: PurePosixPath, identity: Identity) -> Iterator[Key]: ...


class _Part:
    """The records of one source by key."""

    def __init__(self, finder: _Finder) -> None:
        self._finder = finder
        self._by_key: dict[Key, Record | list[Record]] = {}

    def add(self, record: Record) -> None:
        for key in record.keys:
            known = self._by_key.setdefault(key, record)
            if isinstance(known, list):
                known.append(record)
            elif known is not record:
                self._by_key[key] = [known, record]

    def matches(self, path: PurePosixPath, identity: Identity) -> tuple[list[Record], str]:
        """The records of the first key that has any, and its namespace.

        Where a key has several, those that share the most keys with the image: a row for the
        image itself beats the others of its study.
        """
        keys = list(self._finder.keys(path, identity))
        for key in keys:
            known = self._by_key.get(key)
            if isinstance(known, Record):
                return [known], key[0]
            if known:
                mine = set(keys)
                shared = [len(mine & record.keys) for record in known]
                most = max(shared)
                best = [one for one, count in zip(known, shared, strict=True) if count == most]
                return best, key[0]
        return [], ""


class Imported:
    """The records of all sources under a folder.

    Attributes:
        all: every record.
        sources: named sources with their terms; a plain folder has none.
        used: names of the files that were read, images aside.
        unknown: tables that were not understood.
        problems: what could not be read.
        notes: for the user, what was recognised and what was not.
    """

    def __init__(self, recognition: Recognition, inputs: Inputs) -> None:
        self.all: list[Record] = []
        self.sources: tuple[Source, ...] = tuple(one.importer.source for one in recognition.found)
        self.problems = list(recognition.problems)
        self._parts: list[_Part] = []
        shared = _Shared(inputs)
        for one in recognition.found:
            self._add(_Part(one.importer), shared.of(self._read(one, inputs), one))
        tables = [(head, folder.understand(head)) for head in recognition.rest]
        known = [(head, columns) for head, columns in tables if columns]
        strange = [head for head, columns in tables if not columns]
        claimed = {head.name for one in recognition.found for head in one.own}
        texts = [item for item in inputs.of("text") if item.name not in claimed]
        if known or texts:
            records = folder.put_together(self._usable(_folder_records(known, texts)))
            self._add(_Part(folder.FolderKeys(inputs.images)), shared.of(records, None))
        self.used = claimed | {head.name for head, _ in known} | {item.name for item in texts}
        names = {head.name for head in strange}
        self.unknown: tuple[Input, ...] = tuple(
            item for item in inputs.of("table") if item.name in names
        )
        self.notes: tuple[str, ...] = (
            *(one.sentence() for one in recognition.found),
            *(f"table not understood, skipped: {h.name} ({folder.why_not(h)})" for h in strange),
        )

    def find(self, name: str, identity: Identity) -> Record | None:
        """The record of an image.

        Raises:
            Unreadable: ``ambiguous_report``: two different reports or labellings claim the image.
        """
        found, space = self._matches(name, identity)
        if len({record.text for record in found}) > 1:
            detail = f"{len(found)} different reports have the same {space} key"
            raise Unreadable("ambiguous_report", detail, "Keep one report a study")
        if len({tuple(sorted(record.labels.items())) for record in found}) > 1:
            detail = f"{len(found)} rows with different labels have the same {space} key"
            raise Unreadable("ambiguous_report", detail, "Add a column that names the image")
        return found[0] if found else None

    def claimed(self, name: str, identity: Identity) -> list[Record]:
        """All records that mean this image, also where it cannot choose between them."""
        return self._matches(name, identity)[0]

    def source_of(self, record: Record) -> str:
        """The name of a record's source, or ``folder``."""
        return record.source or folder.NAME

    def _matches(self, name: str, identity: Identity) -> tuple[list[Record], str]:
        path = PurePosixPath(name)
        for part in self._parts:
            found, space = part.matches(path, identity)
            if found:
                return found, space
        return [], ""

    def _add(self, part: _Part, records: Iterable[Record]) -> None:
        self._parts.append(part)
        for record in records:
            self.all.append(record)
            part.add(record)

    def _read(self, one: Recognised, inputs: Inputs) -> Iterator[Record]:
        return self._usable(one.importer.records(one.own, inputs))

    def _usable(self, records: Iterable[Record | Problem]) -> Iterator[Record]:
        for record in records:
            if isinstance(record, Problem):
                self.problems.append(record)
            else:
                yield record


class _Shared:
    """Keeps one copy of equal texts and labels, names the source, and refuses rounded ids."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self._texts: dict[str, str] = {}
        self._labels: dict[tuple[tuple[str, str], ...], Mapping[str, str]] = {}

    def of(self, records: Iterable[Record], one: Recognised | None) -> Iterator[Record]:
        source = one.importer.source.name if one else ""
        for record in records:
            self._check(record)
            yield replace(
                record,
                text=self._texts.setdefault(record.text, record.text),
                labels=self._labels.setdefault(tuple(record.labels.items()), record.labels),
                source=source,
            )

    def _check(self, record: Record) -> None:
        names = [record.fields.get(name, "") for name in ("patient", "study")]
        for value in (*names, *(value for _, value in record.keys)):
            if "+" in value and _ROUNDED.fullmatch(value.strip()):
                raise SynthError(
                    "a long identifier was rounded by a spreadsheet program",
                    where=self._inputs.source / record.where,
                    expected="all its digits",
                    fix="Export the table again with identifier columns as text.",
                )


def index_records(inputs: Inputs) -> Imported:
    """Read all tables and texts under a folder.

    Raises:
        SynthError: a table of a named source breaks off, or identifiers were rounded.
    """
    return Imported(recognise(inputs), inputs)


def _folder_records(
    tables: Sequence[tuple[TableHead, folder.Columns]], texts: Sequence[Input]
) -> Iterator[Record | Problem]:
    for head, columns in tables:
        try:
            yield from folder.table_records(head, columns)
        except SynthError as error:  # what stands above the broken row is used
            yield unreadable(head.name, error)
    for item in texts:
        yield folder.text_record(item)
