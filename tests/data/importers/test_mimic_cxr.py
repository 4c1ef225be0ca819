import gzip
from pathlib import PurePosixPath

import pytest

from synth.data.importers.index import index_records
from synth.data.importers.mimic_cxr import IMPORTER
from synth.data.inputs import scan
from synth.dicom import Identity

METADATA = (
    "dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,Rows,Columns,"
    "StudyDate,StudyTime,ProcedureCodeSequence_CodeMeaning,ViewCodeSequence_CodeMeaning,"
    "PatientOrientationCodeSequence_CodeMeaning\n"
)
LABELS = (
    "subject_id,study_id,Atelectasis,Cardiomegaly,Consolidation,Edema,Enlarged Cardiomediastinum,"
    "Fracture,Lung Lesion,Lung Opacity,No Finding,Pleural Effusion,Pleural Other,Pneumonia,"
    "Pneumothorax,Support Devices\n"
)
HAND = (
    "study_id,Airspace Opacity,Atelectasis,Cardiomegaly,Consolidation,Edema,"
    "Enlarged Cardiomediastinum,Fracture,Lung Lesion,No Finding,Pleural Effusion,Pleural Other,"
    "Pneumonia,Pneumothorax,Support Devices\n"
)
A, B, C, D = ("-".join([c * 8] * 5) for c in "abcd")  # two of one study, one of another, one alone


def write(folder, name, content):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)


@pytest.fixture
def mimic(tmp_path):
    rows = [
        f"{A},10000032,50414267,CHEST (PA AND LAT),PA,3056,2544,21800506,213014.531,,,",
        f"{B},10000032,50414267,CHEST (PA AND LAT),LATERAL,3056,2544,21800506,4.531,,,",
        f"{C},10000764,57375967,,,3056,2544,27280506,213014.531,,,",
    ]
    write(tmp_path, "mimic-cxr-2.0.0-metadata.csv.gz", METADATA + "\n".join(rows))
    split = f"{A},50414267,10000032,train\n{B},50414267,10000032,train\n"
    split = f"dicom_id,study_id,subject_id,split\n{split}{C},57375967,10000764,validate\n"
    write(tmp_path, "mimic-cxr-2.0.0-split.csv", split)
    write(
        tmp_path,
        "mimic-cxr-2.0.0-chexpert.csv.gz",
        LABELS + "10000032,50414267,,,,,,,,,1.0" + "," * 5,
    )
    write(tmp_path, "mimic-cxr-2.0.0-negbio.csv.gz", LABELS + "10000032,50414267,,1.0" + "," * 12)
    write(tmp_path, "mimic-cxr-2.1.0-test-set-labeled.csv", HAND + "57375967,1,,0" + "," * 12)
    tree = "mimic-cxr-reports/files"
    write(tmp_path, f"{tree}/p10/p10000032/s50414267.txt", "IMPRESSION: No acute process.")
    write(tmp_path, f"{tree}/p10/p10000764/s57375967.txt", "IMPRESSION: Pneumonia.")
    write(tmp_path, f"{tree}/p10/p10000898/s50771383.txt", "IMPRESSION: No image of me.")
    return tmp_path


def image(patient, study, name, suffix="jpg"):
    return f"files/p{patient[:2]}/p{patient}/s{study}/{name}.{suffix}"


def test_image_split_view_labels_and_report_are_joined(mimic):
    imported = index_records(scan(mimic))
    assert [source.name for source in imported.sources] == ["mimic-cxr"]
    first = imported.find(image("10000032", "50414267", A), Identity())
    assert first.text == "IMPRESSION: No acute process."
    assert first.labels == {"no_finding": "1.0"}
    assert first.label_source == "chexpert-labeler"
    assert first.fields == {
        "patient": "10000032",
        "study": "50414267",
        "view": "PA",
        "split": "train",
        "language": "en",
    }
    assert imported.source_of(first) == "mimic-cxr"
    lateral = imported.find(image("10000032", "50414267", B, "dcm"), Identity(study="1.2.3"))
    assert lateral.fields["view"] == "LATERAL"
    last = imported.find(f"flat/{C}.png", Identity())
    assert last.fields["split"] == "val"
    assert "view" not in last.fields
    assert last.labels == {"lung_opacity": "1", "cardiomegaly": "0"}
    assert last.label_source == "radiologist"
    assert not imported.unknown
    assert imported.used == {item.name for item in scan(mimic).files}


