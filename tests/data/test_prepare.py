import json
import subprocess

import numpy as np
import pytest
from PIL import Image

from synth.data.prepare import prepare
from synth.errors import SynthError, UsageError
from synth.manifest import open_dataset

from .conftest import SMALL, contents, picture


def test_a_whole_cohort(source, tmp_path):
    before = contents(source)
    summary = prepare(source, tmp_path / "out", **SMALL)
    assert (summary.inputs, summary.ok, summary.quarantined, summary.duplicates) == (16, 16, 0, 0)
    assert summary.exit_code == 0
    dataset = open_dataset(tmp_path / "out")
    assert dataset.info.phantom
    assert dataset.info.findings == ["cardiomegaly", "hernia"]
    assert dataset.info.counts["patients"] == 8
    assert dataset.info.terms == ["Phantom data.", "Free to use."]
    row = next(row for row in dataset.rows if row.labels["hernia"] == 1)
    assert row.text_used == "Small hiatal hernia."
    assert row.labels["pneumothorax"] == 0
    assert row.labels["nodule"] is None
    assert (row.view, row.sex, row.age_band) == ("PA", "F", "40-59")
    with Image.open(dataset.path(row)) as image:
        assert (image.mode, image.size) == ("L", (16, 16))
    assert contents(source) == before


def test_pixels_are_those_of_the_file(source, tmp_path):
    prepare(source, tmp_path / "out", size=40, voi="none")
    expected = {
        np.rint(picture(p, s) / 4095 * 255).astype(np.uint8).tobytes()
        for p in range(8)
        for s in range(2)
    }
    dataset = open_dataset(tmp_path / "out")
    assert {np.asarray(Image.open(dataset.path(row))).tobytes() for row in dataset.rows} == expected


def test_patients_are_never_in_two_splits_and_hernia_is_in_train_and_test(source, tmp_path):
    prepare(source, tmp_path / "out", **SMALL)
    rows = open_dataset(tmp_path / "out").rows
    splits = {}
    for row in rows:
        splits.setdefault(row.patient_id, set()).add(row.split)
    assert all(len(found) == 1 for found in splits.values())
    hernia = {row.split for row in rows if row.labels["hernia"] == 1}
    assert hernia >= {"train", "test"}


def test_16_bit_png_keeps_its_contrast(tmp_path):
    folder = tmp_path / "deep"
    folder.mkdir()
    Image.fromarray(picture("deep")).save(folder / "a.png")
    (folder / "a.txt").write_text("Nodule.")
    prepare(folder, tmp_path / "out", size=40)
    dataset = open_dataset(tmp_path / "out")
    pixels = np.asarray(Image.open(dataset.path(dataset.rows[0])))
    assert pixels.min() == 0
    assert pixels.max() == 255
    assert pixels.std() > 30


def test_workers_give_the_same_bytes(raster_source, tmp_path):
    prepare(raster_source, tmp_path / "a" / "out", **SMALL)
    prepare(raster_source, tmp_path / "b" / "out", workers=2, **SMALL)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_checksums_are_those_of_sha256sum(raster_source, tmp_path):
    out = tmp_path / "out"
    prepare(raster_source, out, **SMALL)
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=out, check=True)


def test_hugging_face_loads_it(source, tmp_path):
    datasets = pytest.importorskip("datasets")
    out = tmp_path / "out"
    prepare(source, out, **SMALL)
    loaded = datasets.load_dataset(
        "imagefolder", data_dir=str(out), split="train", cache_dir=str(tmp_path / "cache")
    )
    rows = {row.sample_id: row for row in open_dataset(out).rows}
    assert len(loaded) == len(rows)
    for item in loaded:
        assert item["labels"] == rows[item["sample_id"]].labels
        assert item["image"].size == (16, 16)


def test_wrong_requests(source, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(SynthError, match="does not exist"):
        prepare(tmp_path / "missing", tmp_path / "out")
    with pytest.raises(SynthError, match="empty"):
        prepare(empty, tmp_path / "out")
    (empty / "notes.txt").write_text("hello")
    with pytest.raises(SynthError, match="no images found"):
        prepare(empty, tmp_path / "out")
    with pytest.raises(UsageError, match="inside"):
        prepare(source, source / "out")
    with pytest.raises(UsageError, match="inside"):
        prepare(source, source)
    with pytest.raises(UsageError, match="sum to 1"):
        prepare(source, tmp_path / "out", splits=(0.5, 0.5, 0.5))
    with pytest.raises(UsageError, match="size"):
        prepare(source, tmp_path / "out", size=0)
    assert not (tmp_path / "out").exists()
    assert not (source / "out").exists()


def test_foreign_folders_and_other_options_are_refused(source, tmp_path):
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.doc").write_text("precious")
    with pytest.raises(SynthError, match="not a dataset"):
        prepare(source, foreign, **SMALL)
    assert contents(foreign) == {"thesis.doc": b"precious"}
    out = tmp_path / "out"
    prepare(source, out, **SMALL)
    with pytest.raises(UsageError, match=r"other options.*size 16 -> 32"):
        prepare(source, out, size=32, splits=SMALL["splits"])
    with pytest.raises(UsageError, match="pseudonyms"):
        prepare(source, out, secret="x", **SMALL)


def test_the_secret_changes_every_pseudonym(source, tmp_path):
    for name, secret in (("a", ""), ("b", "pepper")):
        prepare(source, tmp_path / name, secret=secret, **SMALL)
    one, two = (open_dataset(tmp_path / name).rows for name in "ab")
    assert {row.patient_id for row in one}.isdisjoint(row.patient_id for row in two)
    assert b"pepper" not in b"".join(contents(tmp_path / "b").values())
    assert json.loads((tmp_path / "b/dataset.json").read_text())["complete"] is True
