"""Parquet: images as encoded bytes in an ``Image`` column, zstd, row groups that viewers open.

Row groups stay under 64 MiB: the viewer of the Hugging Face hub refuses those above 286 MiB, and
raw pixel arrays reach that with 150 grey images of 1024 × 1024.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from synth.data.export.arrow import require_pyarrow, schema_of
from synth.data.export.collection import Collection, Item
from synth.data.export.columns import Kind, columns_of, values_of
from synth.data.export.folder import Folder
from synth.data.export.imagefolder import CODE, SPLIT_NAMES
from synth.data.export.layout import Files, Layout, Options, Tick

GROUP_BYTES = 64 << 20
GROUP_IMAGES = 256


def write(collection: Collection, folder: Folder, options: Options, tick: Tick) -> Layout:
    """Write ``data/<split>-00000-of-00002.parquet`` and its like.

    Raises:
        Unavailable: pyarrow is not installed.
    """
    require_pyarrow()
    columns = columns_of(collection)
    for split, items in collection.splits.items():
        shards = -(-len(items) // options.shard)
        for shard in range(shards):
            name = f"data/{SPLIT_NAMES[split]}-{shard:05d}-of-{shards:05d}.parquet"
            chosen = items[shard * options.shard : (shard + 1) * options.shard]
            if folder.has(name):
                for _ in chosen:
                    tick()
            else:
                _write_shard(folder, name, chosen, columns, tick)
    return Layout(
        files=(Files("table", "data/*.parquet", "application/x-parquet", columns),),
        code=CODE,
        remarks=(
            "`image` holds the encoded file: `pyarrow`, `pandas` and `polars` read it as a struct "
            "of `bytes` and `path`.",
        ),
        data_files={
            SPLIT_NAMES[split]: f"data/{SPLIT_NAMES[split]}-*.parquet"
            for split in collection.splits
        },
    )


def _write_shard(
    folder: Folder, name: str, items: Sequence[Item], columns: Mapping[str, Kind], tick: Tick
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = schema_of(columns, image=True)
    with (
        folder.stream(name) as path,
        pq.ParquetWriter(path, schema, compression="zstd", write_statistics=False) as writer,
    ):
        for group in _groups(items):
            rows: list[dict[str, Any]] = []
            for item in group:
                image = {"bytes": item.read(), "path": item.key + item.suffix}
                rows.append({"image": image, **values_of(item, columns)})
                tick()
            writer.write_table(pa.Table.from_pylist(rows, schema), row_group_size=len(rows))


def _groups(items: Sequence[Item]) -> Iterator[list[Item]]:
    group: list[Item] = []
    held = 0
    for item in items:
        size = item.path.stat().st_size if item.path.is_file() else 0
        if group and (held + size > GROUP_BYTES or len(group) == GROUP_IMAGES):
            yield group
            group, held = [], 0
        group.append(item)
        held += size
    yield group
