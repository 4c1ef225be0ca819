import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset
from PIL import Image

from synth.data.export.layout import Options
from synth.data.export.parquet import GROUP_IMAGES
from synth.data.export.run import export_dataset
from synth.errors import UsageError


@pytest.fixture
def opened(merged, tmp_path):
    return load_dataset(str(merged("parquet")), cache_dir=str(tmp_path))


def test_datasets_opens_the_folder_with_its_splits(opened):
    assert {name: len(part) for name, part in opened.items()} == {
        "train": 21,
        "validation": 4,
        "test": 6,
    }


def test_datasets_opens_the_files_by_pattern(merged, tmp_path):
    files = str(merged("parquet") / "data" / "train-*.parquet")
    train = load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path))
    assert len(train) == 21


def test_every_image_and_row_is_what_it_was(opened, expected):
    seen = set()
    for part in opened.values():
        for record in part:
            row, content = expected[record["sample_id"]]
            image = np.asarray(Image.open(io.BytesIO(content)))
            assert np.array_equal(np.asarray(record["image"]), image)
            assert record["text"] == row.text
            assert record["synthetic"] is row.synthetic
            assert record["split"] == row.split
            assert {name: record[name] for name in row.labels} == row.labels
            assert record["seed"] == getattr(row, "seed", None)
            seen.add(record["sample_id"])
    assert seen == set(expected)


def test_weights_balance_real_and_synthetic_training_images(opened):
    weight = {True: 0.0, False: 0.0}
    for record in opened["train"].remove_columns("image"):
        weight[record["synthetic"]] += record["weight"]
    assert weight[True] == pytest.approx(weight[False])


def test_arrow_types_do_not_depend_on_the_cells(merged):
    schemas = [
        pq.read_schema(path).remove_metadata() for path in merged("parquet").rglob("*.parquet")
    ]
    assert all(schema == schemas[0] for schema in schemas)
    first = schemas[0]
    assert first.field("nodule").type == pa.int8()  # though the test split has nulls and 0, 1 alone
    assert first.field("seed").type == pa.int64()  # 2^53 + 1 would not survive a float
    assert first.field("image").type == pa.struct({"bytes": pa.binary(), "path": pa.string()})


def test_images_are_encoded_files_not_arrays(merged, expected):
    table = pq.read_table(merged("parquet") / "data" / "train-00000-of-00001.parquet").to_pylist()
    for record in table:
        assert record["image"]["bytes"] == expected[record["sample_id"]][1]


def test_row_groups_stay_small(merged, monkeypatch, tmp_path, made):
    monkeypatch.setattr("synth.data.export.parquet.GROUP_IMAGES", 3)
    export_dataset(made, tmp_path / "out", to="parquet")
    file = pq.ParquetFile(tmp_path / "out" / "data" / "train-00000-of-00001.parquet")
    assert [file.metadata.row_group(n).num_rows for n in range(3)] == [3, 3, 1]
    assert GROUP_IMAGES <= 256


def test_a_shard_holds_no_more_than_asked_for(made, tmp_path):
    export_dataset(made, tmp_path / "out", to="parquet", options=Options(shard=3))
    names = sorted(path.name for path in (tmp_path / "out" / "data").iterdir())
    assert names == [f"train-{n:05d}-of-00003.parquet" for n in range(3)]
    rows = [pq.read_metadata(tmp_path / "out" / "data" / name).num_rows for name in names]
    assert rows == [3, 3, 1]


def test_a_shard_of_nothing_is_refused(made, tmp_path):
    with pytest.raises(UsageError, match="at least one image"):
        export_dataset(made, tmp_path / "out", to="parquet", options=Options(shard=0))


def test_the_features_lie_in_the_file(merged):
    schema = pq.read_schema(merged("parquet") / "data" / "test-00000-of-00001.parquet")
    stated = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert stated["image"] == {"_type": "Image"}
    assert set(stated) == set(schema.names)
