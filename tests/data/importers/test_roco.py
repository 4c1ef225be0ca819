from pathlib import PurePosixPath

import pytest

from synth.data.importers.roco import IMPORTER
from synth.dicom import Identity

FIRST = "ROCOv2_2023_train_000001"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "train_captions.csv").write_text(
        f'ID,Caption\n{FIRST},"Chest X-ray, PA view.\nLeft pleural effusion."\n', encoding="utf-8"
    )
    (tmp_path / "valid_captions.csv").write_text(
        "ID,Caption\nROCOv2_2023_valid_000007,Axial CT of the abdomen.\n"
    )
    (tmp_path / "test_captions.csv").write_text("ID,Caption\nROCOv2_2023_test_000022, X \n")
    (tmp_path / "train_concepts.csv").write_text(f"ID,CUIs\n{FIRST},C1306645;C0817096\n")
    return tmp_path


def test_captions_are_the_text(folder, run_importer):
    found = run_importer(IMPORTER)
    record = found.records[FIRST]
    assert record.text == "Chest X-ray, PA view.\nLeft pleural effusion."
    assert record.labels == {}
    assert record.fields == {"language": "en", "split": "train"}
    assert record.where == "train_captions.csv:3"
    assert len(found.claimed) == 4
    assert len(found.records) == 3


def test_official_splits(folder, run_importer):
    records = run_importer(IMPORTER).records
    assert records["ROCOv2_2023_valid_000007"].fields["split"] == "val"
    assert records["ROCOv2_2023_test_000022"].fields["split"] == "test"


@pytest.mark.parametrize("id_", ["ImageCLEFmedical_Caption_2023_train_000001", f"{FIRST}.jpg"])
def test_variants_of_the_id(tmp_path, run_importer, id_):
    (tmp_path / "captions.csv").write_text(f"ID\tCaption\n{id_}\tKnee.\n")
    (record,) = run_importer(IMPORTER).records.values()
    assert record.fields["split"] == "train"
    path = PurePosixPath(f"train/{id_.removesuffix('.jpg')}.jpg")
    assert set(IMPORTER.keys(path, Identity())) & record.keys


@pytest.mark.parametrize(
    "path",
    [f"train_images/train/{FIRST}.jpg", f"train/{FIRST}.JPG", f"{FIRST}.png"],
)
def test_images_have_a_suffix(folder, run_importer, path):
    record = run_importer(IMPORTER).records[FIRST]
    assert set(IMPORTER.keys(PurePosixPath(path), Identity())) & record.keys


@pytest.mark.parametrize("table", ["ID,Caption\n17,My holiday\n", "ID,Caption\n"])
def test_anybodys_captions(tmp_path, run_importer, table):
    (tmp_path / "captions.csv").write_text(table)
    assert run_importer(IMPORTER).claimed == []


def test_concepts_alone_are_not_the_source(folder, run_importer):
    for table in folder.glob("*_captions.csv"):
        table.unlink()
    assert run_importer(IMPORTER).claimed == []
