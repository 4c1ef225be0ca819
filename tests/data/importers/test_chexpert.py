import pytest

from synth.data.importers.index import index_records
from synth.data.inputs import scan
from synth.dicom import Identity

HEADER = (
    "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,"
    "Lung Opacity,Lung Lesion,Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax,"
    "Pleural Effusion,Pleural Other,Fracture,Support Devices\n"
)
SMALL = "CheXpert-v1.0-small"
ROWS = [
    f"{SMALL}/train/patient00001/study1/view1_frontal.jpg,Female,68,Frontal,AP,1.0,,,,,,,,,0.0,,,,1.0",
    f"{SMALL}/train/patient00002/study2/view2_lateral.jpg,Unknown,0,Lateral,,,,-1.0,,,,,,,,,1.0,,",
    f"{SMALL}/train/patient00003/study1/view1_frontal.jpg,Male,41,Frontal,LL,,,,,,,,,,,,,,",
]
VALID = f"{SMALL}/valid/patient64541/study1/view1_frontal.jpg,Male,73,Frontal,PA,0.0" + ",1.0" * 13


@pytest.fixture
def imported(tmp_path):
    (tmp_path / "train.csv").write_text(HEADER + "\n".join(ROWS))
    (tmp_path / "valid.csv").write_text(HEADER + VALID)
    other = (
        "CheXpert-v1.0/train/patient00001/study1/view1_frontal.jpg,Female,68,Frontal,AP"
        + ",1.0" * 14
    )
    (tmp_path / "train_cheXbert.csv").write_text(HEADER + other)
    return index_records(scan(tmp_path))


@pytest.mark.parametrize(
    "prefix",
    [f"{SMALL}/train/", "CheXpert-v1.0/train/", "batch 2 (train 1)/", "", "DATA/x/TRAIN/"],
)
def test_any_prefix(imported, prefix):
    found = imported.find(f"{prefix}patient00001/study1/view1_frontal.jpg", Identity())
    assert found.labels == {"no_finding": "1.0", "pneumothorax": "0.0", "support_devices": "1.0"}
    assert found.label_source == "chexpert-labeler"
    assert found.fields == {
        "patient": "patient00001",
        "study": "patient00001/study1",
        "view": "AP",
        "sex": "Female",
        "age": "68",
        "split": "train",
    }


def test_quirks(imported):
    lateral = imported.find("patient00002/study2/view2_lateral.png", Identity())
    assert lateral.labels == {"cardiomegaly": "-1.0", "pleural_other": "1.0"}
    assert lateral.fields["view"] == "LATERAL"
    assert "age" not in lateral.fields  # 0 in an adult archive
    contradiction = imported.find("patient00003/study1/view1_frontal.jpg", Identity())
    assert "view" not in contradiction.fields
    assert contradiction.labels == {}
    assert contradiction.text == ""


def test_the_official_validation_set(imported):
    found = imported.find(f"{SMALL}/valid/patient64541/study1/view1_frontal.jpg", Identity())
    assert found.fields["split"] == "val"
    assert found.label_source == "radiologist"
    assert found.labels["no_finding"] == "0.0"
    assert len(found.labels) == 14


def test_one_record_an_image_though_three_tables_have_it(imported):
    assert len(imported.all) == 4
    assert imported.notes == ("CheXpert: 3 tables",)


def test_the_same_columns_of_another_hospital_are_not_chexpert(tmp_path):
    (tmp_path / "t.csv").write_text(HEADER + "scans/1.png,Female,68,Frontal,AP" + ",1.0" * 14)
    imported = index_records(scan(tmp_path))
    assert imported.sources == ()
    assert imported.find("scans/1.png", Identity()).labels["edema"] == "1.0"
