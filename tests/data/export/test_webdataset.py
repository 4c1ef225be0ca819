import hashlib
import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from synth.data.export.layout import Options
from synth.data.export.run import export_dataset
from synth.manifest import sha256_file

wds = pytest.importorskip("webdataset")
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")


def read(*tars):
    return list(wds.WebDataset([str(path) for path in tars], shardshuffle=False).decode("l8"))


def test_webdataset_reads_every_sample(merged, expected):
    folder = merged("webdataset")
    seen = {}
    for split, count in (("train", 21), ("val", 4), ("test", 6)):
        samples = read(*folder.glob(f"{split}-*.tar"))
        assert len(samples) == count
        for sample in samples:
            facts = sample["json"]
            row, content = expected[facts["sample_id"]]
            assert np.array_equal(sample["png"], np.asarray(Image.open(io.BytesIO(content))))
            assert sample["txt"] == row.text_used
            assert facts["split"] == row.split == split
            assert facts["synthetic"] is row.synthetic
            assert {name: facts[name] for name in row.labels} == row.labels
            seen[facts["sample_id"]] = facts["weight"]
    assert set(seen) == set(expected)
    assert seen["syn-000000"] == 2.0
    assert seen["tiny-000"] == 1.0


def test_the_code_in_the_card_opens_it(merged, monkeypatch):
    folder = merged("webdataset")
    monkeypatch.chdir(folder.parent)
    code = (folder / "README.md").read_text("utf-8").split("```python\n")[1].split("```")[0]
    found: dict = {}
    exec(code, found)
    assert found["image"].dtype == np.uint8


def test_shards_and_their_index(made, tmp_path):
    out = tmp_path / "out"
    export_dataset(made, out, to="webdataset", options=Options(shard=3))
    shards = json.loads((out / "index.json").read_text("utf-8"))["shards"]
    assert [(shard["name"], shard["images"]) for shard in shards] == [
        ("train-000000.tar", 3),
        ("train-000001.tar", 3),
        ("train-000002.tar", 1),
    ]
    assert all(shard["sha256"] == sha256_file(out / shard["name"]) for shard in shards)
    assert len(read(*(out / shard["name"] for shard in shards))) == 7


def test_archives_are_the_same_whenever_they_are_written(made, tmp_path):
    digests = set()
    for name in ("a", "b"):
        export_dataset(made, tmp_path / name, to="webdataset")
        content = (tmp_path / name / "train-000000.tar").read_bytes()
        digests.add(hashlib.sha256(content).hexdigest())
    assert len(digests) == 1
    with tarfile.open(tmp_path / "a" / "train-000000.tar") as tar:
        assert all((m.mtime, m.uid, m.uname) == (0, 0, "") for m in tar.getmembers())


def test_a_name_with_dots_is_one_key(tmp_path, made):
    renamed = tmp_path / "renamed"
    renamed.mkdir()
    (renamed / "images").symlink_to(made / "images")
    (renamed / "dataset.json").symlink_to(made / "dataset.json")
    text = (made / "metadata.jsonl").read_text("utf-8")
    text = text.replace('"sample_id": "syn-000001"', '"sample_id": "1.2.840/x.png"')
    (renamed / "metadata.jsonl").write_text(text, "utf-8")
    export_dataset(renamed, tmp_path / "out", to="webdataset")
    samples = read(tmp_path / "out" / "train-000000.tar")
    assert len(samples) == 7
    assert "1.2.840/x.png" in {sample["json"]["sample_id"] for sample in samples}
    assert all("." not in sample["__key__"] and "/" not in sample["__key__"] for sample in samples)
