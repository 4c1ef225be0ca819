"""NIH ChestX-ray14: 112,120 frontal radiographs labelled by text mining.

Population: 30,805 patients of the NIH Clinical Center, Bethesda, 1992 to 2015.

Labels: fourteen findings and "No Finding", mined from reports that were never published. The list
is exhaustive for these classes: one that is not named is 0. Google's relabelling of 4,376 images by
radiologists (Majkowska et al. 2020) wins over the mined labels where its table is there: fracture,
pneumothorax, airspace opacity (``lung_opacity``) and "Nodule or mass", which is ``lung_lesion``:
its YES leaves ``nodule`` and ``mass`` open unless mined as present, its NO makes both 0.

Splits: ``train_val_list.txt`` and ``test_list.txt``, disjoint by patient. The first is ``train``:
the source does not say which of its patients validate.

Licence: free use with attribution to the NIH Clinical Center. Citation: Wang et al., CVPR 2017.

Quirks: unquoted commas in the header (``OriginalImage[Width,Height]``); ``Patient Gender`` in one
release, ``Patient Sex`` in another; ages such as ``058Y``, and far above 100; images in twelve
folders or one; a box table, not needed, whose header has more columns than its rows and which says
"Infiltrate" for Infiltration. Of two releases of the main table the later name (``_v2020``) counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from synth.data.importers.base import Key, Problem, Record, Source, make_keys
from synth.data.importers.streams import TableHead, read_text, stream
from synth.data.inputs import Inputs
from synth.dicom import Identity

_FINDINGS = {
    "Atelectasis": "atelectasis",
    "Cardiomegaly": "cardiomegaly",
    "Consolidation": "consolidation",
    "Edema": "edema",
    "Effusion": "pleural_effusion",
    "Emphysema": "emphysema",
    "Fibrosis": "fibrosis",
    "Hernia": "hernia",
    "Infiltration": "infiltration",
    "Mass": "mass",
    "Nodule": "nodule",
    "Pleural_Thickening": "pleural_thickening",
    "Pneumonia": "pneumonia",
    "Pneumothorax": "pneumothorax",
}
_EXPERT = {
    "Fracture": "fracture",
    "Pneumothorax": "pneumothorax",
    "Airspace opacity": "lung_opacity",
    "Nodule or mass": "lung_lesion",
}
_MAIN = ("Image Index", "Finding Labels", "Patient ID", "View Position")
_LISTS = {"train_val_list.txt": "train", "test_list.txt": "test"}


class Nih:
    """See the module."""

    source = Source(
        name="nih-chestxray14",
        title="NIH ChestX-ray14",
        population="30,805 patients of the NIH Clinical Center (US), 1992-2015, 112,120 images",
        licence="NIH Clinical Center terms: free use with attribution",
        terms=(
            "Link to the NIH download site, https://nihcc.app.box.com/v/ChestXray-NIHCC.",
            "Cite Wang et al., CVPR 2017.",
            "Acknowledge the NIH Clinical Center as the data provider.",
        ),
        citation="Wang X. et al. ChestX-ray8: Hospital-scale Chest X-ray Database and Benchmarks. "
        "CVPR 2017, 3462-3471.",
        url="https://nihcc.app.box.com/v/ChestXray-NIHCC",
        redistribution=True,
        commercial=True,
    )

    def claim(self, heads: Sequence[TableHead], inputs: Inputs) -> tuple[TableHead, ...]:
        """The main table, Google's, the boxes, and the two split lists (text files)."""
        labels = [head for head in heads if head.has(*_MAIN) or _is_expert(head)]
        if not labels:
            return ()
        boxes = [head for head in heads if head.has("Image Index", "Finding Label", "Bbox [x")]
        lists = [
            TableHead(item.path, item.name, ())
            for item in inputs.of("text")
            if PurePosixPath(item.name).name.lower() in _LISTS
        ]
        return (*labels, *boxes, *lists)

    def missing(self, own: Sequence[TableHead]) -> tuple[str, ...]:
        """The split lists that are not there."""
        there = {PurePosixPath(head.name).name.lower() for head in own}
        return tuple(name for name in _LISTS if name not in there)

    def records(self, own: Sequence[TableHead], inputs: Inputs) -> Iterator[Record | Problem]:
        """One record an image, Google's answers merged in."""
        splits, experts = _read_splits(own), _read_experts(own)
        tables = [head for head in own if head.has("Image Index") and not head.has("Bbox [x")]
        newest = sorted(tables, key=lambda head: head.name, reverse=True)
        seen: set[str] = set()
        for head in sorted(newest, key=_is_expert):
            for line, row in stream(head.path):
                image = row["Image Index"].strip()
                if not image or image in seen:
                    continue
                seen.add(image)
                where, cell = f"{head.name}:{line}", row.get("Finding Labels", "")
                mined, expert = _mined(cell), experts.get(image, {})
                if mined is None:
                    known = "Use the fourteen published names, or No Finding"
                    yield Problem(where, "bad_label", "Finding Labels holds an unknown name", known)
                    continue
                yield Record(
                    where=where,
                    keys=frozenset(make_keys("nih", (PurePosixPath(image).stem,))),
                    fields=_fields(row, splits.get(image, "")),
                    labels=_merge(mined, expert),
                    label_source="+".join(
                        ["text-mining"] * bool(mined) + ["reader"] * bool(expert)
                    ),
                    image=image,
                )

    def keys(self, path: PurePosixPath, identity: Identity) -> Iterator[Key]:
        """By name without folder and suffix: Google serves the same names as DICOM."""
        yield from make_keys("nih", (path.stem,))


