import numpy as np
import pytest

from synth.dicom.greyscale import stored_values
from synth.dicom.levels import levels_of, percentile


def _random(kind, shape=(37, 41), seed=0):
    info = np.iinfo(kind)
    rng = np.random.default_rng(seed)
    drawn = rng.integers(info.min, info.max, shape, dtype=np.int64, endpoint=True)
    return drawn.astype(kind)


@pytest.mark.parametrize("kind", ["u1", "i1", "<u2", "<i2", ">u2", "u4", "i4"])
@pytest.mark.parametrize("low_bits", [False, True])
def test_painting_stored_values_equals_a_computation_per_pixel(kind, low_bits):
    array = _random(kind)
    bits = 8 * array.dtype.itemsize
    stored, high = (bits - 3, bits - 4) if low_bits else (bits, bits - 1)
    signed = array.dtype.kind == "i"
    levels = levels_of(array, bits_stored=stored, high_bit=high, signed=signed)
    words = array.astype(array.dtype.newbyteorder("="))
    expected = stored_values(words, bits_stored=stored, high_bit=high, signed=signed)
    span = 2.0**stored
    painted = levels.paint(levels.stored / span)
    np.testing.assert_array_equal(painted, (expected / span).astype(np.float32))
    assert levels.counts.sum() == array.size
    assert (levels.counts > 0).all()


def test_images_larger_than_a_chunk_and_arrays_that_are_not_contiguous():
    array = _random("<u2", (700, 900))[:, ::2]  # 315,000 pixels, a chunk has 262,144
    levels = levels_of(array, bits_stored=16, high_bit=15, signed=False)
    np.testing.assert_array_equal(levels.paint(levels.stored / 65535), (array / 65535).astype("f4"))


@pytest.mark.parametrize("percent", [0, 0.5, 25, 50, 99.5, 100])
@pytest.mark.parametrize("size", [1, 2, 3, 200, 5000])
def test_percentile_equals_numpys(percent, size):
    values = np.random.default_rng(size).integers(-50, 50, size) * 1.7 - 3
    levels, counts = np.unique(values, return_counts=True)
    order = np.random.default_rng(1).permutation(len(levels))  # a LUT need not be monotonic
    got = percentile(levels[order], counts[order], percent)
    assert got == np.percentile(values, percent)


def test_levels_that_are_not_counted_do_not_matter():
    assert percentile(np.array([-2000.0, 1.0, 2.0]), np.array([0, 1, 1]), 0) == 1
    assert percentile(np.array([1.0, 2.0, 9000.0]), np.array([1, 1, 0]), 100) == 2
