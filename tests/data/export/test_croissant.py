"""The description of every format is valid, and its records can be read through it."""

import json
import shutil

import pytest

from synth.data.export.run import export_dataset

mlc = pytest.importorskip("mlcroissant")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
FORMATS = ("parquet", "webdataset", "monai", "chexpert", "dicom", "imagefolder")


@pytest.fixture
def exported(merged, made, tmp_path):
    def get(to):
        if to != "dicom":
            return merged(to)
        export_dataset(made, tmp_path / "dicom", to="dicom")
        return tmp_path / "dicom"

    return get


@pytest.mark.parametrize("to", FORMATS)
def test_mlcroissant_validates_it_and_reads_the_records(exported, expected, to):
    folder = exported(to)
    dataset = mlc.Dataset(str(folder / "croissant.json"))
    assert not dataset.metadata.ctx.issues.errors
    assert not dataset.metadata.ctx.issues.warnings
    records = list(dataset.records("images-table"))
    assert len(records) == (7 if to == "dicom" else 31)
    for record in records:
        row, _ = expected[record["images-table/sample_id"].decode()]
        assert record["images-table/split"].decode() == row.split
        assert record["images-table/synthetic"] == row.synthetic
        for name, value in row.labels.items():
            cell = record[f"images-table/{name}"]
            assert cell != cell or cell is None if value is None else cell == value


def test_a_file_that_was_changed_is_found(merged, tmp_path):
    folder = shutil.copytree(merged("monai"), tmp_path / "copy")
    with (folder / "metadata.csv").open("a") as table:
        table.write("\n")
    dataset = mlc.Dataset(str(folder / "croissant.json"))
    with pytest.raises(mlc.GenerationError):
        list(dataset.records("images-table"))


def test_a_wrong_description_is_not_valid(merged, tmp_path):
    """The validator looks: without this, the tests above could not fail."""
    facts = json.loads((merged("monai") / "croissant.json").read_text("utf-8"))
    facts["recordSet"][0]["field"][0]["source"]["fileObject"]["@id"] = "nothing"
    (tmp_path / "croissant.json").write_text(json.dumps(facts), "utf-8")
    with pytest.raises(mlc.ValidationError):
        mlc.Dataset(str(tmp_path / "croissant.json"))


def test_responsible_use_is_described(merged):
    facts = json.loads((merged("parquet") / "croissant.json").read_text("utf-8"))
    assert "http://mlcommons.org/croissant/RAI/1.0" in facts["conformsTo"]
    assert "7 of them are SYNTHETIC" in facts["description"]
    assert facts["rai:machineAnnotationTools"] == ["conditioned", "rules"]
    assert "The Test Collection" in facts["rai:dataCollection"]
