"""A MONAI datalist: ``datalist.json`` beside the images, as ``load_decathlon_datalist`` reads it.

A label is a whole number, so that a batch can be made of it, and never 0 unless the finding is
absent: 1 present, 0 absent, -1 uncertain, -2 not stated. ``label_mask`` is 1 where it counts.
MONAI takes any string of an item that names a file beside the list for a path; an empty one would
name the folder itself, so a missing text is a single space.
"""

from __future__ import annotations

import json
from typing import Any

from synth.data.export.collection import Collection, Item
from synth.data.export.columns import columns_of
from synth.data.export.folder import Folder
from synth.data.export.layout import Files, Layout, Options, Tick
from synth.data.export.table import table_files, write_table

NOT_STATED = -2
LISTS = {"train": "training", "val": "validation", "test": "test"}
_CODE = """\
from monai.data import load_decathlon_datalist

training = load_decathlon_datalist("DIR/datalist.json", False, "training")
"""


def write(collection: Collection, folder: Folder, options: Options, tick: Tick) -> Layout:
    """Copy the images and write the list and ``metadata.csv``."""
    columns = columns_of(collection)
    places: dict[str, dict[str, str]] = {}
    lists: dict[str, list[dict[str, Any]]] = {}
    for split, items in collection.splits.items():
        entries = lists.setdefault(LISTS[split], [])
        for item in items:
            name = f"images/{split}/{item.key}{item.suffix}"
            if not folder.has(name):
                folder.put(name, item.read())
            entries.append(_entry(item, name, collection.findings))
            places[item.key] = {"file_name": name}
            tick()
    folder.put("datalist.json", _datalist(collection, lists))
    write_table(folder, collection, columns, places)
    return Layout(
        files=(
            Files("datalist", "datalist.json", "application/json"),
            Files("images", "images/*/*.png", "image/png"),
            table_files(columns, places),
        ),
        code=_CODE,
        remarks=(
            "`label` in `datalist.json` follows its `findings`: 1 present, 0 absent, -1 uncertain, "
            "-2 not stated. Leave out of a loss what `label_mask` marks with 0.",
        ),
    )


def _entry(item: Item, name: str, findings: tuple[str, ...]) -> dict[str, Any]:
    labels = [item.row.labels.get(finding) for finding in findings]
    return {
        "image": name,
        "label": [NOT_STATED if label is None else label for label in labels],
        "label_mask": [int(label in (0, 1)) for label in labels],
        "text": item.row.text_used or " ",
        "sample_id": item.row.sample_id,
        "synthetic": int(item.row.synthetic),
        "weight": item.weight,
    }


def _datalist(collection: Collection, lists: dict[str, list[dict[str, Any]]]) -> bytes:
    whole = {
        "name": collection.name,
        "description": f"{len(collection.items)} images, {collection.synthetic} of them synthetic",
        "licence": collection.terms.licence,
        "tensorImageSize": "2D",
        "modality": {"0": "XRAY"},
        "findings": list(collection.findings),
        "label_values": {"1": "present", "0": "absent", "-1": "uncertain", "-2": "not stated"},
        "numTraining": len(lists.get("training", ())),
        "numTest": len(lists.get("test", ())),
        **lists,
    }
    return (json.dumps(whole, indent=1, ensure_ascii=False) + "\n").encode()
