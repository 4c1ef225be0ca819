import os
import re
import socket
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synth.data.prepare import prepare
from synth.data.quarantine import IMAGE_CODES, SKIPPED
from synth.dicom.refusal import CODES
from synth.errors import SynthError
from synth.manifest import read_jsonl

from .conftest import SMALL, contents, picture, refused, write_dicom


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
    assert refused(out, "skipped") == {
        ".DS_Store": "hidden",
        "notes.docx": "not_an_image",
        "sizes.csv": "table_not_understood",
        "x.dcm.tmp": "partial_file",
    }
    assert list(refused(out, "report").values()) == ["report_without_image"]
    assert refused(out) == {
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


def test_image_formats_that_are_not_read_are_refused_not_skipped(raster_source, tmp_path):
    names = ("a.jp2", "b.NII", "c.npy", "d.heic", "e.nii.gz")
    for name in names:
        (raster_source / name).write_bytes(b"no image: " + name.encode())
    (raster_source / "notes.docx").write_bytes(b"x")
    (raster_source / "Makefile").write_bytes(b"x")
    summary = prepare(raster_source, tmp_path / "out", **SMALL)
    assert (summary.inputs, summary.ok, summary.quarantined) == (8, 3, 5)
    assert summary.codes == {"unsupported_format": 5}
    assert (summary.skipped, summary.skipped_suffixes) == (2, {".docx": 1, "no suffix": 1})
    assert summary.skipped_codes == {"not_an_image": 2}
    assert set(refused(tmp_path / "out")) == set(names)
    rows = read_jsonl(tmp_path / "out/quarantine.jsonl")
    assert all("PNG" in row["remedy"] for row in rows if row["kind"] == "image")


def test_special_files_are_not_opened(raster_source, tmp_path, monkeypatch):

    os.mkfifo(raster_source / "pipe.dcm")
    Path(raster_source / "link.png").symlink_to(raster_source / "missing.png")
    (raster_source / "folder.dcm").mkdir()
    (raster_source / "loop").symlink_to(raster_source)
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(raster_source)  # the name of a socket may only be short
        server.bind("s.png")
    summary = prepare(raster_source, tmp_path / "out", **SMALL)
    assert summary.ok == 3
    names = ("folder.dcm", "link.png", "loop", "pipe.dcm", "s.png")
    assert refused(tmp_path / "out", "skipped") == dict.fromkeys(names, "not_a_regular_file")


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


def test_everything_quarantined_is_an_error_that_says_why(tmp_path):
    folder = tmp_path / "bad"
    folder.mkdir()
    for index in range(3):
        (folder / f"{index}.dcm").write_bytes(b"nonsense" * 40)
    with pytest.raises(SynthError, match=r"no image could be used.*3 x not_dicom"):
        prepare(folder, tmp_path / "out")
    assert refused(tmp_path / "out") == dict.fromkeys(("0.dcm", "1.dcm", "2.dcm"), "not_dicom")


def test_every_code_is_in_the_documentation():
    text = (Path(__file__).parents[2] / "docs/quarantine.md").read_text("utf-8")
    documented = set(re.findall(r"`([a-z_]+)`", text))
    known = {*CODES, *IMAGE_CODES, *SKIPPED}
    assert known <= documented, known - documented
