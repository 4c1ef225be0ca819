import gzip
from pathlib import PurePosixPath

import pytest

from synth.data.importers.nih import IMPORTER
from synth.dicom import Identity, age_band

HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
ROWS = """
00000001_000.png,Cardiomegaly|Emphysema,0,1,57,M,PA,2682,2749,0.143,0.143
00000002_000.png,No Finding,0,2,058Y,F,PA,2500,2048,0.171,0.171
00000003_000.png,Pleural_Thickening|Effusion|Nodule,0,3,414,F,AP,2500,2048,0.168,0.168
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "Data_Entry_2017_v2020.csv").write_text(HEADER + ROWS)
    (tmp_path / "train_val_list.txt").write_text("00000001_000.png\n00000003_000.png\n")
    (tmp_path / "test_list.txt").write_text("00000002_000.png\r\n")
    (tmp_path / "BBox_List_2017.csv").write_text(
        "Image Index,Finding Label,Bbox [x,y,w,h],,,\n00000001_000.png,Infiltrate,225,547,86,79\n"
    )
    return tmp_path


def test_header_with_unquoted_commas(folder, run_importer):
    records = run_importer(IMPORTER).records
    first = records["00000001_000.png"]
    assert first.fields == {
        "patient": "1",
        "age": "57",
        "sex": "M",
        "view": "PA",
        "split": "train",
    }
    assert first.where == "Data_Entry_2017_v2020.csv:2"
    assert first.label_source == "text-mining"
    assert first.text == ""


def test_labels_are_exhaustive(folder, run_importer):
    records = run_importer(IMPORTER).records
    first, normal, third = (records[f"0000000{number}_000.png"].labels for number in (1, 2, 3))
    assert {name for name, value in first.items() if value == "1"} == {"cardiomegaly", "emphysema"}
    assert {name for name, value in normal.items() if value == "1"} == {"no_finding"}
    assert {name for name, value in third.items() if value == "1"} == {
        "pleural_thickening",
        "pleural_effusion",
        "nodule",
    }
    assert len(first) == len(normal) == 15
    assert {value for labels in (first, normal, third) for value in labels.values()} == {"0", "1"}


def test_official_split_and_its_files(folder, run_importer):
    found = run_importer(IMPORTER)
    assert [found.records[name].fields["split"] for name in sorted(found.records)] == [
        "train",
        "test",
        "train",
    ]
    assert set(found.claimed) == {path.name for path in folder.iterdir()}  # lists are no reports


def test_without_lists_no_split_is_stated(folder, run_importer):
    (folder / "train_val_list.txt").unlink()
    (folder / "test_list.txt").unlink()
    found = run_importer(IMPORTER)
    assert all("split" not in record.fields for record in found.records.values())
    assert IMPORTER.missing([]) == ("train_val_list.txt", "test_list.txt")


def test_the_later_release_counts_and_renames_a_column(folder, run_importer):
    old = "00000001_000.png,Hernia,0,1,57,M,PA,1,1,1,1\n00000009_000.png,Mass,0,9,9,F,PA,1,1,1,1\n"
    header = HEADER.replace("Patient Gender", "Patient Sex") + ",\n"  # Kaggle: trailing comma
    with gzip.open(folder / "Data_Entry_2017.csv.gz", "wt") as file:
        file.write(header + old)
    records = run_importer(IMPORTER).records
    assert records["00000001_000.png"].labels["hernia"] == "0"
    assert records["00000009_000.png"].labels["mass"] == "1"
    assert records["00000009_000.png"].fields["sex"] == "F"


@pytest.mark.parametrize("age", ["414", "155"])
def test_impossible_ages_become_null(age):
    assert age_band(age) is None


def test_radiologists_win_over_mined_labels(folder, run_importer):
    (folder / "google2019_nih-chest-xray-labels.csv").write_text(
        HEADER + ",Fracture,Pneumothorax,Airspace opacity,Nodule or mass,Set Id\n"
        "00000002_000.png,No Finding,0,2,58,F,PA,1,1,1,1,NO,YES,NO,YES,val\n"
        "00000003_000.png,Nodule,0,3,58,F,PA,1,1,1,1,NO,NO,YES,NO,test\n"
    )
    records = run_importer(IMPORTER).records
    second, third = records["00000002_000.png"], records["00000003_000.png"]
    assert second.label_source == "text-mining+reader"
    assert second.fields["split"] == "test"  # NIH's list, not Google's Set Id
    expected = {"fracture": "0", "pneumothorax": "1", "lung_opacity": "0", "lung_lesion": "1"}
    assert second.labels.items() >= expected.items()
    assert second.labels["no_finding"] == "0"  # mined as normal, and is not
    assert (second.labels["nodule"], second.labels["mass"]) == ("", "")  # one of the two
    assert (third.labels["nodule"], third.labels["mass"]) == ("0", "0")  # mined as nodule
    assert third.labels["lung_opacity"] == "1"
    assert third.labels["pleural_effusion"] == "1"  # NIH's row is the main table's
    assert records["00000001_000.png"].label_source == "text-mining"


def test_googles_table_alone(tmp_path, run_importer):
    (tmp_path / "four_findings.csv").write_text(
        "Image Index,Fracture,Pneumothorax,Airspace opacity,Nodule or mass\n"
        "00000002_000.png,NO,YES,NO,NO\n"
    )
    (record,) = run_importer(IMPORTER).records.values()
    assert record.label_source == "reader"
    assert record.labels == {
        "fracture": "0",
        "pneumothorax": "1",
        "lung_opacity": "0",
        "lung_lesion": "0",
        "nodule": "0",
        "mass": "0",
        "no_finding": "0",
    }


def test_unknown_finding_is_a_problem_and_the_rest_goes_on(folder, run_importer):
    with (folder / "Data_Entry_2017_v2020.csv").open("a") as file:
        file.write("00000004_000.png,Cardiomegalie,0,4,57,M,PA,1,1,1,1\n")
        file.write("00000005_000.png,,0,5,57,M,PA,1,1,1,1\n")
    found = run_importer(IMPORTER)
    (problem,) = found.problems
    assert (problem.where, problem.code) == ("Data_Entry_2017_v2020.csv:5", "bad_label")
    assert "Cardiomegalie" not in problem.detail
    assert found.records["00000005_000.png"].labels == {}
    assert len(found.records) == 4


@pytest.mark.parametrize(
    "path", ["images_003/images/00000003_000.png", "images/00000003_000.PNG", "00000003_000.dcm"]
)
def test_an_image_finds_its_row_wherever_it_lies(folder, run_importer, path):
    record = run_importer(IMPORTER).records["00000003_000.png"]
    assert set(IMPORTER.keys(PurePosixPath(path), Identity())) & record.keys


def test_boxes_alone_are_not_the_source(folder, run_importer):
    (folder / "Data_Entry_2017_v2020.csv").unlink()
    assert run_importer(IMPORTER).claimed == []


def test_a_link_that_is_named_like_a_split_list_is_not_followed(folder, run_importer):
    for name in ("train_val_list.txt", "test_list.txt"):
        (folder / name).unlink()
        (folder / name).symlink_to("/nowhere")
    found = run_importer(IMPORTER)
    assert not [name for name in found.claimed if name.endswith(".txt")]
    assert all("split" not in record.fields for record in found.records.values())
