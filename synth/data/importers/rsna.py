"""RSNA Pneumonia Detection Challenge 2018: 26,684 frontal radiographs with boxes around opacities.

Population: a part of NIH ChestX-ray14 (NIH Clinical Center, US), read again by radiologists of the
RSNA and the Society of Thoracic Radiology.

Labels: Target 1 is a lung opacity that may be pneumonia, judged from the image alone:
``lung_opacity`` 1 and ``pneumonia`` -1. Target 0 makes both 0: the readers looked for nothing else.
``stage_2_detailed_class_info.csv`` tells normal images (``no_finding`` 1) from those with another
abnormality (``no_finding`` 0); without it the latter is not stated.

Splits: none; the test images have no labels.

Licence: RSNA's terms of use: research, education and other use with attribution. Citation: Shih et
al., Radiology: Artificial Intelligence 2019.

Quirks: one row a box, so several an image (30,227 rows); an image of Target 0 has one row with
empty cells. ``patientId`` is the image's name, also in the DICOM header: which images are of one
person is not told here, so the split by patient is only by image. Ages of 148 to 155; every image
is ``ConversionType`` WSD, a digitised secondary capture of 8 bits. Kaggle's ``.csv.zip`` must be
unpacked first. A table of the DICOM headers, if there, gives age, sex and view of converted images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from synth.data.importers.base import Key, Problem, Record, Source, make_keys
from synth.data.importers.streams import TableHead, stream
from synth.data.inputs import Inputs
from synth.dicom import Identity

_BOXES = ("patientId", "x", "y", "width", "height", "Target")
_HEADERS = ("Filename", "ConversionType", "PatientAge", "PatientSex", "ViewPosition")
_TARGETS = {"0": False, "0.0": False, "1": True, "1.0": True}
_CLASSES = {"normal": "1", "lung opacity": "0", "no lung opacity / not normal": "0"}


class Rsna:
    """See the module."""

    source = Source(
        name="rsna-pneumonia",
        title="RSNA Pneumonia Detection Challenge 2018",
        population="26,684 images chosen from NIH ChestX-ray14 (US), read again by radiologists",
        licence="RSNA terms of use: research, education and other use with attribution",
        terms=(
            "Attribute the RSNA and the Society of Thoracic Radiology; cite Shih et al. 2019.",
            "Acknowledge the NIH Clinical Center, which provided the images.",
            "Copies from Kaggle are bound by the competition's rules too.",
            "The terms grant use; passing the data on is not spoken of and so not assumed.",
        ),
        citation="Shih G. et al. Augmenting the National Institutes of Health Chest Radiograph "
        "Dataset with Expert Annotations of Possible Pneumonia. Radiol Artif Intell 2019;1(1).",
        url="https://www.rsna.org/education/ai-resources-and-training/ai-image-challenge/"
        "rsna-pneumonia-detection-challenge-2018",
        redistribution=False,
        commercial=True,
    )

    def claim(self, heads: Sequence[TableHead], inputs: Inputs) -> tuple[TableHead, ...]:
        """The table of boxes and, beside it, classes, headers and the empty submission."""
        if not any(head.has(*_BOXES) for head in heads):
            return ()
        companions = (_BOXES, _HEADERS, ("patientId", "class"), ("patientId", "PredictionString"))
        return tuple(head for head in heads if any(head.has(*columns) for columns in companions))

    def missing(self, own: Sequence[TableHead]) -> tuple[str, ...]:
        """The table of classes, without which no image is said to be normal."""
        return () if any(head.has("patientId", "class") for head in own) else ("class table",)

    def records(self, own: Sequence[TableHead], inputs: Inputs) -> Iterator[Record | Problem]:
        """One record an image; none of an image with a cell that is not understood."""
        normal, problems = _read_normal(own)
        targets = _read_targets(own, problems)
        known = _read_headers(own)
        yield from problems.values()
        for image, (where, target) in targets.items():
            if image in problems:
                continue
            labels = {"lung_opacity": str(int(target)), "pneumonia": "-1" if target else "0"}
            if target or image in normal:
                labels["no_finding"] = "0" if target else normal[image]
            yield Record(
                where=where,
                keys=frozenset(make_keys("rsna", (image,))),
                fields={"patient": image, **known.get(image, {})},
                labels=labels,
                label_source="reader",
                image=image,
            )

    def keys(self, path: PurePosixPath, identity: Identity) -> Iterator[Key]:
        """By name, then by the header's PatientID, which is the same."""
        yield from make_keys("rsna", (path.stem, identity.patient))


def _read_normal(own: Sequence[TableHead]) -> tuple[dict[str, str], dict[str, Problem]]:
    """Image -> ``no_finding``, or what is wrong with its class."""
    normal: dict[str, str] = {}
    problems: dict[str, Problem] = {}
    for head in own:
        if not head.has("patientId", "class"):
            continue
        for line, row in stream(head.path):
            image, name = row["patientId"].strip(), row["class"].strip().lower()
            if name in _CLASSES:
                normal[image] = _CLASSES[name]
            else:
                where, fix = f"{head.name}:{line}", "Use one of the three published classes"
                problems[image] = Problem(where, "bad_label", "the class is unknown", fix)
    return normal, problems


def _read_targets(
    own: Sequence[TableHead], problems: dict[str, Problem]
) -> dict[str, tuple[str, bool]]:
    """Image -> its first row, and whether any of its rows is positive; adds to the problems."""
    targets: dict[str, tuple[str, bool]] = {}
    for head in own:
        if not head.has(*_BOXES):
            continue
        for line, row in stream(head.path):
            image, cell, where = (
                row["patientId"].strip(),
                row["Target"].strip(),
                f"{head.name}:{line}",
            )
            if cell not in _TARGETS:
                problems[image] = Problem(where, "bad_label", "Target is not 0 or 1", "Correct it")
                continue
            first, before = targets.get(image, (where, False))
            targets[image] = first, before or _TARGETS[cell]
    return targets


def _read_headers(own: Sequence[TableHead]) -> dict[str, dict[str, str]]:
    """Image -> age, sex and view as its DICOM header has them."""
    columns = {"age": "PatientAge", "sex": "PatientSex", "view": "ViewPosition"}
    return {
        PurePosixPath(row["Filename"].strip()).stem: {
            name: cell for name, column in columns.items() if (cell := row[column].strip())
        }
        for head in own
        if head.has(*_HEADERS)
        for _, row in stream(head.path)
    }


IMPORTER = Rsna()
