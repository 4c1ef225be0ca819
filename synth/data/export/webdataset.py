"""WebDataset: tar archives of ``<key>.png``, ``<key>.json`` and ``<key>.txt``, and an index.

Keys have no dots: whatever follows the first one is the extension. The archives are the same bytes
whenever they are written: no owner, no time.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from synth.data.export.collection import Collection, Item
from synth.data.export.columns import Kind, columns_of, values_of
from synth.data.export.folder import Folder
from synth.data.export.imagefolder import SPLIT_NAMES
from synth.data.export.layout import Files, Layout, Options, Tick
from synth.data.export.table import table_files, write_table
from synth.manifest import sha256_file

_CODE = """\
import webdataset as wds

train = wds.WebDataset("DIR/train-{000000..%06d}.tar", shardshuffle=False).decode("l8")
for sample in train:
    image, facts, text = sample["png"], sample["json"], sample["txt"]
"""


def write(collection: Collection, folder: Folder, options: Options, tick: Tick) -> Layout:
    """Write ``<split>-000000.tar`` and its like, ``index.json`` and ``metadata.csv``."""
    columns = columns_of(collection)
    index: list[dict[str, Any]] = []
    places: dict[str, dict[str, str]] = {}
    for split, items in collection.splits.items():
        for start in range(0, len(items), options.shard):
            chosen = items[start : start + options.shard]
            name = f"{split}-{start // options.shard:06d}.tar"
            if folder.has(name):
                for _ in chosen:
                    tick()
            else:
                with folder.stream(name) as path:
                    _write_tar(path, chosen, columns, tick)
            index.append(_entry(folder.path / name, split, len(chosen)))
            places |= {item.key: {"shard": name, "key": item.key} for item in chosen}
    content = json.dumps({"shards": index}, indent=2) + "\n"
    folder.put("index.json", content.encode())
    write_table(folder, collection, columns, places)
    first = next(iter(collection.splits))
    last = sum(entry["split"] == first for entry in index) - 1
    return Layout(
        files=(
            Files("shards", "*.tar", "application/x-tar"),
            Files("index", "index.json", "application/json"),
            table_files(columns, places),
        ),
        code=(_CODE % last).replace("train", first),
        remarks=("`index.json` has the images and the SHA-256 of every archive.",),
        data_files={SPLIT_NAMES[split]: f"{split}-*.tar" for split in collection.splits},
    )


def _write_tar(path: Path, items: Sequence[Item], columns: Mapping[str, Kind], tick: Tick) -> None:
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for item in items:
            facts = json.dumps(values_of(item, columns), ensure_ascii=False)
            for ending, content in (
                (item.suffix, item.read()),
                (".json", facts.encode()),
                (".txt", item.row.text_used.encode()),
            ):
                member = tarfile.TarInfo(item.key + ending)
                member.size, member.mode = len(content), 0o644
                tar.addfile(member, io.BytesIO(content))
            tick()


def _entry(path: Path, split: str, images: int) -> dict[str, Any]:
    return {
        "name": path.name,
        "split": split,
        "images": images,
        "bytes": path.stat().st_size,
        "sha256": sha256_file(path),
    }
