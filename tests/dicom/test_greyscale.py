import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_windowing

from synth.dicom.greyscale import Table, apply_table, apply_window, stored_values, table_to_unit

X = np.array([-1100.0, -1024, -524, -24.5, -24, 0, 40, 474, 475.5, 476, 3000])


def test_linear_window_is_the_standards_example():
    # PS3.3 C.11.2.1.2.1, Note 2: c=2048, w=4096 spans 0..4095; c=2048, w=1 is a step at 2047.5
    assert apply_window(np.array([-1, 0, 4095, 4096]), 2048, 4096).tolist() == [0, 0, 1, 1]
    assert apply_window(np.array([2047, 2048]), 2048, 1).tolist() == [0, 1]
    # c=0, w=100 -> -50 is 0, 49 is 1; c=0, w=101 -> middle at -0.5
    assert apply_window(np.array([-50, 49]), 0, 100).tolist() == [0, 1]
    assert apply_window(np.array([-0.5]), 0, 101).tolist() == [0.5]


def test_linear_exact_and_sigmoid_closed_forms():
    assert apply_window(np.array([-50, 0, 25, 50]), 0, 100, "LINEAR_EXACT").tolist() == [
        0,
        0.5,
        0.75,
        1,
    ]
    sigmoid = apply_window(np.array([0.0, 25.0, -25.0]), 0, 100, "SIGMOID")
    np.testing.assert_allclose(sigmoid, [0.5, 1 / (1 + np.exp(-1)), 1 / (1 + np.exp(1))])
    assert apply_window(np.array([-1e9, 1e9]), 0, 1e-3, "SIGMOID") == pytest.approx([0, 1])


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(("center", "width"), [(40, 400), (-500.5, 1500), (0, 2)])
def test_windows_equal_pydicoms(function, center, width):
    dataset = Dataset()
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsStored, dataset.PixelRepresentation = 12, 1
    dataset.WindowCenter, dataset.WindowWidth = center, width
    dataset.VOILUTFunction = function
    low, high = -(2**11), 2**11 - 1
    with np.errstate(over="ignore"):  # pydicom lets exp overflow far from the center
        theirs = (apply_windowing(X, dataset) - low) / (high - low)
    np.testing.assert_allclose(apply_window(X, center, width, function), theirs, atol=1e-9)


@pytest.mark.parametrize(
    ("width", "function"),
    [(0.5, "LINEAR"), (0, "LINEAR_EXACT"), (-3, "SIGMOID"), (np.nan, "LINEAR")],
)
def test_forbidden_widths_raise(width, function):
    with pytest.raises(ValueError, match="width"):
        apply_window(X, 0, width, function)


def test_8_bit_table_with_4096_entries_does_not_wrap():
    # pydicom 3.0.2's apply_voi_lut gives [0, 6, 15, 0, 0, 15] here: its index is uint8.
    table = Table(first=0, bits=8, entries=np.arange(4096) * 255 // 4095)
    values = np.array([0, 100, 255, 256, 2048, 4095])
    assert apply_table(values, table).tolist() == [0, 6, 15, 15, 127, 255]
    assert table_to_unit(apply_table(values, table), table)[-1] == 1.0


def test_table_clips_below_first_and_above_last():
    table = Table(first=-10, bits=8, entries=np.array([5, 6, 7]))
    assert apply_table(np.array([-99, -10, -9, -8, 99]), table).tolist() == [5, 5, 6, 7, 7]


def test_bits_above_high_bit_are_masked_and_the_sign_is_extended():
    raw = np.array([0xF123, 0x0FFF, 0x0800], dtype=np.uint16)
    unsigned = stored_values(raw, bits_stored=12, high_bit=11, signed=False)
    assert unsigned.tolist() == [0x123, 0xFFF, 0x800]
    signed = stored_values(raw, bits_stored=12, high_bit=11, signed=True)
    assert signed.tolist() == [0x123, -1, -2048]
    shifted = stored_values(
        np.array([0x1230], np.uint16), bits_stored=12, high_bit=15, signed=False
    )
    assert shifted.tolist() == [0x123]
