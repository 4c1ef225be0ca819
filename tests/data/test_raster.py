import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from synth.data.raster import read_raster
from synth.dicom import PRESETS, DecodeLimits, Unreadable
from synth.images import grey_to_u8

LIMITS = DecodeLimits()
GREY = (np.add.outer(np.arange(64) * 3, np.arange(48)) % 256).astype(np.uint8)
DEEP = (GREY.astype(np.uint16) * 16) + 5  # 12 bits in 16


def save(path, image, **options):
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)
    return path


def code_of(path, limits=LIMITS):
    with pytest.raises(Unreadable) as refusal:
        read_raster(path, limits)
    assert refusal.value.where == str(path)
    return refusal.value.code


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "webp", "gif"])
def test_8_bit_files_keep_their_values_under_every_preset(tmp_path, suffix, preset):
    options = {"lossless": True} if suffix == "webp" else {}
    image = read_raster(save(tmp_path / f"x.{suffix}", GREY, **options), LIMITS, preset)
    np.testing.assert_array_equal(grey_to_u8(image.grey), GREY)
    assert image.steps["preset"] == preset
    assert image.steps["voi"] == "none"
    assert image.flags == ()
    assert image.facts["BitsStored"] == 8


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_12_bits_in_16_do_not_go_white(tmp_path, suffix):
    image = read_raster(save(tmp_path / f"x.{suffix}", DEEP), LIMITS, "mimic-cxr-jpg")
    low, high = np.percentile(DEEP, (0.5, 99.5))
    expected = np.clip((DEEP - low) / (high - low), 0, 1)
    np.testing.assert_allclose(image.grey, expected, atol=1e-6)
    assert image.grey.mean() < 0.7
    assert image.steps["voi"] == "percentiles 0.5 to 99.5"
    assert image.facts["BitsStored"] == 16


def test_floats_are_stretched_and_must_be_finite(tmp_path):
    values = (GREY / 7.0 - 3).astype(np.float32)
    image = read_raster(save(tmp_path / "x.tif", values), LIMITS)
    low, high = np.percentile(values, (0.5, 99.5))
    np.testing.assert_allclose(image.grey, np.clip((values - low) / (high - low), 0, 1), atol=1e-5)
    for bad in (np.nan, np.inf):
        values[3, 3] = bad
        assert code_of(save(tmp_path / "y.tif", values)) == "non_finite"


def test_jpeg_keeps_its_decoded_values(tmp_path):
    path = save(tmp_path / "x.jpg", GREY, quality=90, progressive=True)
    decoded = np.asarray(Image.open(path))
    np.testing.assert_array_equal(grey_to_u8(read_raster(path, LIMITS).grey), decoded)


def test_equal_channels_and_opaque_alpha_are_grey(tmp_path):
    rgb = Image.fromarray(GREY).convert("RGB")
    for mode in ("RGB", "RGBA", "LA"):
        image = read_raster(save(tmp_path / f"{mode}.png", rgb.convert(mode)), LIMITS)
        np.testing.assert_array_equal(grey_to_u8(image.grey), GREY)
        assert image.steps["colour"] == "luma, channels equal"
    palette = Image.fromarray(GREY).convert("P")
    np.testing.assert_array_equal(
        grey_to_u8(read_raster(save(tmp_path / "p.png", palette), LIMITS).grey), GREY
    )


