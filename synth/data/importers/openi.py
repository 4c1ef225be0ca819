"""Indiana University chest X-rays (OpenI, IU X-ray): XML reports, the Kaggle repack, R2Gen's file.

Population: 7,470 chest radiographs of 3,955 reports, two large hospital systems of the Indiana
Network for Patient Care; one report a patient as far as is known.
Labels: MeSH codes that two people gave each report: what is coded is present, ``borderline`` is
uncertain, what is not coded is not stated. ``No Indexing`` states nothing.
Licence: CC BY-NC-ND 4.0.

Quirks:
    104 reports have no image, 181 have three; findings are empty in 530, impressions in 34.
    Words taken out by the de-identification stand as ``XXXX`` in 3,411 reports.
    One image has four names: ``CXR1_1_IM-0001-3001.png`` in the PNG set and the XML of report 1,
    ``CXR2_IM-0652-1001`` in all other XML, ``2_IM-0652-1001.dcm`` in the DICOM set and
    ``2_IM-0652-1001.dcm.png`` in the Kaggle repack.
    The Kaggle repack has the XML's texts: where both are there, the XML counts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from types import MappingProxyType

from synth.data.importers.base import Key, Problem, Record, Source
from synth.data.importers.openi_xml import Citation, read_citation
from synth.data.importers.streams import TableHead, read_text, stream
from synth.data.inputs import Input, Inputs, read_head
from synth.dicom import Identity, Unreadable

_IMAGE = re.compile(r"(?:CXR)?(\d+)_(?:\1_)?(IM-[\d-]+)", re.IGNORECASE)
_KAGGLE = ("uid", "MeSH", "Problems", "findings", "impression")
_PROJECTIONS = ("uid", "filename", "projection")
_SECTIONS = ("indication", "comparison", "findings", "impression")
_MARKS: Mapping[str, tuple[bytes, ...]] = MappingProxyType(
    {".xml": (b"<eCitation",), ".json": (b'"train"', b'"CXR')}
)
_CODES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {  # descriptor -> qualifier that must be there, if any -> finding
        "airspace disease": {"": "lung_opacity"},
        "bone diseases, metabolic": {"": "osteopenia"},
        "bronchiectasis": {"": "bronchiectasis"},
        "bullous emphysema": {"": "emphysema"},
        "calcified granuloma": {"": "calcified_granuloma"},
        "cardiac shadow": {"enlarged": "cardiomegaly"},
        "cardiomegaly": {"": "cardiomegaly"},
        "catheters, indwelling": {"": "support_devices"},
        "cavitation": {"": "cavity"},
        "cicatrix": {"lung": "scarring"},
        "consolidation": {"": "consolidation"},
        "costophrenic angle": {"blunted": "costophrenic_blunting"},
        "diaphragm": {"elevated": "hemidiaphragm_elevation"},
        "emphysema": {"": "emphysema"},
        "fractures, bone": {"": "fracture"},
        "granuloma": {"": "granuloma"},
        "heart failure": {"": "heart_failure"},
        "hernia, hiatal": {"": "hernia"},
        "implanted medical device": {"": "support_devices"},
        "infiltrate": {"": "infiltration"},
        "kyphosis": {"": "kyphosis"},
        "lung": {"hypoinflation": "hypoinflation", "hyperdistention": "hyperinflation"},
        "mass": {"": "mass"},
        "medical device": {"": "support_devices"},
        "nodule": {"": "nodule"},
        "normal": {"": "no_finding"},
        "opacity": {"lung": "lung_opacity"},
        "pericardial effusion": {"": "pericardial_effusion"},
        "pleural effusion": {"": "pleural_effusion"},
        "pneumonia": {"": "pneumonia"},
        "pneumoperitoneum": {"": "pneumoperitoneum"},
        "pneumothorax": {"": "pneumothorax"},
        "pulmonary atelectasis": {"": "atelectasis"},
        "pulmonary congestion": {"": "pulmonary_congestion"},
        "pulmonary disease, chronic obstructive": {"": "copd"},
        "pulmonary edema": {"": "edema"},
        "pulmonary emphysema": {"": "emphysema"},
        "pulmonary fibrosis": {"": "fibrosis"},
        "scoliosis": {"": "scoliosis"},
        "subcutaneous emphysema": {"": "subcutaneous_emphysema"},
        "thickening": {"pleura": "pleural_thickening"},
        "tube, inserted": {"": "support_devices"},
        "tuberculosis": {"": "tuberculosis"},
        "volume loss": {"": "volume_loss"},
    }
)


class OpenI:
    """See the module."""

    source = Source(
        name="openi",
        title="Indiana University chest X-rays (OpenI)",
        population="7,470 chest radiographs with 3,955 reports, hospitals of the Indiana Network "
        "for Patient Care",
        licence="CC-BY-NC-ND-4.0",
        terms=(
            "Attribution to Indiana University; no commercial use.",
            "Changed versions of images or reports may be made, but not passed on.",
        ),
        citation="Demner-Fushman et al., Preparing a collection of radiology examinations for "
        "distribution and retrieval, JAMIA 23(2):304-310, 2016",
        url="https://openi.nlm.nih.gov/faq",
        redistribution=False,
        commercial=False,
    )

    def claim(self, heads: Sequence[TableHead], inputs: Inputs) -> tuple[TableHead, ...]:
        """``eCitation`` XML files, the tables of the repack, and R2Gen's ``annotation.json``."""
        tables = [
            head for head in heads if head.has(*_KAGGLE) or set(head.columns) == set(_PROJECTIONS)
        ]
        if all(not head.has(*_KAGGLE) for head in tables):
            tables = []  # projections mean nothing without reports
        files = (item for item in inputs.files if _is_marked(item))
        return (*tables, *(TableHead(item.path, item.name, ()) for item in files))

    def records(self, own: Sequence[TableHead], inputs: Inputs) -> Iterator[Record | Problem]:
        """One record an XML report or annotation, one an image of the Kaggle repack."""
        told: set[str] = set()
        for head in own:
            if head.path.suffix.lower() == ".xml":
                try:
                    citation = read_citation(head.path)
                except Unreadable as error:
                    yield Problem(head.name, error.code, error.detail, error.remedy)
                    continue
                told.add(citation.uid)
                yield _record(head.name, citation, [_key(name) for name in citation.images])
        yield from _kaggle([head for head in own if head.columns], told)
        for head in own:
            if head.path.suffix.lower() == ".json":
                yield from _annotation(head, told)

    def keys(self, path: PurePosixPath, identity: Identity) -> Iterator[Key]:
        """Report number and image number of the name; R2Gen's folder and name."""
        if _IMAGE.match(path.name):
            yield _key(path.name)
        yield "openi-path", f"{path.parent.name}/{path.name}".lower()


