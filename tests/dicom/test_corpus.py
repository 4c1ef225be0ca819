"""All files that pydicom ships: each converts as the table says or is refused for the right reason.

The table, ``corpus.tsv``, holds one line a file: its shape, or the code of the refusal, and how it
came to its grey levels.
"""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pydicom.data
import pytest
from pydicom import dcmread
from pydicom.pixels import apply_modality_lut, apply_voi_lut, pixel_array

from synth.dicom import Unreadable, probe, read_grey
from synth.dicom.refusal import CODES

ROOT = Path(pydicom.data.__file__).parent
with (Path(__file__).parent / "corpus.tsv").open(newline="") as table:
    ROWS = list(csv.DictReader(table, dialect="excel-tab"))
READ = [row for row in ROWS if row["outcome"] not in CODES]
REFUSED = [row for row in ROWS if row["outcome"] in CODES]
HEADER_DECIDES = {"not_dicom", "not_an_image", "no_pixels", "bad_header", "truncated", "too_large"}


def name(row):
    return row["file"]


def test_the_table_lists_exactly_the_files_that_are_shipped():
    shipped = sorted(
        path.relative_to(ROOT).as_posix()
        for path in ROOT.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    )
    assert [row["file"] for row in ROWS] == shipped
    assert len([path for path in shipped if Path(path).match("test_files/*.dcm")]) == 78


def test_what_becomes_of_the_78():
    rows = [row for row in ROWS if Path(row["file"]).match("test_files/*.dcm")]
    counts = Counter(row["outcome"] if row["outcome"] in CODES else "converts" for row in rows)
    assert counts == {
        "converts": 30,
        "color_image": 26,
        "not_an_image": 13,
        "bad_header": 3,
        "unsupported_transfer_syntax": 3,
        "decode_failed": 1,
        "not_dicom": 1,
        "truncated": 1,
    }


@pytest.mark.parametrize("row", READ, ids=name)
def test_converts(row):
    image = read_grey(ROOT / row["file"])
    assert "x".join(map(str, image.grey.shape)) == row["outcome"]
    for step in ("modality", "voi", "polarity", "colour", "frame"):
        assert image.steps[step] == row[step], step
    assert image.grey.dtype == np.float32
    assert image.grey.min() >= 0
    assert image.grey.max() <= 1
    header = probe(ROOT / row["file"])
    assert header.facts == image.facts
    assert header.identity == image.identity


@pytest.mark.parametrize("row", REFUSED, ids=name)
def test_is_refused(row):
    with pytest.raises(Unreadable) as refusal:
        read_grey(ROOT / row["file"])
    assert refusal.value.code == row["outcome"]
    assert refusal.value.where.endswith(row["file"])
    if row["outcome"] in HEADER_DECIDES:
        with pytest.raises(Unreadable) as early:
            probe(ROOT / row["file"])
        assert (early.value.code, early.value.detail) == (refusal.value.code, refusal.value.detail)


WINDOWED = [row for row in READ if row["voi"].startswith("window") and "x" in row["outcome"]]


@pytest.mark.filterwarnings("ignore:The pixel data is 8320 bytes")  # pydicom's, of MR_small_padded
@pytest.mark.parametrize("row", WINDOWED, ids=name)
def test_windows_agree_with_pydicom(row):
    """An independent path to the same levels, for the real headers that have a window."""
    image = read_grey(ROOT / row["file"])
    if image.steps["geometry"] != "kept":
        pytest.skip("resampled afterwards")
    dataset = dcmread(ROOT / row["file"])
    theirs = apply_voi_lut(apply_modality_lut(pixel_array(dataset), dataset), dataset)
    bits, signed = dataset.BitsStored, dataset.PixelRepresentation
    ends = np.array([-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] if signed else [0, 2**bits - 1])
    low, high = apply_modality_lut(ends, dataset)
    unit = (theirs - low) / (high - low)
    if row["polarity"].startswith("inverted"):
        unit = 1 - unit
    np.testing.assert_allclose(image.grey, unit, atol=1e-6)


def test_jpeg_lossless_names_the_file_the_syntax_and_the_command():
    path = ROOT / "test_files/SC_rgb_jpeg_gdcm.dcm"
    with pytest.raises(Unreadable) as refusal:
        probe(path)
    said = str(refusal.value)
    assert str(path) in said
    assert "JPEG Lossless" in said
    assert "1.2.840.10008.1.2.4.70" in said
    assert "pip install 'medical-image-synthesis[jpeg-lossless]'" in said
