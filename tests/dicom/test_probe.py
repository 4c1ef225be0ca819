import time
import tracemalloc

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from synth.dicom import DecodeLimits, Unreadable, probe, read_grey

RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)


def test_a_probe_tells_what_reading_tells(write_dicom):
    path = write_dicom(
        RAMP,
        Modality="DX",
        ViewPosition="",
        PatientID="H-1234",
        BurnedInAnnotation="YES",
        NumberOfFrames=1,
        PixelData=RAMP.tobytes() + bytes(10),
    )
    early, image = probe(path), read_grey(path)
    assert early.facts == image.facts
    assert early.identity == image.identity
    assert early.identity.patient == "H-1234"
    expected = {"burned_in_text", "excess_bytes", "spacing_missing", "view_unknown"}
    assert set(early.flags) == expected <= set(image.flags)


def test_pixels_are_neither_read_nor_decoded(write_dicom):
    path = write_dicom(RAMP, Rows=16384, Columns=16384, PixelData=bytes(2))
    content = bytearray(path.read_bytes())
    length, size = 2 * 16384 * 16384, len(content)
    content[-6:-2] = length.to_bytes(4, "little")
    path.write_bytes(content)
    with path.open("r+b") as file:  # sparse: half a gigabyte that takes no room
        file.truncate(size - 2 + length)
    tracemalloc.start()
    probe(path, DecodeLimits(pixels=1 << 30))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000
    with path.open("r+b") as file:
        file.truncate(size + length - 100)
    with pytest.raises(Unreadable, match=f"truncated: {length - 98} bytes of pixels"):
        probe(path, DecodeLimits(pixels=1 << 30))


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ({"Rows": 0}, "bad_header"),
        ({"Rows": 65}, "truncated"),
        ({"Rows": 60000, "Columns": 60000}, "too_large"),
        ({"NumberOfFrames": 2**31 - 1}, "too_large"),
        ({"PixelData": None}, "no_pixels"),
        ({"PixelData": b""}, "no_pixels"),
        ({"PhotometricInterpretation": None}, "bad_header"),
        ({"BitsStored": 40}, "bad_header"),
    ],
)
def test_refusals_are_those_of_reading(write_dicom, tags, code):
    path = write_dicom(RAMP, **tags)
    refusals = []
    for look in (probe, read_grey):
        with pytest.raises(Unreadable) as refusal:
            look(path)
        refusals.append((refusal.value.code, refusal.value.detail, refusal.value.where))
    assert refusals[0] == refusals[1]
    assert refusals[0][0] == code
    assert refusals[0][2] == str(path)


@pytest.mark.parametrize("name", ["MR_small_implicit.dcm", "MR_small_expb.dcm", "image_dfl.dcm"])
def test_every_encoding_is_probed(name, tmp_path):
    path = tmp_path / "cut.dcm"
    source = get_testdata_file(name)
    assert probe(type(path)(source)).facts["Rows"] == dcmread(source).Rows


def test_a_probe_takes_a_few_milliseconds(write_dicom):
    path = write_dicom(RAMP, Modality="DX", PatientName="Doe^Jane")
    took = []
    for _ in range(20):
        start = time.perf_counter()
        probe(path)
        took.append(time.perf_counter() - start)
    assert min(took) < 0.01  # 0.5 ms on one core of 2024