def _is_expert(head: TableHead) -> bool:
    return head.has("Image Index", *_EXPERT)


def _read_splits(own: Sequence[TableHead]) -> dict[str, str]:
    """Image -> official split, from the two lists of names."""
    splits: dict[str, str] = {}
    for head in own:
        if split := _LISTS.get(PurePosixPath(head.name).name.lower()):
            names = read_text(head.path).split()
            splits.update(dict.fromkeys(names, split))
    return splits


def _read_experts(own: Sequence[TableHead]) -> dict[str, dict[str, str]]:
    """Image -> what radiologists said: finding -> 1 or 0."""
    answers = {"YES": "1", "NO": "0"}
    return {
        row["Image Index"].strip(): {
            finding: answers[cell]
            for column, finding in _EXPERT.items()
            if (cell := row[column].strip().upper()) in answers
        }
        for head in own
        if _is_expert(head)
        for _, row in stream(head.path)
    }


def _fields(row: Mapping[str, str], split: str) -> dict[str, str]:
    columns = {
        "patient": ("Patient ID",),
        "age": ("Patient Age",),
        "sex": ("Patient Gender", "Patient Sex"),
        "view": ("View Position",),
    }
    fields = {
        name: cell
        for name, options in columns.items()
        for column in options
        if (cell := row.get(column, "").strip())
    }
    return fields | ({"split": split} if split else {})


def _mined(cell: str) -> dict[str, str] | None:
    """``Mass|Effusion`` -> every class as 1 or 0; none of an empty cell, ``None`` of a bad one."""
    names = {name.strip().replace(" ", "_") for name in cell.split("|") if name.strip()}
    if not names:
        return {}
    if not names <= {*_FINDINGS, "No_Finding"}:
        return None
    labels = {finding: str(int(name in names)) for name, finding in _FINDINGS.items()}
    return labels | {"no_finding": str(int("No_Finding" in names))}


def _merge(mined: dict[str, str], expert: dict[str, str]) -> dict[str, str]:
    labels = mined | expert
    for finding in ("nodule", "mass"):
        if expert.get("lung_lesion") == "0":
            labels[finding] = "0"
        elif expert.get("lung_lesion") == "1" and mined.get(finding) != "1":
            labels[finding] = ""  # one of the two, and nobody says which
    if "1" in expert.values():
        labels["no_finding"] = "0"
    return labels


IMPORTER = Nih()
