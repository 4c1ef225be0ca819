"""Hugging Face ImageFolder: ``data/<split>/images/…`` with a ``metadata.parquet`` a split.

Parquet, because ``datasets`` infers the types of a JSONL table from its cells: a column that is
empty in one split and not in another would be refused. ``metadata.jsonl`` at the top has the rows
as a prepared dataset has them: every command of this project takes the folder, and ``synth train``
augments with it.
"""

from __future__ import annotations

import json

from synth.data.export.arrow import require_pyarrow, table_bytes
from synth.data.export.collection import Collection, Item
from synth.data.export.columns import Kind, columns_of, values_of
from synth.data.export.folder import Folder
from synth.data.export.layout import Files, Layout, Options, Tick

SHARD = 1000  # images a folder
SPLIT_NAMES = {"train": "train", "val": "validation", "test": "test"}
CODE = """\
from datasets import load_dataset

train = load_dataset("DIR", split="train")
"""


def write(collection: Collection, folder: Folder, options: Options, tick: Tick) -> Layout:
    """Copy the images and write the tables.

    Raises:
        Unavailable: pyarrow is not installed.
    """
    require_pyarrow()
    columns = columns_of(collection)
    table: dict[str, Kind] = {"file_name": "text", **columns}
    lines = []
    for split, items in collection.splits.items():
        rows = []
        for index, item in enumerate(items):
            name = f"images/{index // SHARD:05d}/{item.key}{item.suffix}"
            place = f"data/{split}/{name}"
            if not folder.has(place):
                folder.put(place, item.read())
            values = values_of(item, columns)
            rows.append({"file_name": name, **values})
            lines.append(_native(item, collection, {**values, "file_name": place}))
            tick()
        folder.put(f"data/{split}/metadata.parquet", table_bytes(rows, table))
    folder.put("metadata.jsonl", "".join(lines).encode())
    return Layout(
        files=(
            Files("table", "data/*/metadata.parquet", "application/x-parquet", table),
            Files("images", "data/*/images/*/*.png", "image/png"),
        ),
        code=CODE,
        remarks=("The folder is a dataset of `synth` too: `synth train` augments with it.",),
        data_files={SPLIT_NAMES[split]: f"data/{split}/**" for split in collection.splits},
    )


def _native(item: Item, collection: Collection, values: dict[str, object]) -> str:
    """The row as a manifest has it: labels together, not a column each."""
    facts = {name: value for name, value in values.items() if name not in collection.findings}
    line = json.dumps(facts | {"labels": item.row.labels}, ensure_ascii=False)
    return line + "\n"
