from pathlib import PurePosixPath

import pytest

from synth.data.importers.rsna import IMPORTER
from synth.dicom import Identity

NORMAL = "0004cfab-14fd-4e49-80ba-63a80b6bddd6"
OTHER = "00313ee0-9eaa-42f4-b0ab-c148ed3241cd"
OPAQUE = "00436515-870c-4b36-a041-de91049b9ab4"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "stage_2_train_labels.csv").write_text(
        f"patientId,x,y,width,height,Target\n{NORMAL},,,,,0\n{OTHER},,,,,0\n"
        f"{OPAQUE},264.0,152.0,213.0,379.0,1\n{OPAQUE},562.0,152.0,256.0,453.0,1\n"
    )
    (tmp_path / "stage_2_detailed_class_info.csv").write_text(
        f"patientId,class\n{NORMAL},Normal\n{OTHER},No Lung Opacity / Not Normal\n"
        f"{OPAQUE},Lung Opacity\n{OPAQUE},Lung Opacity\n"
    )
    (tmp_path / "stage_2_sample_submission.csv").write_text("patientId,PredictionString\nx,0.5 0\n")
    return tmp_path


def test_one_record_an_image(folder, run_importer):
    found = run_importer(IMPORTER)
    assert {image: record.labels for image, record in found.records.items()} == {
        NORMAL: {"lung_opacity": "0", "pneumonia": "0", "no_finding": "1"},
        OTHER: {"lung_opacity": "0", "pneumonia": "0", "no_finding": "0"},
        OPAQUE: {"lung_opacity": "1", "pneumonia": "-1", "no_finding": "0"},
    }
    assert found.records[OPAQUE].where == "stage_2_train_labels.csv:4"  # the first of its boxes
    assert found.records[OPAQUE].label_source == "reader"
    assert len(found.claimed) == 3


def test_without_the_class_table_normal_is_not_stated(folder, run_importer):
    (folder / "stage_2_detailed_class_info.csv").unlink()
    records = run_importer(IMPORTER).records
    assert "no_finding" not in records[NORMAL].labels
    assert records[OPAQUE].labels["no_finding"] == "0"
    assert IMPORTER.missing([]) == ("class table",)


def test_headers_table(folder, run_importer):
    (folder / "kaggle_stage_2_train_images_dicom_headers.csv").write_text(
        ",BodyPartExamined,ConversionType,Filename,InstanceNumber,Modality,PatientAge,PatientID,"
        "PatientOrientation,PatientSex,PixelSpacing,SamplesPerPixel,SeriesNumber,ViewPosition\n"
        f"0,CHEST,WSD,{NORMAL}.dcm,1.0,CR,155,{NORMAL},,F,0.168,1.0,1.0,AP\n"
    )
    fields = run_importer(IMPORTER).records[NORMAL].fields
    assert fields == {"patient": NORMAL, "age": "155", "sex": "F", "view": "AP"}


@pytest.mark.parametrize(
    ("table", "row", "line"),
    [
        ("stage_2_train_labels.csv", f"{NORMAL},,,,,7\n", 6),
        ("stage_2_detailed_class_info.csv", f"{NORMAL},Lovely\n", 6),
    ],
)
def test_a_bad_cell_costs_its_image_only(folder, run_importer, table, row, line):
    with (folder / table).open("a") as file:
        file.write(row)
    found = run_importer(IMPORTER)
    (problem,) = found.problems
    assert (problem.where, problem.code) == (f"{table}:{line}", "bad_label")
    assert found.records.keys() == {OTHER, OPAQUE}


def test_keys(folder, run_importer):
    record = run_importer(IMPORTER).records[OPAQUE]
    by_name = IMPORTER.keys(PurePosixPath(f"stage_2_train_images/{OPAQUE}.dcm"), Identity())
    by_header = IMPORTER.keys(PurePosixPath("1.dcm"), Identity(patient=OPAQUE))
    assert set(by_name) & record.keys
    assert set(by_header) & record.keys


def test_classes_alone_are_not_the_source(folder, run_importer):
    (folder / "stage_2_train_labels.csv").unlink()
    assert run_importer(IMPORTER).claimed == []
