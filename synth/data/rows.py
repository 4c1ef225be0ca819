"""A converted image and its report -> one manifest row without identifiers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from synth.data.convert import Converted
from synth.data.pseudonyms import Pseudonyms
from synth.data.reports import Report
from synth.dicom import Unreadable, age_band
from synth.manifest import Label
from synth.text import Labeler, ReadReport, read_report
from synth.text.prompts import Source

_PATIENT_FOLDER = re.compile(r"patient\d+|p\d{6,}")  # CheXpert's and MIMIC-CXR's layouts
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
    """What decides text and labels."""

    policy: tuple[Source, ...]
    drop_comparisons: bool
    labeler: Labeler


def make_row(
    converted: Converted,
    report: Report,
    *,
    sample_id: str,
    pseudonyms: Pseudonyms,
    options: TextOptions,
    size: int,
    allow_empty: bool = False,
) -> dict[str, Any]:
    """The row of one image, all but its split.

    Raises:
        Unreadable: ``empty_report`` or ``bad_label``.
    """
    identity, facts = converted.identity, converted.facts
    known = [*identity.values, report.fields.get("patient", "")]
    read = read_report(
        report.text,
        policy=options.policy,
        drop_comparisons=options.drop_comparisons,
        labeler=options.labeler,
        known=known,
    )
    labels, source = _merge_labels(read, report)
    prompt = read.text_used or prompt_of(labels)
    if not prompt and not allow_empty:
        raise Unreadable("empty_report", "the report has no words", "Complete or remove it")
    return {
        "file_name": f"images/{sample_id[:2]}/{sample_id}.png",
        "sample_id": sample_id,
        "split": "train",
        "patient_id": pseudonyms.name("patient", patient_of(converted, report)),
        "study_id": pseudonyms.name("study", _study_of(converted)),
        "view": _view(facts.get("ViewPosition") or report.fields.get("view")),
        "sex": _sex(facts.get("PatientSex") or report.fields.get("sex")),
        "age_band": facts.get("AgeBand") or age_band(report.fields.get("age", "")),
        "text": read.text,
        "text_used": prompt,
        "labels": labels,
        "label_source": source,
        "source": converted.item.kind,
        "sha256": converted.sha256,
        "width": size,
        "height": size,
        "bit_depth": 8,
        "preprocessing": {**converted.steps, "fit": "padded to a square, Lanczos"},
        "synthetic": False,
        "scrubbed": sum(read.scrubbed.values()),
        "acquisition": _acquisition(facts),
        "report_id": report_id(pseudonyms, report),
    }


def report_id(pseudonyms: Pseudonyms, report: Report) -> str:
    """Pseudonym of a report's content and keys: a later run knows what is used and what changed."""
    content = [
        sorted(report.keys),
        report.text,
        sorted(report.fields.items()),
        sorted(report.labels.items()),
    ]
    return pseudonyms.name("report", json.dumps(content))


def patient_of(converted: Converted, report: Report) -> str:
    """The hospital's patient: DICOM, else table, else folder name, else the study is its own."""
    named = converted.identity.patient or report.fields.get("patient", "")
    if named:
        return named
    for part in reversed(PurePosixPath(converted.item.name).parts[:-1]):
        if _PATIENT_FOLDER.fullmatch(part.lower()):
            return part
    return f"study:{_study_of(converted)}"


def _study_of(converted: Converted) -> str:
    identity = converted.identity
    return identity.study or identity.accession or converted.item.name


def _view(value: str | None) -> str | None:
    text = (value or "").strip().upper()
    return _VIEWS.get(_VIEW_ALIASES.get(text, text))


def _sex(value: str | None) -> str | None:
    first = (value or "").strip().upper()[:1]
    return first if first in ("F", "M", "O") else None


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


def _merge_labels(read: ReadReport, report: Report) -> tuple[dict[str, Label], str]:
    """The table's stated values win over those read from the text."""
    stated = {name: parse_label(name, value) for name, value in report.labels.items()}
    stated = {name: value for name, value in stated.items() if value is not None}
    sources = [read.label_source] if report.text.strip() else []
    sources += ["table"] if stated else []
    return {**read.labels, **stated}, "+".join(sources)


def parse_label(name: str, value: str) -> Label:
    """A table's cell as a label.

    Raises:
        Unreadable: ``bad_label``.
    """
    key = value.strip().lower()
    if key not in _VALUES:
        raise Unreadable(
            "bad_label", f"column {name} holds {value[:20]!r}", "Use 1, 0, -1 or leave it empty"
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
