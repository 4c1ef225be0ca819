"""A converted image and its report -> one manifest row without identifiers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from synth.data.convert import Converted
from synth.data.importers.base import Record
from synth.data.importers.folder import NAME as FOLDER
from synth.data.pseudonyms import Pseudonyms
from synth.data.splits import SPLITS
from synth.dicom import Unreadable, age_band
from synth.manifest import Label, Split
from synth.text import Labeler, ReadReport, read_report
from synth.text.prompts import Source

_SHORTEST_IDENTIFIER = 4  # characters: "12" would take numbers out of a report
# The folders of CheXpert and MIMIC-CXR, whose tables write the latter without the letter.
_PATIENT_FOLDER = re.compile(r"(patient\d+)|p(\d{6,})")
_VIEWS = {"PA": "PA", "AP": "AP", "LATERAL": "LATERAL", "LL": "LATERAL", "RL": "LATERAL"}
_VIEW_ALIASES = {
    "L": "LATERAL",
    "LAT": "LATERAL",
    "AP_HORIZONTAL": "AP",
    "LARGE LATERAL": "LATERAL",
}
_VALUES: Mapping[str, Label] = {
    **dict.fromkeys(("1", "1.0", "true", "yes", "present", "positive"), 1),
    **dict.fromkeys(("0", "0.0", "false", "no", "absent", "negative"), 0),
    **dict.fromkeys(("-1", "-1.0", "u", "uncertain"), -1),
    **dict.fromkeys(("", "nan", "none", "null", "na", "n/a"), None),
}


@dataclass(frozen=True)
class TextOptions:
    """What decides text and labels.

    Attributes:
        policy: which report section becomes the prompt.
        drop_comparisons: take comparisons with earlier images out of prompts.
        labeler: who labels.
        keep_raw: keep the report as it was written too, identifiers and all, as ``text_raw``.
    """

    policy: tuple[Source, ...]
    drop_comparisons: bool
    labeler: Labeler
    keep_raw: bool = False


def make_row(
    converted: Converted,
    record: Record,
    *,
    sample_id: str,
    pseudonyms: Pseudonyms,
    options: TextOptions,
    size: int,
    allow_empty: bool = False,
) -> dict[str, Any]:
    """The row of one image, all but its split.

    Args:
        converted: the image.
        record: what the source says about it.
        sample_id: its pseudonym.
        pseudonyms: for patient and study.
        options: for text and labels.
        size: side of the image in pixels.
        allow_empty: whether an image without any words may pass.

    Raises:
        Unreadable: ``empty_report`` or ``bad_label``.
    """
    identity, facts = converted.identity, converted.facts
    read = read_report(
        record.text,
        policy=options.policy,
        drop_comparisons=options.drop_comparisons,
        labeler=options.labeler,
        known=[*identity.values, *_identifiers(record)],
    )
    labels, label_source = _merge_labels(read, record)
    prompt = read.text_used or prompt_of(labels)
    if not prompt and not allow_empty:
        raise Unreadable("empty_report", "the report has no words", "Complete or remove it")
    row = {
        "file_name": f"images/{sample_id[:2]}/{sample_id}.png",
        "sample_id": sample_id,
        "split": "train",
        "patient_id": pseudonyms.name("patient", patient_of(converted, record)),
        "study_id": pseudonyms.name("study", _study_of(converted, record)),
        "view": _view(facts.get("ViewPosition")) or _view(record.fields.get("view")),
        "sex": _sex(facts.get("PatientSex") or record.fields.get("sex")),
        "age_band": facts.get("AgeBand") or age_band(record.fields.get("age", "")),
        "language": _language(record, read),
        "text": read.text,
        "text_used": prompt,
        "labels": labels,
        "label_source": label_source,
        "source": record.source or FOLDER,
        "sha256": converted.sha256,
        "width": size,
        "height": size,
        "bit_depth": 8,
        "preprocessing": {**converted.steps, "fit": "padded to a square, Lanczos"},
        "flags": sorted({*converted.flags, *read.warnings}),
        "attributes": read.attributes or None,
        "phash": converted.phash,
        "official_split": _official_split(record),
        "synthetic": False,
        "scrubbed": sum(read.scrubbed.values()),
        "acquisition": _acquisition(facts),
        "report_id": report_id(pseudonyms, record),
    }
    return row | ({"text_raw": record.text} if options.keep_raw else {})


def report_id(pseudonyms: Pseudonyms, record: Record) -> str:
    """Pseudonym of a record's content and keys: a later run knows what is used and what changed."""
    content = [
        sorted(record.keys),
        record.text,
        sorted(record.fields.items()),
        sorted(record.labels.items()),
        record.label_source,
    ]
    return pseudonyms.name("report", json.dumps(content))


