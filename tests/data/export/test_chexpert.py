import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from synth.data.export.chexpert import observations
from synth.data.export.run import export_dataset
from synth.data.importers.observations import OBSERVATIONS
from synth.errors import SynthError

COLUMNS = [name for name in OBSERVATIONS if name != "Airspace Opacity"]


def read(folder, name):
    """As the loaders of CheXpert do: (paths, labels with NaN for blank, table)."""
    table = pd.read_csv(folder / name)
    labels = table[COLUMNS].to_numpy(dtype=float)
    return [folder / path for path in table["Path"]], labels, table


@pytest.mark.parametrize(
    ("name", "split", "count"),
    [("train.csv", "train", 21), ("valid.csv", "val", 4), ("test.csv", "test", 6)],
)
def test_a_reader_of_chexpert_opens_it(merged, expected, name, split, count):
    folder = merged("chexpert")
    paths, labels, table = read(folder, name)
    assert labels.shape == (count, 14)
    for path, values, sample in zip(paths, labels, table["Sample ID"], strict=True):
        row, content = expected[sample]
        assert row.split == split
        assert path.read_bytes() == content
        with Image.open(path) as image:
            assert image.size == (row.width, row.height)
        found = dict(zip(COLUMNS, values, strict=True))
        assert found["Cardiomegaly"] == row.labels["cardiomegaly"]
        assert np.isnan(found["Pneumonia"])  # never labelled: blank, not 0
        assert found["Lung Lesion"] == 1 or row.labels["nodule"] != 1
        assert np.isnan(found["Lung Lesion"]) or row.labels["nodule"] in (1, -1)


def test_the_columns_are_those_of_chexpert(merged):
    head = (merged("chexpert") / "train.csv").read_text("utf-8").splitlines()[0].split(",")
    assert head[:5] == ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA"]
    assert head[5:19] == COLUMNS
    assert head[19:] == ["Age Band", "Sample ID", "Synthetic", "Weight", "Text"]


def test_sex_view_and_paths(merged):
    _, _, table = read(merged("chexpert"), "train.csv")
    assert set(table["Sex"]) <= {"Male", "Female", "Unknown"}
    frontal = table[table["Frontal/Lateral"] == "Frontal"]
    assert set(frontal["AP/PA"]) == {"AP", "PA"}
    assert table[table["Frontal/Lateral"] == "Lateral"]["AP/PA"].isna().all()
    assert table["Path"].str.match(r"train/patient\d{5}/study\d+/view\d+_\w+\.png$").all()
    assert table["Age"].isna().all()


def test_a_patient_stays_one_patient(merged, expected):
    patients: dict[str, set[str]] = {}
    for name in ("train.csv", "valid.csv", "test.csv"):
        _, _, table = read(merged("chexpert"), name)
        for path, sample in zip(table["Path"], table["Sample ID"], strict=True):
            row, _ = expected[sample]
            patients.setdefault(path.split("/")[1], set()).add(row.patient_id or sample)
    assert all(len(behind) == 1 for behind in patients.values())
    assert len(patients) == 12 + 7


@pytest.mark.parametrize(
    ("labels", "finding", "value"),
    [
        ({"no_finding": 0}, "no_finding", None),
        ({"no_finding": 1}, "no_finding", 1),
        ({"edema": 0}, "edema", 0),
        ({"edema": 0, "heart_failure": 1}, "edema", 1),
        ({"edema": -1, "heart_failure": 0}, "edema", -1),
        ({"nodule": 0, "mass": 0}, "lung_lesion", None),  # a cavity may be there
        ({"nodule": -1, "mass": 1}, "lung_lesion", 1),
        ({}, "pneumonia", None),
    ],
)
def test_finer_labels_are_gathered(labels, finding, value):
    assert observations(labels)[finding] == value


def test_labels_as_they_were_are_kept_beside(merged, expected):
    table = pd.read_csv(merged("chexpert") / "metadata.csv").set_index("sample_id")
    assert set(table.index) == set(expected)
    for sample, (row, _) in expected.items():
        for name, value in row.labels.items():
            cell = table.loc[sample, name]
            assert np.isnan(cell) if value is None else cell == value


def test_a_changed_image_is_not_exported(tiny_dataset, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    lines = (tiny_dataset / "metadata.jsonl").read_text("utf-8").splitlines()
    first = json.loads(lines[0]) | {"sha256": "0" * 64}
    (broken / "metadata.jsonl").write_text("\n".join([json.dumps(first), *lines[1:]]), "utf-8")
    (broken / "images").symlink_to(tiny_dataset / "images")
    with pytest.raises(SynthError, match="differs from the hash"):
        export_dataset(broken, tmp_path / "out", to="chexpert")
    assert not (tmp_path / "out").exists()
