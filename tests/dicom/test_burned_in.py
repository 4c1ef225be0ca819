"""Rendered text on phantom radiographs against the same radiographs without it."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from synth.data.phantom.population import draw_patient
from synth.data.phantom.render import render
from synth.dicom import read_grey
from synth.dicom.burned_in import has_text

SIZES = (256, 512)
LINES = ("DOE JANE 19610203", "MRN 77001234", "ST ELSEWHERE", "Acc 5512345 AP 10:32")


@pytest.fixture(scope="module")
def phantoms():
    return [render(draw_patient(5, n).studies[0], size) for size in SIZES for n in range(10)]


def burn(grey, text, height, place, fill, box=None):
    image = Image.fromarray(grey)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(height)
    if box is not None:
        draw.rectangle(draw.textbbox(place, text, font=font), fill=box)
    draw.text(place, text, fill=fill, font=font)
    return np.asarray(image)


def corner(number, side, height):
    low = side - 1.6 * height
    return ((6, 6), (side * 0.45, 6), (6, low), (side * 0.4, low))[number % 4]


def test_no_false_alarm_without_text(phantoms):
    rng = np.random.default_rng(0)
    for image in phantoms:
        assert not has_text(image)
        for noise in (0.01, 0.04, 0.2):  # the last is as loud as anatomy
            grainy = np.clip(image + rng.normal(0, noise, image.shape), 0, 1).astype(np.float32)
            assert not has_text(grainy)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_a_collimator_is_not_text(phantoms, level):
    for image in phantoms:
        edge = image.shape[0] // 9
        shut = image.copy()
        shut[:edge] = shut[:, :edge] = shut[-edge // 2 :] = level
        assert not has_text(shut)


def test_a_side_marker_is_not_text(phantoms):
    for image in phantoms:
        side = image.shape[0]
        for marker in ("R", "L", "PA"):
            assert not has_text(burn(image, marker, side // 20, (side * 0.08, side * 0.1), 0.95))


@pytest.mark.parametrize("height", [12, 18])
@pytest.mark.parametrize(("fill", "box"), [(1.0, None), (1.0, 0.0), (0.0, 1.0)])
def test_lines_of_text_are_found(phantoms, height, fill, box):
    found = [
        has_text(burn(image, LINES[n % 4], height, corner(n, image.shape[0], height), fill, box))
        for n, image in enumerate(phantoms)
    ]
    assert sum(found) >= 0.9 * len(found)


def test_large_images_are_searched_too():
    image = np.full((2600, 2200), 0.4, np.float32)
    assert not has_text(image)
    assert has_text(burn(image, LINES[0], 42, (100, 120), 1.0))


def test_text_in_the_middle_is_left_to_the_anatomy():
    image = np.full((600, 600), 0.4, np.float32)
    assert not has_text(burn(image, LINES[1], 18, (230, 290), 1.0))


def test_reading_records_and_flags_it(write_dicom, phantoms):
    image = burn(phantoms[-1], LINES[0], 18, (8, 8), 1.0)
    path = write_dicom((image * 4095).astype(np.uint16), BitsStored=12, HighBit=11)
    read = read_grey(path)
    assert "burned_in_text" in read.flags
    assert read.steps["text"] == "suspected by the pixels"
    assert read_grey(path, preset="mimic-cxr-jpg").steps["text"] == "suspected by the pixels"
