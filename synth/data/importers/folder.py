"""A hospital's own folder: images with texts beside them, or with tables whose columns are named.

Understood without configuration: CSV, TSV and JSONL tables whose header names an identifier
(accession, study UID, file) and a report or findings, whatever their case or spelling; ``.txt``
files beside the image, named like it, by accession or study, or like the image's folder.

A table with reports and one with labels for the same identifiers are put together. Of two different
reports for one image none is chosen: the image is refused as ``ambiguous_report``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from synth.data.importers.base import Key, Problem, Record, make_keys
from synth.data.importers.streams import TableHead, read_text, stream
from synth.data.inputs import Input
from synth.dicom import Identity
from synth.errors import SynthError
from synth.text import FINDING_NAMES

NAME = "folder"
_COLUMNS: dict[str, tuple[str, ...]] = {
    "accession": ("accession_number", "accession", "accession_no", "accessionnumber"),
    "study": ("study_uid", "study_instance_uid", "studyinstanceuid", "study_id", "study"),
    "file": (
        *("image", "file_name", "filename", "file", "path", "image_path", "path_to_image"),
        *("image_id", "image_index", "dicom_id", "sop_instance_uid", "sopinstanceuid"),
    ),
    "report": ("report", "text", "report_text", "radiology_report"),
    "findings": ("findings", "section_findings"),
    "impression": ("impression", "section_impression"),
    "patient": (
        *("patient_id", "patient", "subject_id", "patientid", "deid_patient_id"),
        *("mrn", "patient_mrn", "medical_record_number", "patient_number", "patient_no"),
    ),
    "name": ("patient_name", "patientname", "patients_name", "name"),
    "view": ("view", "view_position", "viewposition", "ap_pa", "projection"),
    "sex": ("sex", "gender", "patient_sex", "patient_gender"),
    "age": ("age", "patient_age"),
    "split": ("split",),
    "language": ("language", "lang"),
}
_IDENTIFIERS = ("accession", "study", "file")
_DESCRIPTIONS = ("report", "findings", "impression")
_LABEL_ALIASES = {
    "effusion": "pleural_effusion",
    "enlarged_heart": "cardiomegaly",
    "hiatal_hernia": "hernia",
}
_SPLITS = {
    **{name: name for name in ("train", "val", "test")},
    **dict.fromkeys(("valid", "validate", "validation", "dev"), "val"),
}


@dataclass(frozen=True)
class Columns:
    """Which columns of a table mean what, best first.

    Attributes:
        roles: role -> columns.
        labels: finding name -> column.
    """

    roles: Mapping[str, tuple[str, ...]]
    labels: Mapping[str, str]


def understand(head: TableHead) -> Columns | None:
    """The meaning of a table's columns.

    Returns:
        ``None`` if no column is an identifier, or none a report or finding.
    """
    roles = {
        role: tuple(column for name in names for column in head.columns if _normal(column) == name)
        for role, names in _COLUMNS.items()
    }
    labels = {}
    for column in head.columns:
        name = _normal(column)
        name = _LABEL_ALIASES.get(name, name)
        if name in FINDING_NAMES and name not in labels:
            labels[name] = column
    described = labels or any(roles[role] for role in _DESCRIPTIONS)
    identified = any(roles[role] for role in _IDENTIFIERS)
    return Columns(roles, labels) if described and identified else None


def why_not(head: TableHead) -> str:
    """What a table lacks; says nothing of its header, which may be a patient's row."""
    if not head.columns:
        return "empty"
    roles = {name: role for role, names in _COLUMNS.items() for name in names}
    there = {roles.get(_normal(column)) for column in head.columns}
    expected = {
        "accession_number, study_uid, image or another identifier": there.isdisjoint(_IDENTIFIERS),
        "report, findings, impression or a finding's name": there.isdisjoint(_DESCRIPTIONS),
    }
    lacking = [words for words, missing in expected.items() if missing]
    return f"none of its {len(head.columns)} columns is named {'; none '.join(lacking)}"