def test_a_study_without_listed_images_is_found_by_its_folder(mimic):
    imported = index_records(scan(mimic))
    assert len(imported.all) == 4
    alone = imported.find(image("10000898", "50771383", D), Identity())
    assert alone.text == "IMPRESSION: No image of me."
    assert alone.fields["patient"] == "10000898"
    assert imported.find("files/p10/p10000032/s99999999/x.jpg", Identity()) is None


def test_what_is_missing_is_said(mimic):
    assert index_records(scan(mimic)).notes == ("MIMIC-CXR: 5 tables, 3 txt files",)
    (mimic / "mimic-cxr-2.0.0-metadata.csv.gz").unlink()
    imported = index_records(scan(mimic))
    assert imported.notes == ("MIMIC-CXR: 4 tables, 3 txt files; metadata table missing",)
    assert imported.find(f"{A}.jpg", Identity()).fields["split"] == "train"  # by the split table
    for path in mimic.glob("mimic-cxr*.csv*"):
        path.unlink()
    imported = index_records(scan(mimic))
    assert imported.notes == (
        "MIMIC-CXR: 3 txt files; metadata table, split table, label table missing",
    )
    assert imported.find(image("10000764", "57375967", C), Identity()).text


def test_section_files_stand_in_for_reports(mimic):
    for path in mimic.rglob("*.txt"):
        path.unlink()
    write(
        mimic,
        "mimic_cxr_sectioned.csv",
        "study,impression,findings,last_paragraph,comparison\n"
        's50414267,Normal.,"Clear\nlungs.",,\ns57375967,,,Last words.,\n',
    )
    write(mimic, "mimic_cxr_00.csv", 's50414267,"other"\ns50771383,"Headless\nreport."\n')
    imported = index_records(scan(mimic))
    assert (
        imported.find(f"{A}.jpg", Identity()).text
        == "FINDINGS: Clear\nlungs.\n\nIMPRESSION: Normal."
    )
    assert imported.find(f"{C}.jpg", Identity()).text == "Last words."
    assert imported.find("s50771383/x.jpg", Identity()).text == "Headless\nreport."


def test_a_hospital_with_subject_and_study_columns_is_not_mimic(tmp_path):
    write(tmp_path, "t.csv", "subject_id,study_id,report\n1,2,x\n")
    write(tmp_path, "p10/s50414267.txt", "x")
    imported = index_records(scan(tmp_path))
    assert imported.sources == ()
    assert len(imported.all) == 2


@pytest.mark.parametrize(
    "table",
    [
        "study_id,Cardiomegaly,Pleural Effusion,Lung Lesion,report\n50414267,1,0,,Big heart.\n",
        "study_id,Cardiomegaly,Pleural Effusion,Lung Lesion\n50414267,1,0,\n",
        f"{LABELS.splitlines()[0]},report\n10000032,50414267{',' * 15}Clear.\n",
        f"{LABELS.splitlines()[0]}\nA-17,2024-0815,1.0\n",
    ],
)
def test_a_hospital_with_the_same_observations_is_not_mimic(tmp_path, table):
    write(tmp_path, "t.csv", table)
    imported = index_records(scan(tmp_path))
    assert imported.sources == ()
    assert len(imported.all) == 1


def test_keys_of_a_path():
    path = PurePosixPath(image("10000032", "50414267", A.upper()))
    assert list(IMPORTER.keys(path, Identity())) == [
        ("mimic-image", A),
        ("mimic-study", "50414267"),
    ]
