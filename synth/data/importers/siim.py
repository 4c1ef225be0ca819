"""SIIM-ACR Pneumothorax Segmentation 2019: 12,047 frontal radiographs with masks.

Population: a part of NIH ChestX-ray14 (NIH Clinical Center, US), annotated by radiologists of SIIM,
ACR and the Society of Thoracic Radiology.

Labels: ``pneumothorax`` only: 1 if any mask of the image has pixels, 0 for ``-1``. Nothing else was
looked for, so nothing else is stated, ``no_finding`` included.

Splits: none; the labels of the last test stage were not published.

Licence: the competition's rules on Kaggle. Citation: SIIM and ACR, Kaggle 2019.

Quirks: the header is ``ImageId, EncodedPixels`` with a leading space, and so are the cells in some
copies; one row a mask, so several an image (12,954 rows); run lengths are relative to the end of
the last run; images lie three folders of UIDs deep, and two of those UIDs are not the image's. The
sample submission has the same header and invented cells: a table named ``submission`` is not read.
Other competitions share this header too, so the first ``ImageId`` must be a DICOM UID.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from synth.data.importers.base import Key, Problem, Record, Source, make_keys
from synth.data.importers.streams import TableHead, stream
from synth.data.inputs import Inputs
from synth.dicom import Identity

_ID, _MASK = "ImageId", "EncodedPixels"
_UID = re.compile(r"\d+(\.\d+){4,}")
_RUNS = re.compile(r"\d+ +\d+(?: +\d+ +\d+)*")  # pairs of start and length


class Siim:
    """See the module."""

    source = Source(
        name="siim-pneumothorax",
        title="SIIM-ACR Pneumothorax Segmentation Challenge 2019",
        population="12,047 images chosen from NIH ChestX-ray14 (US), annotated by radiologists",
        licence="Kaggle competition rules (SIIM-ACR Pneumothorax Segmentation)",
        terms=(
            "The rules of the competition bind whoever downloaded the data: read them before any "
            "use beyond research. What they may forbid is treated as forbidden here.",
            "Acknowledge the NIH Clinical Center, which provided the images.",
        ),
        citation="Society for Imaging Informatics in Medicine, American College of Radiology. "
        "SIIM-ACR Pneumothorax Segmentation. Kaggle 2019.",
        url="https://www.kaggle.com/c/siim-acr-pneumothorax-segmentation",
        redistribution=False,
        commercial=False,
    )

    def claim(self, heads: Sequence[TableHead], inputs: Inputs) -> tuple[TableHead, ...]:
        """Tables of the two columns whose ids are UIDs."""
        mine = [head for head in heads if head.columns == (_ID, _MASK) and _has_uids(head)]
        return tuple(mine) if any(not _is_submission(head) for head in mine) else ()

    def records(self, own: Sequence[TableHead], inputs: Inputs) -> Iterator[Record | Problem]:
        """One record an image; none of an image with a cell that is not understood."""
        found: dict[str, tuple[str, bool]] = {}  # image -> its first row, whether any has a mask
        problems: dict[str, Problem] = {}
        for head in own:
            for line, row in () if _is_submission(head) else stream(head.path):
                image, cell, where = row[_ID].strip(), row[_MASK].strip(), f"{head.name}:{line}"
                if cell != "-1" and not _RUNS.fullmatch(cell):
                    fix = "Use run lengths, or -1 for no mask"
                    problems[image] = Problem(where, "bad_label", "the cell is no mask", fix)
                    continue
                first, before = found.get(image, (where, False))
                found[image] = first, before or cell != "-1"
        yield from problems.values()
        for image, (where, present) in found.items():
            if image not in problems:
                yield Record(
                    where=where,
                    keys=frozenset(make_keys("siim", (image,))),
                    labels={"pneumothorax": str(int(present))},
                    label_source="reader",
                    image=image,
                )

    def keys(self, path: PurePosixPath, identity: Identity) -> Iterator[Key]:
        """By name, with and without suffix (a UID has dots of its own), then by instance UID."""
        yield from make_keys("siim", (path.stem, path.name, identity.instance))


def _has_uids(head: TableHead) -> bool:
    first = next((row for _, row in stream(head.path)), {})
    return _UID.fullmatch(first.get(_ID, "").strip()) is not None


def _is_submission(head: TableHead) -> bool:
    return "submission" in PurePosixPath(head.name).name.lower()


IMPORTER = Siim()
