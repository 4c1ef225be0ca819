import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

import synth.data.intake as intake
from synth.data.prepare import prepare
from synth.data.rows import prompt_of
from synth.errors import SynthError, UsageError
from synth.manifest import open_dataset, read_jsonl
from synth.progress import Silent

from .conftest import SECRETS, picture, write_dicom

SMALL = {"size": 16, "splits": (0.5, 0.25, 0.25)}


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def refused(out):
    return {row["path"]: row["code"] for row in read_jsonl(out / "quarantine.jsonl")}


def test_a_whole_cohort(source, tmp_path):
    before = contents(source)
    summary = prepare(source, tmp_path / "out", **SMALL)
    assert (summary.inputs, summary.ok, summary.quarantined, summary.duplicates) == (16, 16, 0, 0)
    assert summary.exit_code == 0
    dataset = open_dataset(tmp_path / "out")
    assert dataset.info.phantom
    assert dataset.info.findings == ["cardiomegaly", "hernia"]
    assert dataset.info.counts["patients"] == 8
    assert dataset.info.terms == ["Phantom data.", "Free to use."]
    row = next(row for row in dataset.rows if row.labels["hernia"] == 1)
    assert row.text_used == "Small hiatal hernia."
    assert row.labels["pneumothorax"] == 0
    assert row.labels["nodule"] is None
    assert (row.view, row.sex, row.age_band) == ("PA", "F", "40-59")
    with Image.open(dataset.path(row)) as image:
        assert (image.mode, image.size) == ("L", (16, 16))
    assert contents(source) == before


def test_pixels_are_those_of_the_file(source, tmp_path):
    prepare(source, tmp_path / "out", size=40, voi="none")
    expected = {
        np.rint(picture(p, s) / 4095 * 255).astype(np.uint8).tobytes()
        for p in range(8)
        for s in range(2)
    }
    dataset = open_dataset(tmp_path / "out")
    assert {np.asarray(Image.open(dataset.path(row))).tobytes() for row in dataset.rows} == expected


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


def test_patients_are_never_in_two_splits_and_hernia_is_in_train_and_test(source, tmp_path):
    prepare(source, tmp_path / "out", **SMALL)
    rows = open_dataset(tmp_path / "out").rows
    splits = {}
    for row in rows:
        splits.setdefault(row.patient_id, set()).add(row.split)
    assert all(len(found) == 1 for found in splits.values())
    hernia = {row.split for row in rows if row.labels["hernia"] == 1}
    assert hernia >= {"train", "test"}


def test_again_does_nothing_and_gives_the_same_bytes(source, tmp_path, monkeypatch):
    out = tmp_path / "out"
    prepare(source, out, **SMALL)
    first = contents(out)
    monkeypatch.setattr(intake, "convert_all", lambda items, *_, **__: iter(_none(items)))
    summary = prepare(source, out, **SMALL)
    assert (summary.new, summary.ok) == (0, 16)
    assert contents(out) == first


def _none(items):
    assert not items
    return items


def test_a_killed_run_continues_to_the_same_bytes(source, tmp_path, monkeypatch):
    whole, cut = tmp_path / "whole", tmp_path / "elsewhere/whole"
    prepare(source, whole, **SMALL)
    real = intake.convert_all

    def dies(items, *args, **kwargs):
        for number, converted in enumerate(real(items, *args, **kwargs)):
            if number == 5:
                raise KeyboardInterrupt
            yield converted

    monkeypatch.setattr(intake, "convert_all", dies)
    with pytest.raises(KeyboardInterrupt):
        prepare(source, cut, **SMALL)
    monkeypatch.setattr(intake, "convert_all", real)
    torn = next((cut / "images").rglob("*.png"))
    torn.write_bytes(torn.read_bytes()[:50])  # a power cut: this image never reached the disk
    summary = prepare(source, cut, **SMALL)
    assert summary.new == 12
    assert contents(cut) == contents(whole)


