"""MIMIC-CXR and MIMIC-CXR-JPG, 2.0.0 to 2.1.0.

Population: 377,110 chest radiographs of 65,379 patients, emergency department of Beth Israel
Deaconess Medical Center, Boston, 2011 to 2016, in 227,835 studies with free-text reports.
Labels: by study, CheXpert's and NegBio's labellers on the reports; 687 by a radiologist.
Licence: PhysioNet Credentialed Health Data License; nothing may leave the user's hands.

Quirks:
    The report ``files/p10/p10000032/s50414267.txt`` lies beside its study's folder, often in a
    tree of its own.
    Tables keep 2.0.0 in their names through 2.1.0, as ``.csv`` or ``.csv.gz``. CheXpert's and
    NegBio's have the same header: only the name tells them apart.
    Split and metadata are by image, labels by study; some studies have none. ``validate`` is val.
    The radiologist's table says ``Airspace Opacity`` for ``Lung Opacity``, without ``subject_id``.
    ``ViewPosition`` is blank for some images. Dates are shifted into the future and not used.
    ``mimic_cxr_sectioned.csv`` has a header, ``mimic_cxr_00.csv`` and its like have none.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from sys import intern

from synth.data.importers.base import Key, Problem, Record, Source
from synth.data.importers.observations import OBSERVATIONS, stated
from synth.data.importers.streams import TableHead, read_text, stream, stream_cells
from synth.data.inputs import Inputs
from synth.dicom import Identity
from synth.errors import SynthError

_REPORT = re.compile(r"(?:^|/)p\d\d/p(\d{8})/s(\d{8})\.txt$")
_STUDY = re.compile(r"s(\d{8})")
_SPLITS = {"train": "train", "validate": "val", "test": "test"}
_IDS = frozenset(("subject_id", "study_id"))
_COMMON = ("Cardiomegaly", "Pleural Effusion", "Lung Lesion")
_LABELLERS = ("radiologist", "chexpert-labeler", "negbio")  # the first that has a study counts


@dataclass(slots=True)
class _Study:
    patient: str = ""
    split: str = ""
    text: str | Path = ""  # a report file is opened when its record is made
    labels: Mapping[str, str] | None = None
    labeller: str = ""
    where: str = ""
    has_image: bool = False


class MimicCxr:
    """See the module."""

    source = Source(
        name="mimic-cxr",
        title="MIMIC-CXR",
        population="377,110 chest radiographs of 65,379 patients, emergency department of Beth "
        "Israel Deaconess Medical Center, Boston, 2011 to 2016",
        licence="PhysioNet Credentialed Health Data License 1.5.0",
        terms=(
            "Scientific research only, by credentialed users who signed the agreement.",
            "Images, reports and what is derived from them may not be passed on to anyone who "
            "has not; no third-party service may see them.",
            "No attempt may be made to identify a patient or institution.",
        ),
        citation="Johnson et al., MIMIC-CXR, a de-identified publicly available database of chest "
        "radiographs with free-text reports, Scientific Data 6:317, 2019",
        url="https://physionet.org/content/mimic-cxr/",
        redistribution=False,
        commercial=False,
    )

    def claim(self, heads: Sequence[TableHead], inputs: Inputs) -> tuple[TableHead, ...]:
        """Tables by the role of their columns, report texts by their place in the tree."""
        tables = [head for head in heads if _role(head) and _has_ids(head)]
        reports = (item for item in inputs.of("text") if _REPORT.search(item.name))
        return (*tables, *(TableHead(item.path, item.name, ()) for item in reports))

    def missing(self, own: Sequence[TableHead]) -> tuple[str, ...]:
        """What a whole copy would have besides."""
        roles = {_role(head) for head in own}
        wanted = {"metadata": {"metadata"}, "split": {"split"}, "label": set(_LABELLERS)}
        lacking = [f"{name} table" for name, any_of in wanted.items() if not roles & any_of]
        has_text = any(not head.columns for head in own) or roles & {"sections", "headerless"}
        return tuple(lacking if has_text else [*lacking, "reports"])

    def records(self, own: Sequence[TableHead], inputs: Inputs) -> Iterator[Record | Problem]:
        """One record an image; one a study where no table lists its images."""
        tables: dict[str, list[TableHead]] = {}
        for head in own:
            tables.setdefault(_role(head) or "report", []).append(head)
        studies = _studies(tables)
        spine = next((role for role in ("metadata", "split", "images") if role in tables), None)
        previous: tuple[str, str] = ("", "")
        for head, line, row in _rows(tables.get(spine or "", ())):
            name = row["study_id"].strip()
            study = studies[name]
            if previous[0] != name:
                text, problem = _text_of(study)
                previous = (name, text)
                if problem:
                    yield problem
            name = previous[0]  # one string for all images of the study
            study.has_image = True
            study.patient = study.patient or row["subject_id"].strip()
            image = row["dicom_id"].strip().lower()
            keys = frozenset((("mimic-image", image),))
            view = intern(row.get("ViewPosition", "").strip())
            where = f"{head.name}:{line}"
            yield _record(study, name, where, keys, previous[1], view=view, image=image)
        for name, study in studies.items():
            if study.has_image or not study.where:
                continue
            text, problem = _text_of(study)
            keys = frozenset((("mimic-study", name),))
            yield problem or _record(study, name, study.where, keys, text)

    def keys(self, path: PurePosixPath, identity: Identity) -> Iterator[Key]:
        """The image's name, which is its DICOM id; then the study of its folder."""
        yield "mimic-image", path.stem.lower()
        for parent in path.parents:
            if found := _STUDY.fullmatch(parent.name):
                yield "mimic-study", found[1]


