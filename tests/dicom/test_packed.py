"""Compressed pixels whose bits are not those that the header promises."""

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from synth.dicom import Unreadable, read_grey

RAMP = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)  # 12 bits


def packed(path, syntax, **tags):
    """Compress a file in place, then let its header claim something else."""
    dataset = dcmread(path)
    dataset.compress(syntax, generate_instance_uid=False)
    for name, value in tags.items():
        setattr(dataset, name, value)
    dataset.save_as(path)
    return path


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless])
@pytest.mark.parametrize("signed", [False, True])
def test_more_bits_than_the_header_says_are_not_wrapped_around(write_dicom, syntax, signed):
    array = RAMP.astype(np.int16) - 2048 if signed else RAMP
    path = write_dicom(array, BitsStored=12, HighBit=11)
    packed(path, syntax, BitsStored=10, HighBit=9)
    with pytest.raises(Unreadable) as caught:
        read_grey(path)
    assert caught.value.code == "bad_header"
    assert "BitsStored" in caught.value.detail


def test_an_overshoot_of_a_lossy_codec_is_clipped(write_dicom):
    array = RAMP.copy()
    array[0, :3] = 4099
    path = packed(write_dicom(array), JPEG2000Lossless, BitsStored=12, HighBit=11)
    grey = read_grey(path, voi="none").grey
    assert grey[0, :3].tolist() == [1.0, 1.0, 1.0]
    np.testing.assert_allclose(grey[1:], RAMP[1:] / 4095, atol=1e-6)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless, RLELossless])
def test_signed_values_survive(write_dicom, syntax):
    path = write_dicom(RAMP.astype(np.int16) - 2048, BitsStored=12, HighBit=11)
    expected = read_grey(path, voi="none").grey
    np.testing.assert_array_equal(read_grey(packed(path, syntax), voi="none").grey, expected)
    np.testing.assert_allclose(expected, RAMP / 4095, atol=1e-6)


def test_run_lengths_keep_the_bits_where_they_were(write_dicom):
    """RLE packs whole words (PS3.5 annex G), so noise above and below the stored bits too."""
    path = write_dicom(RAMP << 4 | 0x7, BitsStored=12, HighBit=15)
    packed(path, RLELossless, BitsStored=12, HighBit=15)
    np.testing.assert_allclose(read_grey(path, voi="none").grey, RAMP / 4095, atol=1e-6)
    path = packed(write_dicom(RAMP | 0xF000), RLELossless, BitsStored=12, HighBit=11)
    np.testing.assert_allclose(read_grey(path, voi="none").grey, RAMP / 4095, atol=1e-6)
