from pathlib import PurePosixPath

import pytest

from synth.data.importers.vindr import IMPORTER
from synth.dicom import Identity

LOCAL_HEADER = (
    "Aortic enlargement,Atelectasis,Calcification,Cardiomegaly,Clavicle fracture,Consolidation,"
    "Edema,Emphysema,Enlarged PA,ILD,Infiltration,Lung Opacity,Lung cavity,Lung cyst,"
    "Mediastinal shift,Nodule/Mass,Pleural effusion,Pleural thickening,Pneumothorax,"
    "Pulmonary fibrosis,Rib fracture,Other lesion"
)
TRAIN = [
    *LOCAL_HEADER.split(","),
    "COPD",
    "Lung tumor",
    "Pneumonia",
    "Tuberculosis",
    "Other diseases",
    "No finding",
]
TEST = [*TRAIN[:-2], "Other disease", "No finding"]
A, B, C = ("50a418190bc3fb1ef1633bf9678929b3", "21a10246a5ec7af151081d0cd6d65dc9", "9a" * 16)


def image_labels(path, columns, rows):
    """Rows of (image, reader or None, findings named)."""
    reader = ["rad_id"] if rows[0][1] else []
    lines = [",".join(["image_id", *reader, *columns])]
    for image, name, named in rows:
        assert set(named) <= set(columns)
        cells = [str(int(column in named)) for column in columns]
        lines.append(",".join([image, *([name] if name else []), *cells]))
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def physionet(tmp_path):
    image_labels(
        tmp_path / "annotations/image_labels_train.csv",
        TRAIN,
        [
            (A, "R1", ["Cardiomegaly", "Rib fracture", "Nodule/Mass"]),
            (B, "R1", ["No finding"]),
            (A, "R2", ["Cardiomegaly", "Clavicle fracture"]),
            (A, "R3", ["Pneumonia", "Other diseases"]),
            (B, "R8", ["No finding"]),
            (B, "R9", ["Emphysema"]),
        ],
    )
    image_labels(
        tmp_path / "annotations/image_labels_test.csv", TEST, [(C, None, ["ILD", "Other disease"])]
    )
    (tmp_path / "annotations/annotations_train.csv").write_text(
        "image_id,rad_id,class_name,x_min,y_min,x_max,y_max\n"
        f"{A},R1,Pneumothorax,1.0,2.0,3.0,4.0\n{B},R1,No finding,,,,\n"
    )
    (tmp_path / "annotations/annotations_test.csv").write_text(
        f"image_id,class_name,x_min,y_min,x_max,y_max\n{C},ILD,1,2,3,4\n"
    )
    return tmp_path


def test_three_readers(physionet, run_importer):
    found = run_importer(IMPORTER)
    labels = found.records[A].labels
    assert labels["cardiomegaly"] == "1"  # two of three
    assert labels["fracture"] == "1"  # one names a rib, another the clavicle
    assert labels["pneumonia"] == "-1"  # one of three
    assert labels["emphysema"] == "0"
    assert (labels["lung_lesion"], labels["nodule"], labels["mass"]) == ("-1", "", "")
    assert labels["pneumothorax"] == "0"  # the box table does not vote a second time
    assert labels["no_finding"] == "0"
    assert found.records[A].label_source == "reader-majority"
    assert len(found.claimed) == 4


def test_readers_who_disagree_on_normal(physionet, run_importer):
    labels = run_importer(IMPORTER).records[B].labels
    assert (labels["no_finding"], labels["emphysema"]) == ("1", "-1")
    assert (labels["lung_lesion"], labels["nodule"], labels["mass"]) == ("0", "0", "0")


def test_consensus_and_official_split(physionet, run_importer):
    records = run_importer(IMPORTER).records
    assert [records[name].fields["split"] for name in (A, B, C)] == ["train", "train", "test"]
    assert records[C].label_source == "reader-consensus"
    labels = records[C].labels
    assert {name for name, value in labels.items() if value == "1"} == {"interstitial_pattern"}
    assert "-1" not in labels.values()
    assert records[A].labels.keys() == labels.keys()  # Other disease(s) is no finding


def test_kaggle_boxes(tmp_path, run_importer):
    (tmp_path / "train.csv").write_text(
        "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max\n"
        f"{A},No finding,14,R11,,,,\n{A},No finding,14,R7,nan,nan,nan,nan\n"
        f"{A},Other lesion,9,R10,691.0,1375.0,1653.0,1831.0\n"
        f"{B},Cardiomegaly,3,R10,691.0,1375.0,1653.0,1831.0\n"
        f"{B},Nodule/Mass,8,R9,1,2,3,4\n{B},Nodule/Mass,8,R9,5,6,7,8\n"
        f"{B},Cardiomegaly,3,R8,1,2,3,4\n"
    )
    records = run_importer(IMPORTER).records
    assert records[A].labels["no_finding"] == "1"
    assert records[B].labels["cardiomegaly"] == "1"
    assert records[B].labels["lung_lesion"] == "-1"  # two boxes of one reader are one vote
    assert records[B].labels["no_finding"] == "0"
    assert "pneumonia" not in records[A].labels  # not asked for in this table
    assert "fracture" not in records[A].labels
    assert records[A].fields == {"view": "PA"}  # Kaggle tells no split


def test_other_classes_and_other_sources(tmp_path, run_importer):
    header = "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max\n"
    (tmp_path / "train.csv").write_text(header + f"{A},Bronchitis,3,R1,1,2,3,4\n")
    found = run_importer(IMPORTER)
    assert [problem.code for problem in found.problems] == ["bad_label"]
    assert found.problems[0].where == "train.csv:2"
    assert not found.records
    (tmp_path / "train.csv").write_text(header.replace("rad_id", "rad_ID"))  # VinDr-PCXR
    assert run_importer(IMPORTER).claimed == []


def test_a_cell_that_is_no_answer_costs_its_image_only(physionet, run_importer):
    table = physionet / "annotations/image_labels_train.csv"
    lines = table.read_text().splitlines()
    lines[1] = lines[1].replace(",0,", ",2,", 1)
    table.write_text("\n".join(lines))
    (physionet / "annotations/annotations_train.csv").unlink()
    found = run_importer(IMPORTER)
    (problem,) = found.problems
    assert problem.where == "annotations/image_labels_train.csv:2"
    assert found.records.keys() == {B, C}


@pytest.mark.parametrize("path", [f"train/{A}.dicom", f"test/{A.upper()}.png", f"{A}.dcm"])
def test_keys(physionet, run_importer, path):
    record = run_importer(IMPORTER).records[A]
    assert set(IMPORTER.keys(PurePosixPath(path), Identity())) & record.keys