def patient_of(converted: Converted, record: Record) -> str:
    """The hospital's patient: DICOM, else table, else folder name, else the study is its own.

    Sources that number their patients alike share pseudonyms: the patients then stay in one split,
    which keeps nothing apart that belongs together.
    """
    named = converted.identity.patient or record.fields.get("patient", "")
    if named:
        return named
    for part in reversed(PurePosixPath(converted.item.name).parts[:-1]):
        if found := _PATIENT_FOLDER.fullmatch(part.lower()):
            return found[1] or found[2]
    return f"study:{_study_of(converted, record)}"


def _identifiers(record: Record) -> list[str]:
    """What a table knows a patient or study by: it may stand in the report, too."""
    keys = [value for space, value in record.keys if space in ("accession", "study")]
    ids = (record.fields.get("patient", ""), *sorted(keys))
    name = record.fields.get("name", "")
    parts = [part for part in re.split(r"[\^,\s]+", name) if part]
    names = [name, *parts, " ".join(parts), " ".join(reversed(parts))] if parts else []
    return [*names, *(value for value in ids if len(value) >= _SHORTEST_IDENTIFIER)]


def _study_of(converted: Converted, record: Record) -> str:
    """DICOM, else table, else the text that several images share, else the image is its own."""
    identity = converted.identity
    named = identity.study or identity.accession or record.fields.get("study", "")
    if named:
        return named
    by_space = dict(sorted(record.keys, reverse=True))  # the smallest value of each
    spaces = ("study", "accession") if "file" in by_space else ("study", "accession", "text")
    return next((by_space[name] for name in spaces if name in by_space), converted.item.name)


def _view(value: str | None) -> str | None:
    text = (value or "").strip().upper()
    return _VIEWS.get(_VIEW_ALIASES.get(text, text))


def _sex(value: str | None) -> str | None:
    first = (value or "").strip().upper()[:1]
    return first if first in ("F", "M", "O") else None


def _language(record: Record, read: ReadReport) -> str | None:
    """ISO 639-1: what the table says, else what the text seems to be if it is not English."""
    value = record.fields.get("language", "").strip().lower()
    if re.fullmatch(r"[a-z]{2}", value):
        return value
    prefix = "language_"
    found = [name.removeprefix(prefix) for name in read.warnings if name.startswith(prefix)]
    return found[0] if found else None


def _official_split(record: Record) -> Split | None:
    value = record.fields.get("split", "")
    return next((split for split in SPLITS if split == value), None)


def _acquisition(facts: Mapping[str, Any]) -> dict[str, Any]:
    spacing: Sequence[float] | None = facts.get("PixelSpacing") or facts.get("ImagerPixelSpacing")
    return {
        "modality": facts.get("Modality"),
        "body_part": facts.get("BodyPartExamined"),
        "photometric": facts.get("PhotometricInterpretation"),
        "bits_stored": facts.get("BitsStored"),
        "rows": facts.get("Rows"),
        "columns": facts.get("Columns"),
        "spacing_mm": float(spacing[0]) if spacing else None,
    }


def _merge_labels(read: ReadReport, record: Record) -> tuple[dict[str, Label], str]:
    """The table's stated values win over those read from the text."""
    stated = {name: parse_label(name, value) for name, value in record.labels.items()}
    stated = {name: value for name, value in stated.items() if value is not None}
    sources = [read.label_source] if record.text.strip() else []
    sources += [record.label_source or "table"] if stated else []
    return {**read.labels, **stated}, "+".join(sources)


def parse_label(name: str, value: str) -> Label:
    """A table's cell as a label.

    Raises:
        Unreadable: ``bad_label``.
    """
    key = value.strip().lower()
    if key not in _VALUES:
        raise Unreadable(
            "bad_label",
            f"what stands for {name} is not a label",
            "Use 1, 0, -1 or leave it empty",
        )
    return _VALUES[key]


def prompt_of(labels: Mapping[str, Label]) -> str:
    """Plain sentences for images that come with labels instead of a report; no more than stated.

    >>> prompt_of({"pneumothorax": 0, "edema": None})
    'No pneumothorax.'
    """
    parts = [
        f"{'Possible ' if value == -1 else ''}{name.replace('_', ' ')}."
        for name, value in labels.items()
        if value in (1, -1) and name != "no_finding"
    ]
    if not parts and labels.get("no_finding") == 1:
        return "No acute finding."
    if not parts:
        absent = [name for name, value in labels.items() if value == 0 and name != "no_finding"]
        parts = [f"no {name.replace('_', ' ')}." for name in absent]
    return " ".join(part[0].upper() + part[1:] for part in parts)
