"""Recipes of archives against golden values and against plain loops written from their sources."""

import hashlib

import numpy as np
import pytest

from synth.dicom import Unreadable, read_grey
from synth.dicom.presets import PRESETS, RECIPES, apply_recipe, equalisation_table
from synth.images import grey_to_u8

Y, X = np.mgrid[0:96, 0:80]
PHANTOM = ((X * X * 3 + Y * 37 + X * Y) % 3600 + 300).astype(np.uint16)  # 12 bits, 300..3899

GOLDEN = {  # (preset, photometric interpretation): SHA-256 of the 8-bit image, first 16 digits
    ("dicom-voi", "MONOCHROME1"): "b55f04bc500d7de8",
    ("dicom-voi", "MONOCHROME2"): "e174f891dd6b6903",
    ("mimic-cxr-jpg", "MONOCHROME1"): "734b600e44ef6a0c",
    ("mimic-cxr-jpg", "MONOCHROME2"): "bfdcee1333bc15c4",
    ("chexpert", "MONOCHROME1"): "d4187f943cc5284c",
    ("chexpert", "MONOCHROME2"): "93d9559868b3a68f",
    ("xrv", "MONOCHROME1"): "0a2594500f69ab3b",
    ("xrv", "MONOCHROME2"): "565210407ac69e1c",
    ("percentile", "MONOCHROME1"): "75a36809a40ead24",
    ("percentile", "MONOCHROME2"): "e21e9191a62ee472",
}

# The worked example of Wikipedia's article on histogram equalisation (8 x 8 pixels of a JPEG).
BEFORE = """
52 55 61 59 79 61 76 61   62 59 55 104 94 85 59 71   63 65 66 113 144 104 63 72
64 70 70 126 154 109 71 69   67 73 68 106 122 88 68 68   68 79 60 70 77 66 58 75
69 85 64 58 55 61 65 83   70 87 69 68 65 73 78 90"""
AFTER = """
0 12 53 32 190 53 174 53   57 32 12 227 219 202 32 154   65 85 93 239 251 227 65 158
73 146 146 247 255 235 154 130   97 166 117 231 243 210 117 117   117 190 36 146 178 93 20 170
130 202 73 20 12 53 85 194   146 206 130 117 85 166 182 215"""


def test_equalisation_of_a_published_example():
    before, after = (np.array(text.split(), dtype=int) for text in (BEFORE, AFTER))
    table = equalisation_table(np.bincount(before, minlength=256))
    assert table[before].tolist() == after.tolist()


def test_equalisation_rounds_half_to_even_and_keeps_one_level():
    histogram = np.zeros(256, dtype=int)
    histogram[[3, 7, 9]] = 5, 1, 1  # scale 127.5: 127.5 -> 128, 255
    assert equalisation_table(histogram)[[0, 3, 7, 9, 255]].tolist() == [0, 0, 128, 255, 255]
    histogram[:] = 0
    histogram[[0, 1, 2, 3, 4, 5, 6]] = 1, 1, 1, 1, 1, 1, 5  # scale 25.5: 25.5 -> 26, 76.5 -> 76
    assert equalisation_table(histogram)[:7].tolist() == [0, 26, 51, 76, 102, 128, 255]
    histogram[:] = 0
    histogram[40] = 9
    assert equalisation_table(histogram)[40] == 40


def _equalize_hist(image):
    """OpenCV's loop, a pixel at a time."""
    counts = [0] * 256
    for value in image.ravel().tolist():
        counts[value] += 1
    first = next(level for level in range(256) if counts[level])
    if counts[first] == image.size:
        return image
    scale, table, total = np.float32(255) / np.float32(image.size - counts[first]), [0] * 256, 0
    for level in range(first + 1, 256):
        total += counts[level]
        table[level] = int(np.rint(np.float32(total) * scale))
    return np.array([table[value] for value in image.ravel().tolist()]).reshape(image.shape)


def _mimic(pixels, photometric):
    raw = pixels - pixels.min()
    image = (raw / raw.max() * 255).astype(np.uint8)
    return _equalize_hist(np.bitwise_not(image) if photometric == "MONOCHROME1" else image)


def _chexpert(pixels, photometric):
    alpha = np.float32(255.0 / pixels.max())
    scaled = [min(int(np.rint(abs(np.float32(value) * alpha))), 255) for value in pixels.ravel()]
    image = np.array(scaled, dtype=np.uint8).reshape(pixels.shape)
    return _equalize_hist(np.bitwise_not(image) if photometric == "MONOCHROME1" else image)


PHOTOMETRICS = ("MONOCHROME1", "MONOCHROME2")