def _normal(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")


def table_records(head: TableHead, columns: Columns) -> Iterator[Record]:
    """One record a row, streamed.

    Raises:
        SynthError: the table is not readable, with file and line.
    """
    for line, row in stream(head.path):
        yield _record(f"{head.name}:{line}", row, columns)


def _record(where: str, row: Mapping[str, str], columns: Columns) -> Record:
    def values(role: str) -> list[str]:
        found = (row.get(column, "").strip() for column in columns.roles[role])
        return [value for value in found if value and value.lower() != "nan"]

    report = next(iter(values("report")), "")
    if not report:
        parts = [(role, values(role)) for role in ("findings", "impression")]
        report = "\n\n".join(f"{role.upper()}: {text[0]}" for role, text in parts if text)
    names = ("patient", "name", "view", "sex", "age", "split", "language")
    fields = {role: found[0] for role in names if (found := values(role))}
    if "split" in fields:
        fields["split"] = _SPLITS.get(fields["split"].lower(), "")
    files = values("file")
    return Record(
        where=where,
        keys=frozenset(_table_keys(values("accession"), values("study"), files)),
        text=report,
        fields=fields,
        labels={name: row.get(column, "") for name, column in columns.labels.items()},
        image=files[0] if files else "",
    )


def _table_keys(accession: list[str], study: list[str], files: list[str]) -> Iterator[Key]:
    yield from make_keys("accession", accession)
    yield from make_keys("study", study)
    for value in files:
        path = PurePosixPath(value.replace("\\", "/"))
        forms = [value] if path.suffix == "" or path.parent.name else [value, path.stem]
        yield from make_keys("file", forms)


def text_record(item: Input) -> Record | Problem:
    """The record of a ``.txt`` file."""
    try:
        text = read_text(item.path)
    except SynthError as error:
        return Problem(item.name, "text_unreadable", error.problem, error.fix)
    path = PurePosixPath(item.name)
    keys = make_keys("text", [str(path.with_suffix("")), path.stem])
    return Record(item.name, frozenset(keys), text)


def put_together(records: Iterable[Record]) -> list[Record]:
    """Join records of the same keys of which only one has a report and no label differs."""
    together: list[Record] = []
    at: dict[frozenset[Key], int] = {}
    for record in records:
        first = at.setdefault(record.keys, len(together))
        if first < len(together) and (joined := _joined(together[first], record)):
            together[first] = joined
        else:
            together.append(record)
    return together


def _joined(one: Record, two: Record) -> Record | None:
    if not one.keys or bool(one.text) == bool(two.text):
        return None
    labels = {**one.labels}
    for name, value in two.labels.items():
        if value.strip() and labels.get(name, "").strip() not in ("", value.strip()):
            return None
        labels[name] = value if value.strip() else labels.get(name, value)
    fields = {**two.fields, **one.fields}
    return replace(one, text=one.text or two.text, fields=fields, labels=labels)


class FolderKeys:
    """How an image of a plain folder finds its record."""

    def __init__(self, images: Sequence[Input]) -> None:
        names = [PurePosixPath(item.name) for item in images]
        counts = Counter(path.name for path in names) + Counter(path.stem for path in names)
        # A bare name only identifies an image if no other image has it.
        self._shared = {name for name, count in counts.items() if count > 1}

    def keys(self, path: PurePosixPath, identity: Identity) -> Iterator[Key]:
        """By path, accession, study, instance and name, in this order."""
        bare = [name for name in (path.name, path.stem) if name not in self._shared]
        parents = [parent.name for parent in path.parents if parent.name]
        yield from make_keys("file", [str(path), str(path.with_suffix(""))])
        yield from make_keys("text", [str(path.with_suffix("")), str(path.parent)])
        for space, value in (("accession", identity.accession), ("study", identity.study)):
            yield from make_keys(space, [value] if value else [*bare, *parents])
            yield from make_keys("text", [value])
        yield from make_keys("file", [identity.instance, *bare])
        yield from make_keys("text", bare)