def _is_marked(item: Input) -> bool:
    """Whether a file begins like a report of the collection; links and pipes are not opened."""
    marks = _MARKS.get(item.path.suffix.lower())
    if marks is None or item.code != "table_not_understood":
        return False
    try:
        head = read_head(item.path)
    except OSError:  # gone since the folder was listed
        return False
    return all(mark in head for mark in marks)


def _key(name: str) -> Key:
    found = _IMAGE.match(name)
    return "openi", f"{found[1]}_{found[2]}".lower() if found else name.lower()


def _record(where: str, citation: Citation, keys: Iterable[Key], view: str = "") -> Record:
    number = citation.uid.upper().removeprefix("CXR")
    fields = {"patient": number, "study": number, "language": "en"}
    parts = ((name, citation.sections.get(name, "").strip()) for name in _SECTIONS)
    return Record(
        where=where,
        keys=frozenset(keys),
        text="\n\n".join(f"{name.upper()}: {text}" for name, text in parts if text),
        fields={**fields, "view": view} if view else fields,
        labels=mesh_labels(citation.codes),
        label_source="human-mesh",
        image=", ".join(citation.images),
    )


def mesh_labels(codes: Iterable[str]) -> dict[str, str]:
    """Findings of MeSH codes such as ``Cardiomegaly/borderline``.

    >>> mesh_labels(["Opacity/lung/base/left", "Cardiomegaly/borderline"])
    {'lung_opacity': '1', 'cardiomegaly': '-1'}
    """
    labels: dict[str, str] = {}
    for code in codes:
        descriptor, *qualifiers = (part.strip().lower() for part in code.split("/"))
        for qualifier, finding in _CODES.get(descriptor, {}).items():
            if not qualifier or qualifier in qualifiers:
                uncertain = "borderline" in qualifiers and labels.get(finding) != "1"
                labels[finding] = "-1" if uncertain else "1"
    return labels


def _kaggle(heads: Sequence[TableHead], told: set[str]) -> Iterator[Record]:
    images: dict[str, list[tuple[str, str]]] = {}
    for head in heads:
        if head.has("projection"):
            for _, row in stream(head.path):
                images.setdefault(row["uid"].strip(), []).append(
                    (row["filename"], row["projection"])
                )
    for head in heads:
        if not head.has(*_KAGGLE):
            continue
        for line, row in stream(head.path):
            uid = row["uid"].strip()
            if f"CXR{uid}" in told:
                continue
            told.add(f"CXR{uid}")
            sections = {name: row.get(name, "") for name in _SECTIONS}
            codes = tuple(row["MeSH"].split(";"))
            for name, projection in images.get(uid) or [("", "")]:
                citation = Citation(uid, sections, (name,) if name else (), codes)
                keys = [_key(name)] if name else []
                view = "LATERAL" if projection.strip().lower() == "lateral" else ""
                yield _record(f"{head.name}:{line}", citation, keys, view)


def _annotation(head: TableHead, told: set[str]) -> Iterator[Record | Problem]:
    """R2Gen's split of the collection: reports reduced to their findings."""
    try:
        splits = json.loads(read_text(head.path))
        entries = [(split, entry) for split, group in splits.items() for entry in group]
        rows = [
            (split, entry["id"], entry["report"], entry["image_path"]) for split, entry in entries
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        yield Problem(head.name, "table_unreadable", "not the annotation file it looks like")
        return
    for split, name, report, paths in rows:
        number = str(name).upper().removeprefix("CXR").partition("_")[0]
        if f"CXR{number}" not in told:
            yield Record(
                where=f"{head.name}:{name}",
                keys=frozenset(("openi-path", str(path).lower()) for path in paths),
                text=f"FINDINGS: {report}",
                fields={"patient": number, "study": number, "split": split, "language": "en"},
                label_source="",
                image=", ".join(map(str, paths)),
            )


IMPORTER = OpenI()
