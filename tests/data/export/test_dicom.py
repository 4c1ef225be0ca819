import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pydicom import dcmread

from synth.data.export.collection import Item
from synth.data.export.dicom import _levels
from synth.data.export.layout import Options
from synth.data.export.run import export_dataset
from synth.errors import Unavailable, UsageError
from synth.images import save_png
from synth.manifest import DatasetInfo, Row, open_dataset


def originals(folder):
    dataset = open_dataset(folder)
    return {row.sample_id: (row, np.asarray(Image.open(dataset.path(row)))) for row in dataset.rows}


@pytest.mark.parametrize("fixture", ["made", "made_16"])
def test_pydicom_reads_every_image_as_it_was(request, fixture, tmp_path):
    folder = request.getfixturevalue(fixture)
    export_dataset(folder, tmp_path / "out", to="dicom")
    table = pd.read_csv(tmp_path / "out" / "metadata.csv")
    known = originals(folder)
    assert set(table["sample_id"]) == set(known)
    for sample, name in zip(table["sample_id"], table["file_name"], strict=True):
        row, image = known[sample]
        found = dcmread(tmp_path / "out" / name)
        assert np.array_equal(found.pixel_array, image)
        assert found.BitsStored == row.bit_depth
        assert found.SyntheticData == "YES"
        assert found.ImageComments == row.text_used.replace("\n", "\r\n")
        assert row.weights_sha256 in found.DerivationDescription
        assert f"seed {row.seed}" in found.DerivationDescription


@pytest.mark.parametrize(("fixture", "bits"), [("made", "16"), ("made_16", "8")])
def test_another_depth_keeps_the_range(request, fixture, bits, tmp_path):
    folder = request.getfixturevalue(fixture)
    export_dataset(folder, tmp_path / "out", to="dicom", options=Options(bits=bits))
    path = tmp_path / "out" / "dicom" / "SYN-000000" / "ST0001" / "SE0001" / "IM0001.dcm"
    image = originals(folder)["syn-000000"][1].astype(float)
    expected = image * 257 if bits == "16" else np.rint(image / 257)
    assert np.array_equal(dcmread(path).pixel_array, expected)


def test_every_level_of_sixteen_bits_survives(tmp_path):
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    save_png(tmp_path / "x.png", levels)
    row = Row(file_name="x.png", sample_id="x", split="train", bit_depth=16)
    item = Item(row, tmp_path / "x.png", "made", DatasetInfo(name="made"))
    assert np.array_equal(_levels(item, "auto"), levels)


def test_every_image_is_a_patient_of_its_own(made, tmp_path):
    export_dataset(made, tmp_path / "out", to="dicom")
    files = [dcmread(path) for path in sorted(tmp_path.rglob("*.dcm"))]
    for keyword in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        assert len({getattr(file, keyword) for file in files}) == 7
    assert not any("tiny" in str(file) for file in files)  # nothing of whom the text came from


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy is not installed")
def test_the_validator_knows_all_but_the_synthetic_tag(made, tmp_path):
    pytest.importorskip("highdicom")
    export_dataset(made, tmp_path / "out", to="dicom", options=Options(report=True))
    files = sorted(tmp_path.rglob("*.dcm"))
    assert len(files) == 14
    for path in files:
        done = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
        said = [line for line in done.stderr.splitlines() if "Error" in line or "Warning" in line]
        other = [line for line in said if "(0x0008,0x001c)" not in line]
        assert all("Standard Extended SOP Class" in line for line in other)
        assert done.returncode == 0


def test_reports_lie_beside_their_images(made, tmp_path):
    pytest.importorskip("highdicom")
    export_dataset(made, tmp_path / "out", to="dicom", options=Options(report=True))
    table = pd.read_csv(tmp_path / "out" / "metadata.csv")
    for image, report in zip(table["file_name"], table["report"], strict=True):
        one, other = dcmread(tmp_path / "out" / image), dcmread(tmp_path / "out" / report)
        assert one.StudyInstanceUID == other.StudyInstanceUID
        assert other.ContentSequence[0].TextValue == one.ImageComments


def test_real_images_are_refused(made, tiny_dataset, tmp_path):
    with pytest.raises(UsageError, match=r"only synthetic images.*24 real images"):
        export_dataset(made, tmp_path / "out", to="dicom", merge=tiny_dataset)
    assert not list(tmp_path.iterdir())  # so that the next try is not taken for another export


def test_digital_x_ray_refuses_other_views_before_anything_is_written(made, tmp_path):
    with pytest.raises(UsageError, match=r"3 images of another or an unknown view.*syn-000002"):
        export_dataset(made, tmp_path / "out", to="dicom", options=Options(sop_class="dx"))
    assert not list(tmp_path.iterdir())


def test_a_view_can_be_stated_for_rows_that_name_none(made, tmp_path):
    export_dataset(made, tmp_path / "out", to="dicom", options=Options(view="PA"))
    found = [dcmread(path).PatientOrientation for path in sorted(tmp_path.rglob("*.dcm"))]
    frontal = [1, 1, 0, 1, 1, 1, 0]  # PA, AP, lateral, not named, and again
    assert [bool(orientation) for orientation in found] == list(map(bool, frontal))


def test_digital_x_ray_of_frontal_views(made, tmp_path):
    frontal = tmp_path / "frontal"
    frontal.mkdir()
    (frontal / "images").symlink_to(made / "images")
    (frontal / "dataset.json").symlink_to(made / "dataset.json")
    lines = (made / "metadata.jsonl").read_text("utf-8").splitlines(keepends=True)
    kept = [line for line in lines if '"view": "PA"' in line or '"view": "AP"' in line]
    (frontal / "metadata.jsonl").write_text("".join(kept), "utf-8")
    export_dataset(frontal, tmp_path / "out", to="dicom", options=Options(sop_class="dx"))
    files = [dcmread(path) for path in (tmp_path / "out").rglob("*.dcm")]
    assert {file.ViewPosition for file in files} == {"PA", "AP"}
    assert {file.Modality for file in files} == {"DX"}


@pytest.mark.parametrize("part", ["chest", "", "A" * 17, "CHEST\\HAND"])
def test_a_body_part_that_dicom_does_not_take(made, tmp_path, part):
    with pytest.raises(UsageError, match="no such body part"):
        export_dataset(made, tmp_path / "out", to="dicom", options=Options(body_part=part))


def test_reports_need_highdicom(made, tmp_path, monkeypatch):
    monkeypatch.setattr("synth.data.export.dicom.find_spec", lambda _: None)
    with pytest.raises(Unavailable, match="highdicom"):
        export_dataset(made, tmp_path / "out", to="dicom", options=Options(report=True))
    assert not list(tmp_path.rglob("*.dcm"))
