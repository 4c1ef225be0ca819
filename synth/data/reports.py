"""Reports and table columns, and which image they belong to.

Understood without configuration: CSV, TSV and JSONL tables whose header names an identifier
(accession, study UID, file) and a report or findings; ``.txt`` files beside the image, named like
it, by accession, or like the image's folder.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from synth.data.inputs import Input, Inputs
from synth.data.tables import TableRow, read_table
from synth.dicom import Identity, Unreadable

Key = tuple[str, str]  # namespace (accession, study, file, text) and normalised value


@dataclass(frozen=True)
class Report:
    """One report or table row.

    Attributes:
        where: file and line, for messages.
        text: the report; empty for a row that only has labels.
        fields: patient, view, sex and age as the table has them.
        labels: the table's finding columns, values as written.
        keys: what it can be found by.
    """

    where: str
    text: str
    fields: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    keys: frozenset[Key] = frozenset()


class ReportIndex:
    """Reports by key; finds the one of an image."""

    def __init__(self, images: Iterable[Input]) -> None:
        self._reports: dict[Key, list[Report]] = {}
        self.all: list[Report] = []
        names = [PurePosixPath(item.name) for item in images]
        # A bare name only identifies an image if no other image has it.
        self._shared = {
            name
            for name, count in (
                Counter(p.name for p in names) + Counter(p.stem for p in names)
            ).items()
            if count > 1
        }

    def add(self, report: Report, keys: Iterable[Key]) -> None:
        """Make a report findable under keys."""
        report = replace(report, keys=frozenset(keys))
        self.all.append(report)
        for key in report.keys:
            self._reports.setdefault(key, []).append(report)

    def find(self, name: str, identity: Identity) -> Report | None:
        """The report of an image, by accession, study, path, name, in this order.

        Raises:
            Unreadable: ``ambiguous_report``: two different texts claim the image.
        """
        found, space = self._first_match(name, identity)
        if len({report.text for report in found}) > 1:
            raise Unreadable(
                "ambiguous_report",
                f"{len(found)} different reports have the same {space} key",
                "Keep one report a study",
            )
        return found[0] if found else None

    def claimed(self, name: str, identity: Identity) -> list[Report]:
        """All reports that mean this image, also where it cannot choose between them."""
        return self._first_match(name, identity)[0]

    def _first_match(self, name: str, identity: Identity) -> tuple[list[Report], str]:
        for key in self._candidates(PurePosixPath(name), identity):
            if found := self._reports.get(key):
                return found, key[0]
        return [], ""

    def _candidates(self, path: PurePosixPath, identity: Identity) -> Iterator[Key]:
        bare = [name for name in (path.name, path.stem) if name not in self._shared]
        parents = [parent.name for parent in path.parents if parent.name]
        yield from _keys("file", [str(path), str(path.with_suffix(""))])
        yield from _keys("text", [str(path.with_suffix("")), str(path.parent)])
        for space, value in (("accession", identity.accession), ("study", identity.study)):
            yield from _keys(space, [value] if value else [*bare, *parents])
            yield from _keys("text", [value])
        yield from _keys("file", [identity.instance, *bare])
        yield from _keys("text", bare)


def _keys(space: str, values: Iterable[str]) -> Iterator[Key]:
    for value in values:
        normal = value.strip().replace("\\", "/").removeprefix("./").lower()
        if normal and normal != ".":
            yield space, normal


def index_reports(inputs: Inputs) -> tuple[ReportIndex, list[Input]]:
    """Read all tables and texts of a source; also returns the tables that were not understood."""
    index = ReportIndex(inputs.images)
    unknown: list[Input] = []
    for item in inputs.of("table"):
        rows = read_table(item.path)
        if rows is None:
            unknown.append(item)
            continue
        for row in rows:
            report = Report(f"{item.name}:{row.line}", row.report, row.fields, row.labels)
            index.add(report, _table_keys(row))
    for item in inputs.of("text"):
        text = item.path.read_bytes().decode("utf-8-sig", errors="replace")
        path = PurePosixPath(item.name)
        index.add(Report(item.name, text), _keys("text", [str(path.with_suffix("")), path.stem]))
    return index, unknown


def _table_keys(row: TableRow) -> Iterator[Key]:
    yield from _keys("accession", row.accession)
    yield from _keys("study", row.study)
    for value in row.file:
        path = PurePosixPath(value.replace("\\", "/"))
        forms = [value] if path.suffix == "" or path.parent.name else [value, path.stem]
        yield from _keys("file", forms)