def _role(head: TableHead) -> str:
    """What a table tells; nothing if it is not one of MIMIC-CXR's."""
    if head.has("dicom_id", "subject_id", "study_id"):
        if head.has("ViewPosition"):
            return "metadata"
        return "split" if head.has("split") else "images" if head.has("path") else ""
    if head.has("study_id", *_COMMON) and _IDS.union(OBSERVATIONS).issuperset(head.columns):
        if head.has("Airspace Opacity"):
            return "radiologist"
        if head.has("subject_id"):
            return "negbio" if "negbio" in head.name.lower() else "chexpert-labeler"
    if head.has("subject_id", "study_id", "path") and len(head.columns) == 3:
        return "studies"
    if head.has("study", "impression", "findings", "last_paragraph"):
        return "sections"
    headerless = len(head.columns) == 2 and _STUDY.fullmatch(head.columns[0])
    return "headerless" if headerless else ""


def _has_ids(head: TableHead) -> bool:
    """Whether the first row's study is numbered as here: hospitals use these columns too."""
    if not head.has("study_id"):
        return True
    try:
        _, row = next(stream(head.path), (0, {"study_id": ""}))
    except SynthError:
        return False
    return re.fullmatch(r"\d{8}", row["study_id"].strip()) is not None


def _rows(heads: Iterable[TableHead]) -> Iterator[tuple[TableHead, int, dict[str, str]]]:
    for head in heads:
        for line, row in stream(head.path):
            yield head, line, row


def _studies(tables: Mapping[str, Sequence[TableHead]]) -> defaultdict[str, _Study]:
    """All that is known by study."""
    studies: defaultdict[str, _Study] = defaultdict(_Study)
    shared: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}  # few patterns, many studies
    for _, _, row in _rows(tables.get("split", ())):
        studies[row["study_id"].strip()].split = _SPLITS.get(row["split"].strip().lower(), "")
    for labeller in _LABELLERS:
        for head, line, row in _rows(tables.get(labeller, ())):
            study = studies[row["study_id"].strip()]
            study.patient = study.patient or row.get("subject_id", "").strip()
            study.where = study.where or f"{head.name}:{line}"
            if not study.labeller:
                labels = stated(row)
                study.labels = shared.setdefault(tuple(labels.items()), labels)
                study.labeller = labeller
    for name, where, text in _section_texts(tables):
        studies[name].text, studies[name].where = text, where
    for head in tables.get("report", ()):  # the whole report is better than its sections
        if found := _REPORT.search(head.name):
            study = studies[found[2]]
            study.patient, study.text, study.where = found[1], head.path, head.name
    return studies


def _section_texts(
    tables: Mapping[str, Sequence[TableHead]],
) -> Iterator[tuple[str, str, str]]:
    for head in tables.get("headerless", ()):
        for line, cells in stream_cells(head.path):
            if len(cells) == 2 and (found := _STUDY.fullmatch(cells[0].strip())):
                yield found[1], f"{head.name}:{line}", cells[1]
    for head, line, row in _rows(tables.get("sections", ())):
        if found := _STUDY.fullmatch(row["study"].strip()):
            parts = [(name, row[name].strip()) for name in ("findings", "impression")]
            text = "\n\n".join(f"{name.upper()}: {part}" for name, part in parts if part)
            yield found[1], f"{head.name}:{line}", text or row["last_paragraph"].strip()


def _text_of(study: _Study) -> tuple[str, Problem | None]:
    if isinstance(study.text, str):
        return study.text, None
    try:
        return read_text(study.text), None
    except SynthError as error:
        return "", Problem(study.where, "text_unreadable", error.problem, error.fix)


def _record(
    study: _Study,
    name: str,
    where: str,
    keys: frozenset[Key],
    text: str,
    *,
    view: str = "",
    image: str = "",
) -> Record:
    fields = {
        "patient": intern(study.patient),
        "study": name,
        "view": view,
        "split": study.split,
        "language": "en",
    }
    return Record(
        where=where,
        keys=keys,
        text=text,
        fields={key: value for key, value in fields.items() if value},
        labels=study.labels or {},
        label_source=study.labeller,
        image=image,
    )


IMPORTER = MimicCxr()
