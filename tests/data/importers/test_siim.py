from pathlib import PurePosixPath

import pytest

from synth.data.importers.siim import IMPORTER
from synth.dicom import Identity

PREFIX = "1.2.276.0.7230010.3.1.4.8323329"
CLEAR, SICK = f"{PREFIX}.6904.1517875201.850819", f"{PREFIX}.13666.1517875247.117800"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "train-rle.csv").write_text(
        f"ImageId, EncodedPixels\n{SICK}, 557374 2 1015 8 1009 14\n{CLEAR}, -1\n"
        f"{SICK}, 100 5 1000 5\n"
    )
    return tmp_path


def test_leading_spaces_and_several_masks(folder, run_importer):
    records = run_importer(IMPORTER).records
    assert records[SICK].labels == {"pneumothorax": "1"}
    assert records[CLEAR].labels == {"pneumothorax": "0"}  # and nothing else, not even no_finding
    assert records[SICK].where == "train-rle.csv:2"
    assert records[SICK].label_source == "reader"


def test_the_sample_submission_is_recognised_and_not_read(folder, run_importer):
    (folder / "stage_2_sample_submission.csv").write_text(f"ImageId,EncodedPixels\n{CLEAR},1 2\n")
    found = run_importer(IMPORTER)
    assert len(found.claimed) == 2
    assert found.records[CLEAR].labels == {"pneumothorax": "0"}
    (folder / "train-rle.csv").unlink()
    assert run_importer(IMPORTER).claimed == []


def test_another_competition_with_this_header(tmp_path, run_importer):
    (tmp_path / "train.csv").write_text(
        "ImageId,EncodedPixels\n00003e153.jpg,264661 17 265429 33\n"
    )
    assert run_importer(IMPORTER).claimed == []


@pytest.mark.parametrize("cell", ["", "2", "yes", "1.5 2", "-1 3"])
def test_bad_masks(folder, run_importer, cell):
    with (folder / "train-rle.csv").open("a") as file:
        file.write(f"{CLEAR},{cell}\n")
    found = run_importer(IMPORTER)
    (problem,) = found.problems
    assert (problem.where, problem.code) == ("train-rle.csv:5", "bad_label")
    assert found.records.keys() == {SICK}


@pytest.mark.parametrize("name", [f"{SICK}.dcm", f"{SICK}.DCM", SICK])
def test_deep_uid_folders(folder, run_importer, name):
    record = run_importer(IMPORTER).records[SICK]
    path = PurePosixPath(f"dicom-images-train/{PREFIX}.1.2/{PREFIX}.1.3/{name}")
    assert set(IMPORTER.keys(path, Identity())) & record.keys
    renamed = IMPORTER.keys(PurePosixPath("1.dcm"), Identity(instance=SICK))
    assert set(renamed) & record.keys
    other = IMPORTER.keys(PurePosixPath(f"{SICK}/{CLEAR}.dcm"), Identity())
    assert not set(other) & record.keys
