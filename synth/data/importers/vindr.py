"""VinDr-CXR: 18,000 postero-anterior radiographs, those to train on read by three radiologists.

Population: two hospitals in Hanoi, Vietnam (Hospital 108, Hanoi Medical University Hospital),
adults, 2018 to 2020; 15,000 images to train on, 3,000 to test. Kaggle's copy has the 15,000 and 14
of the local classes.

Labels: 22 local findings with boxes and 6 global diagnoses, by 17 radiologists. The lists are
exhaustive for their classes. Three readers: named by the majority is 1, by a minority -1, by nobody
0 (``reader-majority``). The test part was settled by five radiologists: 1 or 0
(``reader-consensus``). Rib and clavicle fracture are ``fracture``, which a reader names if he names
either; "Nodule/Mass" is ``lung_lesion``, and ``nodule`` and ``mass`` are 0 where it is 0 and open
elsewhere. "Other lesion", "Other disease" and "Lung tumor" are no finding of their own.
``no_finding`` is voted on too, and 0 where any finding is 1.

Splits: PhysioNet's tables are ``train`` where they have a reader column, else ``test``. Kaggle's
test images have no labels, so its table states no split.

Licence: PhysioNet Credentialed Health Data License 1.5.0. Citation: Nguyen et al., Scientific Data
2022.

Quirks: images end in ``.dicom``; the column is ``Other diseases`` in train and ``Other disease`` in
test; Kaggle has one row a box and "No finding" (class 14) with empty boxes: 67,914 rows. Patients
are not told: ids are of images. VinDr-PCXR (children) has the same layout with ``rad_ID`` and other
classes and is not this source.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from synth.data.importers.base import Key, Problem, Record, Source, make_keys
from synth.data.importers.streams import TableHead, stream
from synth.data.inputs import Inputs
from synth.dicom import Identity

_BOXED = {  # the local classes of Kaggle
    "Aortic enlargement": "aortic_enlargement",
    "Atelectasis": "atelectasis",
    "Calcification": "calcification",
    "Cardiomegaly": "cardiomegaly",
    "Consolidation": "consolidation",
    "ILD": "interstitial_pattern",
    "Infiltration": "infiltration",
    "Lung Opacity": "lung_opacity",
    "Nodule/Mass": "lung_lesion",
    "Other lesion": "",
    "Pleural effusion": "pleural_effusion",
    "Pleural thickening": "pleural_thickening",
    "Pneumothorax": "pneumothorax",
    "Pulmonary fibrosis": "fibrosis",
    "No finding": "no_finding",
}
_LOCAL = {  # those of PhysioNet
    **_BOXED,
    "Clavicle fracture": "fracture",
    "Edema": "edema",
    "Emphysema": "emphysema",
    "Enlarged PA": "enlarged_pulmonary_artery",
    "Lung cavity": "cavity",
    "Lung cyst": "cyst",
    "Mediastinal shift": "mediastinal_shift",
    "Rib fracture": "fracture",
}
_ALL = {
    **_LOCAL,
    "COPD": "copd",
    "Lung tumor": "",
    "Pneumonia": "pneumonia",
    "Tuberculosis": "tuberculosis",
    "Other disease": "",
    "Other diseases": "",
}
_BOX = ("image_id", "class_name", "x_min", "y_min", "x_max", "y_max")
_READER = "rad_id"
_ANSWERS = frozenset(("", "nan", "0", "0.0", "1", "1.0"))


@dataclass
class _Vote:
    """What the readers of one image named."""

    where: str
    named: dict[str, set[str]] = field(default_factory=dict)  # by reader
    unknown: bool = False


class VinDr:
    """See the module."""

    source = Source(
        name="vindr-cxr",
        title="VinDr-CXR",
        population="18,000 PA images of adults, two hospitals in Hanoi (Vietnam), 2018-2020",
        licence="PhysioNet Credentialed Health Data License 1.5.0",
        terms=(
            "Access only for credentialed users who signed the data use agreement.",
            "Do not share the data, and do not try to identify anyone in them.",
            "For lawful scientific research only; Kaggle's copy is bound by its rules.",
            "Cite Nguyen et al. 2022 and PhysioNet.",
        ),
        citation="Nguyen H. Q. et al. VinDr-CXR: An open dataset of chest X-rays with "
        "radiologist's annotations. Sci Data 2022;9:429.",
        url="https://physionet.org/content/vindr-cxr/",
        redistribution=False,
        commercial=False,
    )

    def claim(self, heads: Sequence[TableHead], inputs: Inputs) -> tuple[TableHead, ...]:
        """Image label tables, and box tables with a reader or beside an image label table."""
        labels = [head for head in heads if _is_image_labels(head)]
        boxes = [head for head in heads if head.has(*_BOX)]
        read = [head for head in boxes if _READER in head.columns]
        return (*labels, *(boxes if labels else read))

    def records(self, own: Sequence[TableHead], inputs: Inputs) -> Iterator[Record | Problem]:
        """One record an image; none of an image with a class that is not understood."""
        seen: set[str] = set()
        for head in sorted(own, key=_is_image_labels, reverse=True):  # boxes only fill gaps
            votes = _read_columns(head) if _is_image_labels(head) else _read_boxes(head)
            consensus = _READER not in head.columns
            split = "" if head.has("class_id") else "test" if consensus else "train"
            for image, vote in votes.items():
                if image in seen:
                    continue
                seen.add(image)
                if vote.unknown:
                    detail = "a class is unknown, or neither 0 nor 1"
                    yield Problem(vote.where, "bad_label", detail, "Use the published table")
                    continue
                yield Record(
                    where=vote.where,
                    keys=frozenset(make_keys("vindr", (image,))),
                    fields={"view": "PA"} | ({"split": split} if split else {}),
                    labels=_agree(vote, _asked(head)),
                    label_source="reader-consensus" if consensus else "reader-majority",
                    image=image,
                )

    def keys(self, path: PurePosixPath, identity: Identity) -> Iterator[Key]:
        """By name without folder and suffix: ``.dicom``, or what it was converted to."""
        yield from make_keys("vindr", (path.stem,))


def _is_image_labels(head: TableHead) -> bool:
    return head.has("image_id", "No finding", "Aortic enlargement", "Clavicle fracture", "ILD")


def _asked(head: TableHead) -> set[str]:
    """The findings that the readers of a table were asked for."""
    if _is_image_labels(head):
        return {_ALL[name] for name in head.columns if name in _ALL} - {""}
    return set((_BOXED if head.has("class_id") else _LOCAL).values()) - {""}


def _read_columns(head: TableHead) -> dict[str, _Vote]:
    votes: dict[str, _Vote] = {}
    columns = [name for name in head.columns if name in _ALL]
    for line, row in stream(head.path):
        vote = votes.setdefault(row["image_id"].strip(), _Vote(f"{head.name}:{line}"))
        cells = {name: row[name].strip().lower() for name in columns}
        vote.unknown = vote.unknown or not _ANSWERS.issuperset(cells.values())
        named = {_ALL[name] for name, cell in cells.items() if cell in ("1", "1.0")}
        vote.named[row.get(_READER, "").strip()] = named
    return votes


def _read_boxes(head: TableHead) -> dict[str, _Vote]:
    votes: dict[str, _Vote] = {}
    for line, row in stream(head.path):
        vote = votes.setdefault(row["image_id"].strip(), _Vote(f"{head.name}:{line}"))
        named = vote.named.setdefault(row.get(_READER, "").strip(), set())
        name = row["class_name"].strip()
        vote.unknown = vote.unknown or name not in _LOCAL
        named.add(_LOCAL.get(name, ""))
    return votes


def _agree(vote: _Vote, findings: set[str]) -> dict[str, str]:
    labels = {}
    readers = vote.named.values()
    for finding in sorted(findings):
        count = sum(finding in named for named in readers)
        labels[finding] = "1" if 2 * count > len(readers) else "-1" if count else "0"
    if any(value == "1" for name, value in labels.items() if name != "no_finding"):
        labels["no_finding"] = "0"
    either = "0" if labels["lung_lesion"] == "0" else ""
    return labels | {"nodule": either, "mass": either}


IMPORTER = VinDr()