def test_colour_and_transparency_are_refused(tmp_path):
    colour = np.stack([GREY, GREY // 2, GREY // 4], axis=2)
    assert code_of(save(tmp_path / "c.png", colour)) == "color_image"
    rgba = Image.fromarray(GREY).convert("RGBA")
    rgba.putpixel((3, 3), (9, 9, 9, 100))
    assert code_of(save(tmp_path / "a.png", rgba)) == "unsupported_format"
    marked = np.repeat(GREY[..., None], 3, axis=2)
    marked[:2, :30] = 255, 0, 0
    assert "colour_overlay" in read_raster(save(tmp_path / "m.png", marked), LIMITS).flags


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_exif_orientation_is_applied_once(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = read_raster(save(tmp_path / "x.png", GREY, exif=exif.tobytes()), LIMITS)
    turned = {
        1: GREY,
        2: GREY[:, ::-1],
        3: GREY[::-1, ::-1],
        4: GREY[::-1],
        5: GREY.T,
        6: GREY[::-1].T,
        7: GREY[::-1, ::-1].T,
        8: GREY.T[::-1],
    }[orientation]
    np.testing.assert_array_equal(grey_to_u8(image.grey), turned)
    said = "kept" if orientation == 1 else f"EXIF orientation {orientation} applied"
    assert image.steps["geometry"] == said


def test_animations_pages_and_cmyk_are_refused(tmp_path):
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    more = {"save_all": True, "append_images": frames[1:]}
    for name in ("x.gif", "x.tif", "x.webp", "x.png"):
        assert code_of(save(tmp_path / name, frames[0], **more)) == "unsupported_format"
    assert code_of(save(tmp_path / "x.jpg", frames[0].convert("CMYK"))) == "unsupported_format"


def test_a_name_that_lies_is_flagged(tmp_path):
    path = save(tmp_path / "x.png", GREY)
    lying = path.rename(tmp_path / "x.jpg")
    assert "extension_mismatch" in read_raster(lying, LIMITS).flags
    bare = lying.rename(tmp_path / "x")
    assert read_raster(bare, LIMITS).flags == ()


def test_damaged_files(tmp_path):
    png = save(tmp_path / "x.png", GREY).read_bytes()
    jpg = save(tmp_path / "x.jpg", GREY).read_bytes()
    broken = bytearray(png)
    broken[png.index(b"IDAT") + 20] ^= 0xFF
    cases = {
        "cut.png": (png[: len(png) // 2], "truncated_image"),
        "cut.jpg": (jpg[: len(jpg) // 2], "truncated_image"),
        "crc.png": (bytes(broken), "corrupt_image"),
        "text.png": (b"hello" * 50, "corrupt_image"),
        "pdf.png": (b"%PDF-1.4" * 20, "corrupt_image"),
    }
    for name, (content, code) in cases.items():
        (tmp_path / name).write_bytes(content)
        assert code_of(tmp_path / name) == code, name
    assert code_of(tmp_path / "missing.png") == "io_error"
    assert code_of(save(tmp_path / "flat.png", np.full((9, 9), 7, np.uint8))) == "flat_image"


def test_a_bomb_is_refused_before_decoding(tmp_path):
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 20000, 20000, 8, 0, 0, 0, 0)
    content = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    )
    (tmp_path / "bomb.png").write_bytes(content)
    assert code_of(tmp_path / "bomb.png") == "too_large"
    small = DecodeLimits(pixels=GREY.size - 1)
    assert code_of(save(tmp_path / "x.png", GREY), small) == "too_large"


def test_steps_and_facts_have_the_keys_of_dicom(tmp_path):
    from pydicom.data import get_testdata_file

    from synth.dicom import read_grey

    dicom = read_grey(tmp_path.__class__(get_testdata_file("MR_small.dcm")))
    raster = read_raster(save(tmp_path / "x.png", GREY), LIMITS)
    assert set(raster.steps) == set(dicom.steps)
    assert set(raster.facts) == set(dicom.facts)


def test_mutated_files_are_read_or_refused(tmp_path):
    rng = np.random.default_rng(0)
    sources = []
    for kind in ("PNG", "JPEG", "TIFF", "GIF", "BMP", "WEBP"):
        buffer = io.BytesIO()
        Image.fromarray(GREY).save(buffer, format=kind)
        sources.append(buffer.getvalue())
    path, outcomes = tmp_path / "mutated", set()
    for number in range(300):
        content = bytearray(sources[number % len(sources)])
        for _ in range(int(rng.integers(1, 10))):
            content[int(rng.integers(len(content)))] = int(rng.integers(256))
        path.write_bytes(content)
        try:
            assert np.isfinite(read_raster(path, LIMITS).grey).all()
            outcomes.add("ok")
        except Unreadable as refusal:
            outcomes.add(refusal.code)
    assert {"ok", "corrupt_image"} <= outcomes