def _read(write_dicom, array, preset, photometric="MONOCHROME2", **tags):
    tags = {"BitsStored": 12, "HighBit": 11, "PhotometricInterpretation": photometric} | tags
    return read_grey(write_dicom(array, **tags), preset=preset)


@pytest.mark.parametrize("photometric", PHOTOMETRICS)
@pytest.mark.parametrize("preset", PRESETS)
def test_golden_images(write_dicom, preset, photometric):
    image = _read(write_dicom, PHANTOM, preset, photometric, WindowCenter=2000, WindowWidth=2400)
    content = grey_to_u8(image.grey).tobytes()
    assert hashlib.sha256(content).hexdigest()[:16] == GOLDEN[preset, photometric]
    assert image.steps["preset"] == preset


@pytest.mark.parametrize("photometric", PHOTOMETRICS)
@pytest.mark.parametrize(
    ("preset", "reference"), [("mimic-cxr-jpg", _mimic), ("chexpert", _chexpert)]
)
def test_archives_recipes_equal_their_sources_loop(write_dicom, preset, reference, photometric):
    signed = (PHANTOM.astype(int) - 2048).astype(np.int16)
    for array, tags in ((PHANTOM, {}), (signed, {})):
        image = _read(write_dicom, array, preset, photometric, **tags)
        np.testing.assert_array_equal(grey_to_u8(image.grey), reference(array, photometric))


def test_recipes_by_hand(write_dicom):
    array = np.array([[100, 100, 200, 300], [100, 400, 400, 500]], np.uint16)
    # minus 100, over 400, times 255, truncated: 0 0 63 127 / 0 191 191 255; counts 3 1 1 2 1;
    # scale 255/5: 0, 51, 102, 204, 255
    mimic = grey_to_u8(_read(write_dicom, array, "mimic-cxr-jpg").grey)
    assert mimic.tolist() == [[0, 0, 51, 102], [0, 204, 204, 255]]
    # inverted first: 255 counts 3 and is the last; the first level, 0, has count 1; scale 255/7
    inverted = grey_to_u8(_read(write_dicom, array, "mimic-cxr-jpg", "MONOCHROME1").grey)
    assert inverted.tolist() == [[255, 255, 146, 109], [255, 73, 73, 0]]
    xrv = _read(write_dicom, array, "xrv").grey
    np.testing.assert_allclose(xrv * 2048 - 1024, array / 4095 * 2048 - 1024, atol=1e-3)
    xrv = _read(write_dicom, array, "xrv", "MONOCHROME1").grey
    np.testing.assert_allclose(xrv, (4095 - array) / 4095, atol=1e-6)


def test_chexpert_subtracts_no_minimum():
    stored, counts = np.array([1000, 2000, 4000]), np.array([1, 1, 2])
    unit, _ = apply_recipe("chexpert", stored, counts, bits_stored=12, monochrome1=False)
    # 64, 128, 255 (127.5 rounds to even), equalised over 3 pixels: 0, 85, 255
    assert (unit * 255).round().tolist() == [0, 85, 255]
    with pytest.raises(Unreadable, match="flat_image"):
        apply_recipe("chexpert", -stored, counts, bits_stored=12, monochrome1=False)


@pytest.mark.parametrize("preset", RECIPES)
def test_recipes_ignore_rescale_window_and_presentation(write_dicom, preset):
    plain = _read(write_dicom, PHANTOM, preset)
    tags = {"RescaleSlope": -2, "RescaleIntercept": 7, "PresentationLUTShape": "INVERSE"}
    dressed = _read(write_dicom, PHANTOM, preset, WindowCenter=9, WindowWidth=5, **tags)
    np.testing.assert_array_equal(plain.grey, dressed.grey)
    assert dressed.steps["modality"] == "none"
    assert dressed.steps["polarity"] == "kept"


def test_percentile_preset_ignores_the_window(write_dicom):
    image = _read(write_dicom, PHANTOM, "percentile", WindowCenter=2000, WindowWidth=100)
    low, high = np.percentile(PHANTOM, (0.5, 99.5))
    expected = np.clip((PHANTOM - low) / (high - low), 0, 1)
    np.testing.assert_allclose(image.grey, expected, atol=1e-6)
    assert "window_ignored" not in image.flags


@pytest.mark.parametrize("preset", RECIPES)
def test_recipes_refuse_colour(write_dicom, preset):
    grey = np.repeat((PHANTOM >> 4).astype(np.uint8)[..., None], 3, axis=2)
    tags = {"SamplesPerPixel": 3, "PlanarConfiguration": 0, "PhotometricInterpretation": "RGB"}
    path = write_dicom(grey, **tags)
    assert read_grey(path).steps["colour"] == "luma, channels equal"
    with pytest.raises(Unreadable, match=f"color_image.*{preset}"):
        read_grey(path, preset=preset)
