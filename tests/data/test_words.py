import shutil

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from synth.data.prepare import prepare
from synth.data.rows import prompt_of
from synth.manifest import open_dataset

from .conftest import SECRETS, SMALL, contents, picture, write_dicom


def test_no_identifier_comes_through(source, tmp_path):
    out = tmp_path / "out"
    (source / "broken-HOSP.dcm").write_bytes(b"Zyx^Quorra")
    prepare(source, out, **SMALL)
    for name, content in contents(out).items():
        if name == "quarantine.jsonl":
            continue  # holds source paths on purpose
        for secret in SECRETS:
            assert secret.encode().lower() not in content.lower(), (secret, name)
            assert secret not in name
    assert b"Quorra" not in (out / "quarantine.jsonl").read_bytes()
    assert "quarantine.jsonl" not in (out / "SHA256SUMS").read_text()


def test_png_with_text_beside(raster_source, tmp_path):
    summary = prepare(raster_source, tmp_path / "out", **SMALL)
    assert summary.ok == 3
    rows = open_dataset(tmp_path / "out").rows
    assert {row.text_used for row in rows} == {"Small nodule."}
    assert len({row.patient_id for row in rows}) == 3


def test_labels_from_a_table_without_reports(raster_source, tmp_path):
    for path in raster_source.glob("*.txt"):
        path.unlink()
    table = "Path,Sex,Age,Patient,Edema,Cardiomegaly\ni0.png,Female,61,p,1.0,0\ni1.png,M,7,p,-1,\n"
    (raster_source / "train.csv").write_text(table + "i2.png,F,9,q,maybe,\n")
    summary = prepare(raster_source, tmp_path / "out", **SMALL)
    assert summary.codes == {"bad_label": 1}
    rows = sorted(open_dataset(tmp_path / "out").rows, key=lambda row: row.age_band or "")
    assert [(row.text_used, row.sex, row.age_band) for row in rows] == [
        ("Possible edema.", "M", "0-19"),
        ("Edema.", "F", "60-79"),
    ]
    assert rows[1].labels["cardiomegaly"] == 0
    assert rows[1].label_source == "table"
    assert rows[0].patient_id == rows[1].patient_id


def test_reports_by_folder_name(raster_source, tmp_path):
    study = raster_source / "p10000032" / "s50414267"
    study.mkdir(parents=True)
    shutil.move(raster_source / "i0.png", study / "view.png")
    (raster_source / "i0.txt").rename(study.with_suffix(".txt"))
    assert prepare(raster_source, tmp_path / "out", **SMALL).ok == 3


def test_two_texts_for_one_study_are_not_guessed_between(source, tmp_path):
    with (source / "reports.csv").open("a") as file:
        file.write("\nACC-5500,Another text.\n")
    summary = prepare(source, tmp_path / "out", **SMALL)
    assert summary.codes == {"ambiguous_report": 1}


def test_images_without_reports_on_request(raster_source, tmp_path):
    (raster_source / "i0.txt").unlink()
    strict = prepare(raster_source, tmp_path / "strict", **SMALL)
    assert strict.codes == {"no_report": 1}
    loose = prepare(raster_source, tmp_path / "loose", require_report=False, **SMALL)
    assert (loose.ok, loose.quarantined) == (3, 0)


def test_names_in_multi_valued_tags_and_sequences_do_not_come_through(tmp_path):
    folder = tmp_path / "many"
    path = folder / "1.dcm"
    request = Dataset()
    request.RequestingPhysician = "Okonjo^Abe"
    names = ["Quimbly^Ann", "Tarrow^Ann", "Li^Wei"]
    tags = {"OtherPatientNames": names, "RequestAttributesSequence": Sequence([request])}
    write_dicom(path, picture("many"), 1, 1, **tags)
    said = "Quimbly, once Tarrow or Li, was seen by Okonjo. Small nodule."
    (folder / "1.txt").write_text(f"FINDINGS: {said}\nIMPRESSION: {said}")
    prepare(folder, tmp_path / "out", **SMALL)
    (row,) = open_dataset(tmp_path / "out").rows
    assert "Small nodule." in row.text_used
    for name in ("Quimbly", "Tarrow", "Li", "Okonjo"):
        assert name not in row.text + row.text_used


@pytest.mark.parametrize(
    ("labels", "prompt"),
    [
        ({"pneumothorax": 0, "edema": None}, "No pneumothorax."),
        ({"pleural_effusion": 0, "edema": 0}, "No pleural effusion. No edema."),
        ({"no_finding": 1}, "No acute finding."),
        ({"no_finding": 1, "edema": 0}, "No acute finding."),
        ({"no_finding": 0}, ""),
        ({"no_finding": -1}, ""),
        ({"no_finding": 0, "edema": 1, "hernia": -1, "mass": 0}, "Edema. Possible hernia."),
        ({"edema": None}, ""),
    ],
)
def test_a_prompt_from_labels_says_no_more_than_they_do(labels, prompt):
    assert prompt_of(labels) == prompt
