"""CheXpert v1.0, full resolution or ``-small``.

Population: 224,316 chest radiographs of 65,240 patients, Stanford Hospital, 2002 to 2017.
Labels: 14 observations that a rule labeller read from reports (which are not published): 1, 0, -1,
or blank for not mentioned; the validation and test images were labelled by radiologists.
Licence: Stanford University Dataset Research Use Agreement.

Quirks:
    The path prefix differs: ``CheXpert-v1.0/``, ``CheXpert-v1.0-small/``, folders of batches.
    There is no patient column; patient and study are parts of the path.
    17 frontal images have the lateral projections ``LL`` or ``RL``: their view is left open.
    ``Sex`` is once ``Unknown``; ``Age`` is 0 three times in an adult archive: not stated.
    12 rows state nothing. ``No Finding`` is never 0.
    Other labellers' tables (``train_cheXbert.csv``) repeat the same paths: the first table counts.
    ``valid.csv`` is the official validation set.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from synth.data.importers.base import Key, Record, Source
from synth.data.importers.observations import OBSERVATIONS, stated
from synth.data.importers.streams import TableHead, stream
from synth.data.inputs import Inputs
from synth.dicom import Identity
from synth.errors import SynthError

IMAGE = re.compile(
    r"(?:(train|valid|test)/)?(patient\d{5,})/(study\d+)/([^/]+)\.\w+$", re.IGNORECASE
)
SPLITS = {"train": "train", "valid": "val", "test": "test"}
_COLUMNS = tuple(name for name in OBSERVATIONS if name != "Airspace Opacity")


def view_of(frontal_lateral: str, projection: str) -> str:
    """``LATERAL``, ``AP``, ``PA``, or nothing where the two columns contradict each other."""
    if frontal_lateral.strip().lower() == "lateral":
        return "LATERAL"
    return projection if projection in ("AP", "PA") else ""


def image_key(path: str) -> Key | None:
    """Patient, study and view of a path, whatever stands before and behind them."""
    found = IMAGE.search(path.replace("\\", "/"))
    return ("chexpert", "/".join(found.groups()[1:]).lower()) if found else None


class CheXpert:
    """See the module."""

    source = Source(
        name="chexpert",
        title="CheXpert",
        population="224,316 chest radiographs of 65,240 patients, Stanford Hospital, 2002 to 2017",
        licence="Stanford University Dataset Research Use Agreement",
        terms=(
            "Non-commercial research only.",
            "The data, in whole or in part, may not be passed on; each user signs the agreement.",
            "No attempt may be made to identify a patient.",
        ),
        citation="Irvin et al., CheXpert: a large chest radiograph dataset with uncertainty labels "
        "and expert comparison, AAAI 2019",
        url="https://stanfordmlgroup.github.io/competitions/chexpert/",
        redistribution=False,
        commercial=False,
    )

    def claim(self, heads: Sequence[TableHead], inputs: Inputs) -> tuple[TableHead, ...]:
        """Tables with ``Path`` and the observations whose first path is a CheXpert one."""
        return tuple(
            head
            for head in heads
            if head.has("Path", *_COLUMNS) and not head.has("report") and _starts_here(head)
        )

    def records(self, own: Sequence[TableHead], inputs: Inputs) -> Iterator[Record]:
        """One record an image."""
        seen: set[Key] = set()
        for head in sorted(own, key=lambda head: (len(head.name), head.name)):
            for line, row in stream(head.path):
                key, found = image_key(row["Path"]), IMAGE.search(row["Path"])
                if key is None or found is None or key in seen:
                    continue
                seen.add(key)
                split, patient, study = found.group(1, 2, 3)
                yield Record(
                    where=f"{head.name}:{line}",
                    keys=frozenset((key,)),
                    fields=_fields(row, split, patient, study),
                    labels=stated(row),
                    label_source="chexpert-labeler" if split == "train" else "radiologist",
                    image=row["Path"],
                )

    def keys(self, path: PurePosixPath, identity: Identity) -> Iterator[Key]:
        """Patient, study and view of the path."""
        if key := image_key(str(path)):
            yield key


def _starts_here(head: TableHead) -> bool:
    try:
        _, row = next(stream(head.path), (0, {"Path": ""}))
    except SynthError:
        return False
    return IMAGE.search(row["Path"]) is not None


def _fields(row: dict[str, str], split: str | None, patient: str, study: str) -> dict[str, str]:
    age = row.get("Age", "").strip()
    fields = {
        "patient": patient,
        "study": f"{patient}/{study}",
        "view": view_of(row.get("Frontal/Lateral", ""), row.get("AP/PA", "")),
        "sex": row.get("Sex", ""),
        "age": "" if age in ("0", "0.0") else age,
        "split": SPLITS.get((split or "").lower(), ""),
    }
    return {name: value for name, value in fields.items() if value}


IMPORTER = CheXpert()
