import os
from pathlib import Path

import pytest

from synth.data.inputs import scan

PNG, DICOM = b"\x89PNG\r\n\x1a\n", bytes(128) + b"DICM"


@pytest.mark.parametrize(
    ("name", "content", "kind", "code"),
    [
        ("a.dcm", b"", "dicom", ""),
        ("a", DICOM, "dicom", ""),
        ("a.txt.bin", DICOM, "dicom", ""),
        ("a.png", DICOM, "dicom", ""),
        ("a.dcm", PNG, "raster", ""),
        ("a.jpeg", b"x", "raster", ""),
        ("a.TIF", b"x", "raster", ""),
        ("a", b"II*\0", "raster", ""),
        ("a.nii", b"x", "unsupported", ""),
        ("a.nii.gz", b"\x1f\x8b", "unsupported", ""),
        ("a", b"\x93NUMPY", "unsupported", ""),
        ("a.zip", b"PK\x03\x04", "archive", ""),
        ("a.dcm.gz", b"\x1f\x8b", "archive", ""),
        ("a.dcm", b"PK\x03\x04", "archive", ""),
        ("a.csv", b"x", "table", ""),
        ("a.TSV.gz", b"\x1f\x8b", "table", ""),
        ("a.jsonl", b"x", "table", ""),
        ("a.txt", b"x", "text", ""),
        ("terms.txt", b"x", "terms", ""),
        ("in/terms.txt", b"x", "text", ""),
        ("README", b"x", "skipped", "documentation"),
        ("LICENSE.txt", b"x", "skipped", "documentation"),
        ("readme.dcm", DICOM, "dicom", ""),
        ("DICOMDIR", DICOM, "skipped", "dicomdir"),
        (".git/a.dcm", DICOM, "skipped", "hidden"),
        ("a.dcm.part", DICOM, "skipped", "partial_file"),
        ("a.xlsx", b"PK\x03\x04", "skipped", "table_not_understood"),
        ("a.docx", b"PK\x03\x04", "skipped", "not_an_image"),
        ("a.pt", b"PK\x03\x04", "skipped", "not_an_image"),
    ],
)
def test_what_a_file_is_taken_for(tmp_path, name, content, kind, code):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    (item,) = scan(tmp_path).files
    assert (item.name, item.kind, item.code) == (name, kind, code)


def test_a_folder_that_cannot_be_listed_and_a_file_that_cannot_be_opened_are_inputs(
    tmp_path, monkeypatch
):
    (tmp_path / "closed").mkdir()
    (tmp_path / "secret").write_bytes(DICOM)
    (tmp_path / "a.dcm").write_bytes(DICOM)
    real, opened = os.scandir, Path.open

    def scandir(path):
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    def refuse(path, *args, **kwargs):
        if path.name == "secret":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(os, "scandir", scandir)
    monkeypatch.setattr(Path, "open", refuse)
    found = {item.name: (item.kind, item.code) for item in scan(tmp_path).images}
    assert found == {
        "a.dcm": ("dicom", ""),
        "closed": ("unreadable", "io_error"),
        "secret": ("unreadable", "io_error"),
    }
