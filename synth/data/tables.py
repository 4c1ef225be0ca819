"""CSV, TSV and JSONL tables with columns recognised by name, whatever their case or spelling."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from synth.errors import SynthError
from synth.text import FINDING_NAMES

_COLUMNS: dict[str, tuple[str, ...]] = {
    "accession": ("accession_number", "accession", "accession_no", "accessionnumber"),
    "study": ("study_uid", "study_instance_uid", "studyinstanceuid", "study_id", "study"),
    "file": (
        "image",
        "file_name",
        "filename",
        "file",
        "path",
        "image_path",
        "path_to_image",
        "image_id",
        "image_index",
        "dicom_id",
        "sop_instance_uid",
    ),
    "report": ("report", "text", "report_text", "radiology_report"),
    "findings": ("findings", "section_findings"),
    "impression": ("impression", "section_impression"),
    "patient": ("patient_id", "patient", "subject_id", "patientid", "deid_patient_id"),
    "view": ("view", "view_position", "viewposition", "ap_pa", "projection"),
    "sex": ("sex", "gender", "patient_sex", "patient_gender"),
    "age": ("age", "patient_age"),
}
_LABEL_ALIASES = {
    "effusion": "pleural_effusion",
    "enlarged_heart": "cardiomegaly",
    "hiatal_hernia": "hernia",
    "pleural_other": "",  # CheXpert's rest class names no single finding
}
_MOST_CHARACTERS = 16_000_000  # of one cell: far above any report


@dataclass(frozen=True)
class TableRow:
    """One row: identifiers as written, the report, other columns that were recognised."""

    line: int
    accession: tuple[str, ...]
    study: tuple[str, ...]
    file: tuple[str, ...]
    report: str
    fields: Mapping[str, str]
    labels: Mapping[str, str]


def read_table(path: Path) -> list[TableRow] | None:
    """Read a table, or ``None`` if its header names no identifier, or neither report nor finding.

    Raises:
        SynthError: the file is recognised but not readable, with the line.
    """
    text = _decode(path.read_bytes())
    if path.suffix.lower() == ".jsonl":
        records = list(_jsonl(path, text))
        header = list(dict.fromkeys(key for _, record in records for key in record))
    else:
        header, records = _csv(path, text)
    columns = {role: _present(header, names) for role, names in _COLUMNS.items()}
    labels = _label_columns(header)
    described = columns["report"] or columns["findings"] or columns["impression"] or labels
    if not described or not (columns["accession"] or columns["study"] or columns["file"]):
        return None
    return [_row(line, record, columns, labels) for line, record in records]


def _decode(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _jsonl(path: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    for line, raw in enumerate(text.splitlines(), 1):
        if not raw.strip():
            continue
        try:
            record = json.loads(raw)
        except ValueError:
            raise SynthError("not a JSON line", where=f"{path}:{line}") from None
        if isinstance(record, dict):
            yield line, {str(key): _as_text(value) for key, value in record.items()}


def _as_text(value: object) -> str:
    return "" if value is None else str(value)


def _csv(path: Path, text: str) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    text = text.replace("\0", "")
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    csv.field_size_limit(_MOST_CHARACTERS)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    records: list[tuple[int, dict[str, str]]] = []
    header: list[str] = []
    try:
        for cells in reader:
            if not header:
                header = [cell.strip() for cell in cells]
            elif any(cell.strip() for cell in cells):
                records.append((reader.line_num, dict(zip(header, cells, strict=False))))
    except csv.Error as error:
        raise SynthError(
            "the table is not readable", where=f"{path}:{reader.line_num}", got=error
        ) from None
    return header, records


def _normal(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")


def _present(header: list[str], names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(column for name in names for column in header if _normal(column) == name)


def _label_columns(header: list[str]) -> dict[str, str]:
    found = {}
    for column in header:
        name = _normal(column)
        name = _LABEL_ALIASES.get(name, name)
        if name in FINDING_NAMES:
            found[name] = column
    return found


def _row(
    line: int,
    record: Mapping[str, str],
    columns: Mapping[str, tuple[str, ...]],
    labels: Mapping[str, str],
) -> TableRow:
    def values(role: str) -> tuple[str, ...]:
        found = (str(record.get(column) or "").strip() for column in columns[role])
        return tuple(value for value in found if value and value.lower() != "nan")

    report = "\n".join(values("report")[:1])
    if not report:
        parts = [(role, values(role)) for role in ("findings", "impression")]
        report = "\n\n".join(f"{role.upper()}: {text[0]}" for role, text in parts if text)
    fields = {role: values(role)[0] for role in ("patient", "view", "sex", "age") if values(role)}
    return TableRow(
        line=line,
        accession=values("accession"),
        study=values("study"),
        file=values("file"),
        report=report,
        fields=fields,
        labels={name: str(record.get(column) or "") for name, column in labels.items()},
    )
