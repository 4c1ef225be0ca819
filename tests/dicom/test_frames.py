"""Enhanced objects keep rescale, window and spacing in functional groups (PS3.3 C.7.6.16)."""

import numpy as np
import pytest
from pydicom.dataset import Dataset

from synth.dicom import probe, read_grey

FRAMES = np.stack([np.full((4, 8), value, dtype=np.int16) for value in (0, 100, 200)])
FRAMES[:, 0] = 1000


def groups(**macros):
    item = Dataset()
    for name, tags in macros.items():
        macro = Dataset()
        for tag, value in tags.items():
            setattr(macro, tag, value)
        setattr(item, name, [macro])
    return item


def enhanced(write_dicom, shared, frames=(), **tags):
    options = {
        "NumberOfFrames": 3,
        "Rows": 4,
        "Columns": 8,
        "SharedFunctionalGroupsSequence": shared,
    }
    if frames:
        options["PerFrameFunctionalGroupsSequence"] = list(frames)
    return write_dicom(FRAMES, **options, **tags)


SHARED = {
    "PixelValueTransformationSequence": {"RescaleSlope": 2, "RescaleIntercept": -100},
    "FrameVOILUTSequence": {
        "WindowCenter": 200,
        "WindowWidth": 400,
        "VOILUTFunction": "LINEAR_EXACT",
    },
    "PixelMeasuresSequence": {"PixelSpacing": [1.0, 0.5]},
}


def test_shared_groups_count_like_the_tags_of_a_plain_file(write_dicom):
    path = enhanced(write_dicom, [groups(**SHARED)])
    image = read_grey(path)
    assert image.steps["modality"] == "rescale 2 x + -100"
    assert image.steps["voi"] == "window LINEAR_EXACT 200/400"
    assert image.facts["PixelSpacing"] == [1.0, 0.5]
    assert image.grey.shape == (8, 8)
    assert image.grey[-1, 0] == pytest.approx((2 * 100 - 100) / 400)
    assert "spacing_missing" not in probe(path).flags


def test_the_groups_of_the_frame_that_is_taken_win(write_dicom):
    frames = [
        groups(FrameVOILUTSequence={"WindowCenter": center, "WindowWidth": 400})
        for center in (1, 300, 3)
    ]
    path = enhanced(write_dicom, [groups(**SHARED)], frames)
    assert read_grey(path).steps["voi"] == "window LINEAR 300/400"


@pytest.mark.parametrize("frames", [[], [Dataset()], [groups(FrameVOILUTSequence={})] * 3])
def test_what_the_groups_lack_stays_as_the_header_has_it(write_dicom, frames):
    path = enhanced(write_dicom, [], frames, WindowCenter=500, WindowWidth=1000)
    assert read_grey(path).steps["voi"] == "window LINEAR 500/1000"