def test_new_files_are_added_and_nobody_moves(source, tmp_path):
    out = tmp_path / "out"
    prepare(source, out, **SMALL)
    before = {row.sample_id: row.split for row in open_dataset(out).rows}
    for study in range(2):
        write_dicom(source / f"HOSP-770019/{study}/1.dcm", picture("n", study), 9, study)
    with (source / "reports.csv").open("a") as file:
        file.write("\nACC-5590,Small hiatal hernia.\nACC-5591,Clear lungs.\n")
    summary = prepare(source, out, **SMALL)
    assert (summary.new, summary.ok) == (2, 18)
    after = {row.sample_id: row.split for row in open_dataset(out).rows}
    assert {name: after[name] for name in before} == before


def test_bad_inputs_are_quarantined_and_accounted_for(source, tmp_path):
    good = (source / "HOSP-770010/0/1.dcm").read_bytes()
    (source / "twin.dcm").write_bytes(good)
    write_dicom(source / "pixel-twin.dcm", picture(1, 0), 1, 0, Manufacturer="Other")
    (source / "cut.dcm").write_bytes(good[: len(good) - 10])
    (source / "empty.dcm").write_bytes(b"")
    (source / "empty.png").write_bytes(b"")
    (source / "page.dcm").write_text("<!DOCTYPE html><html>log in</html>")
    (source / "pointer.dcm").write_text("version https://git-lfs.github.com/spec/v1\n")
    write_dicom(source / "flat.dcm", np.full((8, 8), 9, np.uint16), 1, 0)
    write_dicom(source / "lonely.dcm", picture("lonely"), 8, 8)
    write_dicom(source / "no-suffix", picture("no-suffix"), 2, 1)
    buffer = tmp_path / "x.png"
    Image.fromarray((picture("p") >> 4).astype(np.uint8)).save(buffer)
    (source / "cut.png").write_bytes(buffer.read_bytes()[:600])
    (source / ".DS_Store").write_bytes(b"x")
    (source / "x.dcm.tmp").write_bytes(b"x")
    (source / "notes.docx").write_bytes(b"x")
    (source / "sizes.csv").write_text("a,b\n1,2\n")
    with (source / "reports.csv").open("a") as file:
        file.write("\nACC-NONE,A report without image.\n")
    out = tmp_path / "out"
    summary = prepare(source, out, **SMALL)
    assert summary.inputs == summary.ok + summary.quarantined + summary.duplicates
    assert (summary.ok, summary.duplicates, summary.exit_code) == (17, 2, 3)
    assert summary.skipped == 4
    codes = refused(out)
    lost = [name for name in codes if name.startswith("reports.csv:")]
    assert [codes.pop(name) for name in lost] == ["report_without_image"]
    assert codes == {
        "cut.dcm": "truncated",
        "cut.png": "truncated_image",
        "empty.dcm": "empty_file",
        "empty.png": "empty_file",
        "flat.dcm": "flat_image",
        "lonely.dcm": "no_report",
        "page.dcm": "html_instead_of_image",
        "pixel-twin.dcm": "duplicate",
        "pointer.dcm": "lfs_pointer",
        "twin.dcm": "duplicate",
    }
    assert summary.reports_without_image == 1
    first = contents(out)
    again = prepare(source, out, **SMALL)
    assert (again.new, again.ok, again.quarantined, again.duplicates) == (0, 17, 8, 2)
    assert contents(out) == first


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


def test_16_bit_png_keeps_its_contrast(tmp_path):
    folder = tmp_path / "deep"
    folder.mkdir()
    Image.fromarray(picture("deep")).save(folder / "a.png")
    (folder / "a.txt").write_text("Nodule.")
    prepare(folder, tmp_path / "out", size=40)
    dataset = open_dataset(tmp_path / "out")
    pixels = np.asarray(Image.open(dataset.path(dataset.rows[0])))
    assert pixels.min() == 0
    assert pixels.max() == 255
    assert pixels.std() > 30


def test_workers_give_the_same_bytes(raster_source, tmp_path):
    prepare(raster_source, tmp_path / "a" / "out", **SMALL)
    prepare(raster_source, tmp_path / "b" / "out", workers=2, **SMALL)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_checksums_are_those_of_sha256sum(raster_source, tmp_path):
    out = tmp_path / "out"
    prepare(raster_source, out, **SMALL)
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=out, check=True)


