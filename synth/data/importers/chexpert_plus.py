"""CheXpert Plus: CheXpert's images with their reports.

Population: 223,228 chest radiographs of 64,725 patients, Stanford Hospital, 2002 to 2017.
Labels: none in the main table, the report is read; files with labellers' output are not used.
Licence: Stanford University Dataset Research Use Agreement.

Quirks:
    The table says ``.jpg``, the files are ``.png`` or ``.dcm``: the path without suffix counts.
    Reports are quoted cells of many lines; the images of one study repeat them.
    An empty ``report`` is made up of its section columns where there are any.
    ``patient_report_date_order`` is an order, not a date, and is not used.
    ``valid`` is the official validation set.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from synth.data.importers.base import Key, Record, Source
from synth.data.importers.chexpert import IMAGE, SPLITS, image_key, view_of
from synth.data.importers.streams import TableHead, stream
from synth.data.inputs import Inputs
from synth.dicom import Identity

_SIGNATURE = ("path_to_image", "deid_patient_id", "section_findings", "section_impression")
_SECTIONS = {
    "section_clinical_history": "CLINICAL HISTORY",
    "section_comparison": "COMPARISON",
    "section_findings": "FINDINGS",
    "section_impression": "IMPRESSION",
}


class CheXpertPlus:
    """See the module."""

    source = Source(
        name="chexpert-plus",
        title="CheXpert Plus",
        population="223,228 chest radiographs with reports, 64,725 patients, Stanford Hospital, "
        "2002 to 2017",
        licence="Stanford University Dataset Research Use Agreement",
        terms=(
            "Non-commercial research only.",
            "Images and reports, in whole or in part, may not be passed on; each user signs the "
            "agreement.",
            "No attempt may be made to identify a patient.",
        ),
        citation="Chambon et al., CheXpert Plus: augmenting a large chest X-ray dataset with text "
        "radiology reports, patient demographics and additional image formats, arXiv:2405.19538",
        url="https://aimi.stanford.edu/datasets/chexpert-plus",
        redistribution=False,
        commercial=False,
    )

    def claim(self, heads: Sequence[TableHead], inputs: Inputs) -> tuple[TableHead, ...]:
        """Tables with image path, pseudonymous patient and section columns."""
        return tuple(head for head in heads if head.has(*_SIGNATURE))

    def records(self, own: Sequence[TableHead], inputs: Inputs) -> Iterator[Record]:
        """One record an image."""
        for head in own:
            for line, row in stream(head.path):
                path = row["path_to_image"].strip() or row.get("path_to_dcm", "").strip()
                key = image_key(path)
                yield Record(
                    where=f"{head.name}:{line}",
                    keys=frozenset((key,) if key else ()),
                    text=_text(row),
                    fields=_fields(row, path),
                    label_source="",
                    image=path,
                )

    def keys(self, path: PurePosixPath, identity: Identity) -> Iterator[Key]:
        """Patient, study and view of the path."""
        if key := image_key(str(path)):
            yield key


def _text(row: dict[str, str]) -> str:
    report = row.get("report", "").strip()
    if report:
        return report
    parts = ((title, row.get(column, "").strip()) for column, title in _SECTIONS.items())
    return "\n\n".join(f"{title}: {text}" for title, text in parts if text)


def _fields(row: dict[str, str], path: str) -> dict[str, str]:
    found = IMAGE.search(path)
    patient = row["deid_patient_id"].strip()
    fields = {
        "patient": patient or (found[2] if found else ""),
        "study": f"{patient}/{found[3]}" if found else "",
        "view": view_of(row.get("frontal_lateral", ""), row.get("ap_pa", "")),
        "sex": row.get("sex", ""),
        "age": row.get("age", ""),
        "split": SPLITS.get(row.get("split", "").strip().lower(), ""),
        "language": "en",
    }
    return {name: value for name, value in fields.items() if value}


IMPORTER = CheXpertPlus()
