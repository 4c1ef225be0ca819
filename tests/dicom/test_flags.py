import numpy as np
import pytest

from synth.dicom import FLAGS, read_grey
from synth.dicom.flags import looks_inverted

RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)
PLAIN = {  # a header that gives rise to no flag
    "Modality": "DX",
    "ViewPosition": "PA",
    "BodyPartExamined": "CHEST",
    "ImagerPixelSpacing": [0.15, 0.15],
    "ImageType": ["ORIGINAL", "PRIMARY"],
    "PatientAge": "058Y",
}


def flags(write_dicom, array=RAMP, **tags):
    return set(read_grey(write_dicom(array, **PLAIN | tags)).flags)


def test_a_plain_radiograph_has_no_flag(write_dicom):
    assert flags(write_dicom) == set()


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"BurnedInAnnotation": "YES"}, {"burned_in_text"}),
        ({"BurnedInAnnotation": "NO"}, set()),
        ({"Modality": "OT"}, {"burned_in_text", "secondary_capture"}),
        ({"Modality": "SC", "BurnedInAnnotation": "NO"}, {"secondary_capture"}),
        (
            {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"},
            {"burned_in_text", "secondary_capture"},
        ),
        (
            {"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]},
            {"burned_in_text", "secondary_capture"},
        ),
        ({"ImageType": ["DERIVED", "SECONDARY"]}, {"secondary_capture"}),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, {"localizer"}),
        ({"BodyPartExamined": "HAND"}, {"not_chest"}),
        ({"BodyPartExamined": "THORAX"}, set()),
        ({"BodyPartExamined": ""}, set()),
        ({"ViewPosition": ""}, {"view_unknown"}),
        ({"ViewPosition": "LARGE LATERAL"}, set()),
        ({"ViewPosition": "ZZ"}, {"view_unknown"}),
        ({"ImagerPixelSpacing": [0, 0]}, {"spacing_missing"}),
        ({"ImagerPixelSpacing": [-1, 1]}, {"spacing_missing"}),
        ({"PixelSpacing": [0.3, 0.15]}, {"non_square_pixels_resampled"}),
        ({"PatientAge": "155Y"}, {"age_out_of_range"}),
        ({"PatientAge": ""}, set()),
        ({"LossyImageCompression": "01"}, {"lossy_compressed"}),
        ({"WindowCenter": 2048, "WindowWidth": 0}, {"window_ignored"}),
        ({"WindowCenter": 9e6, "WindowWidth": 3}, {"window_ignored"}),
        ({"WindowCenter": 2048, "WindowWidth": 4096}, set()),
        ({"PixelData": RAMP.tobytes() + bytes(8)}, {"excess_bytes"}),
        ({"NumberOfFrames": 1}, set()),
    ],
)
def test_header_flags(write_dicom, tags, expected):
    assert flags(write_dicom, **tags) == expected


@pytest.mark.filterwarnings("ignore:Invalid value for VR")  # the writer's, of the odd values
def test_odd_values_are_flagged_and_never_logged(write_dicom, caplog):
    path = write_dicom(RAMP, StudyDate="Doe^Jane", SOPInstanceUID="/etc/Doe")
    caplog.clear()
    assert "tag_ignored" in read_grey(path).flags
    assert caplog.text == ""


def test_an_odd_number_of_bytes_may_be_padded(write_dicom):
    array = np.arange(63 * 63, dtype=np.uint16).reshape(63, 63).astype(np.uint8)
    assert "excess_bytes" not in flags(write_dicom, array, PixelData=array.tobytes() + b"\0")


def test_preamble_name_and_missing_prefix(write_dicom, tmp_path):
    content = write_dicom(RAMP, **PLAIN).read_bytes()
    cases = {
        "program.dcm": (b"MZ" + content[2:], {"polyglot_preamble"}),
        "script.dcm": (b"#!/bin/sh\n" + content[10:], {"polyglot_preamble"}),
        "tiff.dcm": (b"II*\0" + content[4:], set()),  # PS3.10 7.1 allows it
        "picture.jpg": (content, {"extension_mismatch"}),
        "headerless": (content[132:], {"forced_read"}),
    }
    for name, (data, expected) in cases.items():
        (tmp_path / name).write_bytes(data)
        assert set(read_grey(tmp_path / name).flags) == expected, name


def test_every_flag_is_documented(write_dicom):
    assert list(FLAGS) == sorted(FLAGS)
    found = flags(write_dicom, Modality="OT", PatientAge="999Y", PixelSpacing=[1, 2])
    assert found <= set(FLAGS)


def test_non_square_pixels_are_made_square_but_not_by_recipes(write_dicom):
    array = np.zeros((40, 60), np.uint16)
    array[10:20, 30:40] = 60000
    path = write_dicom(array, PixelSpacing=[0.4, 0.2])  # rows twice as far apart as columns
    image = read_grey(path, voi="none")
    assert image.grey.shape == (80, 60)
    rows, columns = np.nonzero(image.grey > 0.45)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (20, 39, 30, 39)
    assert image.steps["geometry"] == "resampled from 40 x 60: pixel aspect 2"
    recipe = read_grey(path, preset="xrv")
    assert recipe.grey.shape == (40, 60)
    assert "non_square_pixels" in recipe.flags


@pytest.mark.parametrize(
    ("tags", "shape"),
    [
        ({"PixelAspectRatio": [1, 2]}, (64, 128)),
        ({"PixelSpacing": [0.2, 0.2001]}, (64, 64)),
        ({"PixelSpacing": [9, 1]}, (64, 64)),  # not plausible
        ({"ImagerPixelSpacing": [0.3, 0.2]}, (96, 64)),
        ({"PixelSpacing": [0.2, 0.2], "PixelAspectRatio": [1, 2]}, (64, 64)),
    ],
)
def test_aspect_sources(write_dicom, tags, shape):
    assert read_grey(write_dicom(RAMP, **tags)).grey.shape == shape


def test_inverted_phantoms_are_suspected_and_normal_ones_are_not():
    from synth.data.phantom.population import draw_patient
    from synth.data.phantom.render import render

    images = [render(draw_patient(3, index).studies[0], 96) for index in range(24)]
    assert sum(looks_inverted(image) for image in images) == 0
    assert sum(looks_inverted(1 - image) for image in images) >= 12
    assert not looks_inverted(np.zeros((8, 8), np.float32))