def test_hugging_face_loads_it(source, tmp_path):
    datasets = pytest.importorskip("datasets")
    out = tmp_path / "out"
    prepare(source, out, **SMALL)
    loaded = datasets.load_dataset(
        "imagefolder", data_dir=str(out), split="train", cache_dir=str(tmp_path / "cache")
    )
    rows = {row.sample_id: row for row in open_dataset(out).rows}
    assert len(loaded) == len(rows)
    for item in loaded:
        assert item["labels"] == rows[item["sample_id"]].labels
        assert item["image"].size == (16, 16)


def test_wrong_requests(source, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(SynthError, match="does not exist"):
        prepare(tmp_path / "missing", tmp_path / "out")
    with pytest.raises(SynthError, match="empty"):
        prepare(empty, tmp_path / "out")
    (empty / "notes.txt").write_text("hello")
    with pytest.raises(SynthError, match="no images found"):
        prepare(empty, tmp_path / "out")
    with pytest.raises(UsageError, match="inside"):
        prepare(source, source / "out")
    with pytest.raises(UsageError, match="inside"):
        prepare(source, source)
    with pytest.raises(UsageError, match="sum to 1"):
        prepare(source, tmp_path / "out", splits=(0.5, 0.5, 0.5))
    with pytest.raises(UsageError, match="size"):
        prepare(source, tmp_path / "out", size=0)
    assert not (tmp_path / "out").exists()
    assert not (source / "out").exists()


def test_foreign_folders_and_other_options_are_refused(source, tmp_path):
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.doc").write_text("precious")
    with pytest.raises(SynthError, match="not a dataset"):
        prepare(source, foreign, **SMALL)
    assert contents(foreign) == {"thesis.doc": b"precious"}
    out = tmp_path / "out"
    prepare(source, out, **SMALL)
    with pytest.raises(UsageError, match=r"other options.*size 16 -> 32"):
        prepare(source, out, size=32, splits=SMALL["splits"])
    with pytest.raises(UsageError, match="pseudonyms"):
        prepare(source, out, secret="x", **SMALL)


def test_everything_quarantined_is_an_error_that_says_why(tmp_path):
    folder = tmp_path / "bad"
    folder.mkdir()
    for index in range(3):
        (folder / f"{index}.dcm").write_bytes(b"nonsense" * 40)
    with pytest.raises(SynthError, match=r"no image could be used.*3 x not_dicom"):
        prepare(folder, tmp_path / "out")
    assert refused(tmp_path / "out") == dict.fromkeys(("0.dcm", "1.dcm", "2.dcm"), "not_dicom")


def test_the_secret_changes_every_pseudonym(source, tmp_path):
    for name, secret in (("a", ""), ("b", "pepper")):
        prepare(source, tmp_path / name, secret=secret, **SMALL)
    one, two = (open_dataset(tmp_path / name).rows for name in "ab")
    assert {row.patient_id for row in one}.isdisjoint(row.patient_id for row in two)
    assert b"pepper" not in b"".join(contents(tmp_path / "b").values())
    assert json.loads((tmp_path / "b/dataset.json").read_text())["complete"] is True


def test_special_files_are_not_opened(raster_source, tmp_path):
    import os

    os.mkfifo(raster_source / "pipe.dcm")
    Path(raster_source / "link.png").symlink_to(raster_source / "missing.png")
    (raster_source / "folder.dcm").mkdir()
    summary = prepare(raster_source, tmp_path / "out", **SMALL)
    assert (summary.ok, summary.skipped) == (3, 2)


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


def test_an_edited_report_reaches_its_row(source, tmp_path):
    out = tmp_path / "out"
    prepare(source, out, **SMALL)
    before = {row.sample_id: row for row in open_dataset(out).rows}
    table = source / "reports.csv"
    lines = table.read_text().split("ACC-5530,")
    edited = lines[1].replace("Mild cardiomegaly.", "Large nodule.", 2)
    table.write_text("ACC-5530,".join((lines[0], edited)))
    summary = prepare(source, out, **SMALL)
    assert (summary.new, summary.ok, summary.updated) == (0, 16, 1)
    assert summary.reports_without_image == 0
    after = {row.sample_id: row for row in open_dataset(out).rows}
    changed = [name for name in before if before[name] != after[name]]
    assert len(changed) == 1
    old, new = before[changed[0]], after[changed[0]]
    assert (old.text_used, new.text_used) == ("Mild cardiomegaly.", "Large nodule.")
    assert (new.labels["nodule"], new.labels["cardiomegaly"]) == (1, None)
    for name in ("patient_id", "study_id", "split", "sha256", "file_name"):
        assert getattr(old, name) == getattr(new, name)
    again = contents(out)
    assert prepare(source, out, **SMALL).updated == 0
    assert contents(out) == again


def test_an_edited_label_and_swapped_reports_reach_their_rows(raster_source, tmp_path):
    for path in raster_source.glob("*.txt"):
        path.unlink()
    table, out = raster_source / "train.csv", tmp_path / "out"
    table.write_text("Path,Edema,Report\ni0.png,1,Nodule.\ni1.png,0,Hernia.\ni2.png,0,\n")
    assert prepare(raster_source, out, **SMALL).reports_without_image == 0
    table.write_text("Path,Edema,Report\ni0.png,1,Hernia.\ni1.png,0,Nodule.\ni2.png,1,\n")
    assert prepare(raster_source, out, **SMALL).updated == 3
    rows = open_dataset(out).rows
    assert sorted((row.text_used, row.labels["edema"]) for row in rows) == [
        ("Edema.", 1),
        ("Hernia.", 1),
        ("Nodule.", 0),
    ]


def test_an_edit_that_cannot_be_used_keeps_the_row_and_says_so(raster_source, tmp_path):
    out, said = tmp_path / "out", []
    prepare(raster_source, out, **SMALL)
    before = (out / "metadata.jsonl").read_bytes()
    (raster_source / "i0.txt").write_text("   ")
    progress = Silent()
    progress.note = said.append
    summary = prepare(raster_source, out, progress=progress, **SMALL)
    assert (summary.ok, summary.updated) == (3, 0)
    assert (out / "metadata.jsonl").read_bytes() == before
    assert any("empty_report" in line for line in said)


def test_a_report_added_later_reaches_an_image_that_had_none(raster_source, tmp_path):
    out = tmp_path / "out"
    (raster_source / "i0.txt").unlink()
    prepare(raster_source, out, require_report=False, **SMALL)
    (raster_source / "i0.txt").write_text("Hernia.")
    assert prepare(raster_source, out, require_report=False, **SMALL).updated == 1
    assert "Hernia." in {row.text_used for row in open_dataset(out).rows}


def test_the_report_of_a_refused_image_is_not_a_report_without_image(source, tmp_path):
    good = (source / "HOSP-770010/0/1.dcm").read_bytes()
    write_dicom(source / "flat.dcm", np.full((8, 8), 9, np.uint16), 1, 5)
    (source / "HOSP-770010/0/1.dcm").write_bytes(good[: len(good) - 10])
    (source / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    (source / "cut.txt").write_text("Nodule.")
    with (source / "reports.csv").open("a") as file:
        file.write("\nACC-5515,Clear lungs.\nACC-5520,Another text.\nACC-NONE,Lost.\n")
    summary = prepare(source, tmp_path / "out", **SMALL)
    assert summary.quarantined == 4
    assert summary.codes["ambiguous_report"] == 1
    assert summary.reports_without_image == 1


def test_image_formats_that_are_not_read_are_refused_not_skipped(raster_source, tmp_path):
    names = ("a.tif", "b.TIFF", "c.bmp", "d.webp", "e.gif")
    for name in names:
        (raster_source / name).write_bytes(b"II*\0" + name.encode())
    (raster_source / "notes.docx").write_bytes(b"x")
    (raster_source / "Makefile").write_bytes(b"x")
    summary = prepare(raster_source, tmp_path / "out", **SMALL)
    assert (summary.inputs, summary.ok, summary.quarantined) == (8, 3, 5)
    assert summary.codes == {"unsupported_format": 5}
    assert (summary.skipped, summary.skipped_suffixes) == (2, {".docx": 1, "no suffix": 1})
    rows = {row["path"]: row for row in read_jsonl(tmp_path / "out/quarantine.jsonl")}
    assert set(rows) == set(names)
    assert all("PNG" in row["remedy"] for row in rows.values())
