"""CheXpert's layout: ``train.csv``, ``valid.csv``, ``test.csv`` and its tree of patients.

Columns are CheXpert's (``Path, Sex, Age, Frontal/Lateral, AP/PA`` and 14 observations: 1, 0, -1 or
blank for not mentioned; ``No Finding`` is 1 or blank, never 0), then ours. Images stay PNG: a
lossy copy would differ from the hashes. ``Age`` is blank: only a band of ages is known, which has a
column of its own.

Labels that are finer than CheXpert's count for the observation they are part of, as its labeller
counts them (``synth.text.modes.PARTS``): a nodule is a ``Lung Lesion``. A part says what is there
and never that the whole is absent. ``metadata.csv`` has every label as it was.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping

from synth.data.export.collection import Collection, Item
from synth.data.export.columns import columns_of
from synth.data.export.folder import Folder
from synth.data.export.layout import Files, Layout, Options, Tick
from synth.data.export.table import table_files, write_table
from synth.data.importers.observations import OBSERVATIONS
from synth.manifest import NO_FINDING, Label
from synth.text.modes import PARTS

SPLITS = {"train": "train", "val": "valid", "test": "test"}
_COLUMNS = {name: column for column, name in reversed(list(OBSERVATIONS.items()))}
_HEAD = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA")
_TAIL = ("Age Band", "Sample ID", "Synthetic", "Weight", "Text")
_SEXES = {"M": "Male", "F": "Female"}
_CODE = """\
import pandas as pd

train = pd.read_csv("DIR/train.csv")  # or the CheXpert loader of your library: csvpath, imgpath
"""


def write(collection: Collection, folder: Folder, options: Options, tick: Tick) -> Layout:
    """Copy the images into CheXpert's tree and write its tables and ``metadata.csv``."""
    columns = columns_of(collection)
    places = _paths(collection)
    for split, items in collection.splits.items():
        rows = []
        for item in items:
            name = places[item.key]["file_name"]
            if not folder.has(name):
                folder.put(name, item.read())
            rows.append(_row(item, name))
            tick()
        folder.put(f"{SPLITS[split]}.csv", _csv(rows))
    write_table(folder, collection, columns, places)
    tables = tuple(
        Files(SPLITS[split], f"{SPLITS[split]}.csv", "text/csv") for split in collection.splits
    )
    return Layout(
        files=(
            *tables,
            Files("images", "*/patient*/study*/*.png", "image/png"),
            table_files(columns, places),
        ),
        code=_CODE,
        remarks=(
            "`Path` is relative to this folder; patients are numbered anew. `Age` is blank, see "
            "`Age Band`. Labels finer than CheXpert's 14 are gathered into them; `metadata.csv` "
            "has them as they were.",
        ),
    )


def _paths(collection: Collection) -> dict[str, dict[str, str]]:
    """Key -> path: patients and studies are numbered as they come; no study joins two images."""
    patients: dict[str, int] = {}
    studies: dict[str, dict[str, int]] = {}
    views: dict[tuple[str, str], int] = {}
    places = {}
    for item in collection.items:
        row = item.row
        patient = f"{item.dataset}/{row.patient_id or row.sample_id}"
        number = patients.setdefault(patient, len(patients) + 1)
        known = studies.setdefault(patient, {})
        study = row.study_id or row.sample_id
        place = known.setdefault(study, len(known) + 1)
        view = views[patient, study] = views.get((patient, study), 0) + 1
        kind = {"LATERAL": "lateral", "PA": "frontal", "AP": "frontal"}.get(row.view or "", "view")
        name = f"patient{number:05d}/study{place}/view{view}_{kind}{item.suffix}"
        places[item.key] = {"file_name": f"{SPLITS[row.split]}/{name}"}
    return places


def _row(item: Item, name: str) -> dict[str, object]:
    row = item.row
    frontal = row.view in ("PA", "AP")
    facts: dict[str, object] = {
        "Path": name,
        "Sex": _SEXES.get(row.sex or "", "Unknown"),
        "Frontal/Lateral": "Frontal" if frontal else "Lateral" if row.view == "LATERAL" else "",
        "AP/PA": row.view if frontal else "",
        "Age Band": row.age_band,
        "Sample ID": row.sample_id,
        "Synthetic": int(row.synthetic),
        "Weight": item.weight,
        "Text": row.text_used,
    }
    for finding, value in observations(row.labels).items():
        facts[_COLUMNS[finding]] = "" if value is None else f"{value:.1f}"
    return facts


def observations(labels: Mapping[str, Label]) -> dict[str, Label]:
    """The 14 observations of any labels: their own value, else that of a part that is there."""
    found: dict[str, Label] = {
        NO_FINDING: 1 if labels.get(NO_FINDING) == 1 else None,
    }
    for name, parts in PARTS.items():
        own = labels.get(name)
        among = {labels.get(part) for part in parts}
        found[name] = next((value for value in (1, -1) if value in (own, *among)), own)
    return found


def _csv(rows: Iterable[Mapping[str, object]]) -> bytes:
    buffer = io.StringIO(newline="")
    names = [column for column, name in OBSERVATIONS.items() if _COLUMNS[name] == column]
    writer = csv.DictWriter(buffer, [*_HEAD, *names, *_TAIL], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().encode()
