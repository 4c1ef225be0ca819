import shutil

import numpy as np
from datasets import load_dataset
from PIL import Image

from synth.data.export.run import export_dataset
from synth.data.verify import verify_dataset
from synth.manifest import SyntheticRow, open_dataset


def check(opened, expected):
    counts = {name: len(part) for name, part in opened.items()}
    assert counts == {"train": 21, "validation": 4, "test": 6}
    for part in opened.values():
        for record in part:
            row, _ = expected[record["sample_id"]]
            assert record["synthetic"] is row.synthetic
            assert record["image"].size == (row.width, row.height)
            assert {name: record[name] for name in row.labels} == row.labels


def test_datasets_opens_it_by_its_card(merged, expected, tmp_path):
    check(load_dataset(str(merged("imagefolder")), cache_dir=str(tmp_path)), expected)


def test_datasets_opens_it_as_an_image_folder(merged, expected, tmp_path):
    folder = str(merged("imagefolder") / "data")
    opened = load_dataset("imagefolder", data_dir=folder, cache_dir=str(tmp_path))
    check(opened, expected)


def test_the_images_are_the_same_files(merged, expected):
    folder = merged("imagefolder")
    for row in open_dataset(folder).rows:
        assert (folder / row.file_name).read_bytes() == expected[row.sample_id][1]


def test_it_is_a_dataset_of_this_project(merged, expected):
    folder = merged("imagefolder")
    dataset = open_dataset(folder)
    assert len(dataset.rows) == 31
    assert sum(isinstance(row, SyntheticRow) for row in dataset.rows) == 7
    for row in dataset.rows:
        assert row.labels == expected[row.sample_id][0].labels
        assert row.patient_id == expected[row.sample_id][0].patient_id
    assert dataset.info.sources[0].licence == "CC-BY-NC-4.0"
    assert verify_dataset(folder).problems == ()


def test_an_export_can_be_exported(merged, tmp_path):
    out = tmp_path / "again"
    summary = export_dataset(merged("imagefolder"), out, to="webdataset")
    assert (summary.images, summary.synthetic) == (31, 7)


def test_the_texts_behind_synthetic_images_stay_known(merged):
    """So that an export can be checked for leaks as the dataset was."""
    rows = open_dataset(merged("imagefolder")).rows
    origins = {(row.model_extra or {}).get("source_sample_id") for row in rows if row.synthetic}
    assert origins == {f"tiny-{index:03d}" for index in range(7)}


def test_sixteen_bits_stay(made_16, tmp_path):
    export_dataset(made_16, tmp_path / "out", to="imagefolder")
    row = open_dataset(tmp_path / "out").rows[0]
    with Image.open(tmp_path / "out" / row.file_name) as image:
        assert np.asarray(image).max() > 255


def test_a_wrong_number_of_synthetic_images_is_found(merged, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(merged("imagefolder"), folder)
    text = (folder / "dataset.json").read_text("utf-8")
    (folder / "dataset.json").write_text(text.replace('"synthetic": 7', '"synthetic": 6'), "utf-8")
    problems = [problem.problem for problem in verify_dataset(folder).problems]
    assert "real and synthetic are mixed up with the rows" in problems
