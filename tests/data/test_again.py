import pytest

import synth.data.intake as intake
from synth.data.prepare import prepare
from synth.manifest import open_dataset
from synth.progress import Silent

from .conftest import SMALL, contents, picture, write_dicom


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
