import numpy as np
import pytest
import torch
from PIL import Image

from synth.errors import SynthError
from synth.images import (
    fit_square,
    grey_to_u8,
    grid,
    load_grey,
    load_images_u8,
    save_png,
    to_image_u8,
    to_pixels,
)

LEVELS = np.arange(256, dtype=np.uint8).reshape(16, 16)


def test_all_256_levels_survive_models_range():
    levels = torch.from_numpy(LEVELS)
    pixels = to_pixels(levels)
    assert (float(pixels.min()), float(pixels.max())) == (-1.0, 1.0)
    assert torch.equal(to_image_u8(pixels), levels)


def test_pixels_out_of_range_are_clamped():
    assert to_image_u8(torch.tensor([-1.4, 1.4, 0.0])).tolist() == [0, 255, 128]


def test_all_256_levels_survive_a_file(tmp_path):
    save_png(tmp_path / "a.png", LEVELS)
    grey = load_grey(tmp_path / "a.png")
    assert grey.dtype == np.float32
    assert np.array_equal(grey_to_u8(grey), LEVELS)


def test_16_bit_files_are_read_whole_not_white(tmp_path):
    deep = np.linspace(0, 65535, 64, dtype=np.uint16).reshape(8, 8)
    save_png(tmp_path / "deep.png", deep)
    grey = load_grey(tmp_path / "deep.png")
    np.testing.assert_allclose(grey, deep / 65535, atol=1e-6)
    assert len(np.unique(grey)) == 64


def test_colour_is_weighted_and_alpha_dropped(tmp_path):
    red = np.zeros((4, 4, 4), dtype=np.uint8)
    red[..., 0], red[..., 3] = 255, 0
    Image.fromarray(red).save(tmp_path / "red.png")
    assert float(load_grey(tmp_path / "red.png").mean()) == pytest.approx(0.299, abs=0.003)


def test_text_travels_inside_the_file(tmp_path):
    save_png(tmp_path / "a.png", LEVELS, text={"Synthetic": "YES", "Note": "größer"})
    with Image.open(tmp_path / "a.png") as image:
        assert image.text == {"Synthetic": "YES", "Note": "größer"}


def test_a_written_file_is_what_was_returned_and_nothing_else_remains(tmp_path):
    content = save_png(tmp_path / "deep" / "a.png", LEVELS)
    assert (tmp_path / "deep" / "a.png").read_bytes() == content
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.png"]


@pytest.mark.parametrize("content", [b"", b"not an image", None])
def test_broken_files_are_errors_never_black_images(tmp_path, content):
    path = tmp_path / "x.png"
    whole = save_png(path, LEVELS)
    path.write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(SynthError, match=r"x\.png.*not a readable image"):
        load_images_u8([path], 8)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SynthError, match=r"gone\.png: image file is missing"):
        load_grey(tmp_path / "gone.png")


def test_wide_images_are_padded_not_squashed():
    wide = np.ones((10, 30), dtype=np.float32)
    square = fit_square(wide, 30)
    assert square.shape == (30, 30)
    assert float(square.sum()) == 300
    assert square[10:20].min() == 1
    assert square[:10].max() == 0


def test_shrinking_averages_and_does_not_skip_pixels():
    checks = np.indices((64, 64)).sum(axis=0) % 2
    small = fit_square(checks.astype(np.float32), 16)
    np.testing.assert_allclose(small[2:-2, 2:-2], 0.5, atol=0.02)


def test_batches_have_the_asked_channels(tmp_path):
    save_png(tmp_path / "a.png", LEVELS)
    batch = load_images_u8([tmp_path / "a.png"] * 2, 16, channels=3)
    assert batch.shape == (2, 3, 16, 16)
    assert batch.dtype == torch.uint8
    assert torch.equal(batch[0, 0], torch.from_numpy(LEVELS))
    assert torch.equal(batch[0, 0], batch[1, 2])


def test_a_grid_reads_row_by_row():
    tiles = np.stack([np.full((4, 4), level, dtype=np.uint8) for level in (10, 20, 30)])
    sheet = grid(tiles, 2, gap=1)
    assert sheet.shape == (9, 9)
    assert (sheet[0, 0], sheet[0, 5], sheet[5, 0], sheet[5, 5], sheet[4, 4]) == (
        10,
        20,
        30,
        128,
        128,
    )
