import numpy as np
import pytest

from synth.dicom import Unreadable, read_grey
from synth.dicom.colour import coloured_share, luma_of

GREY = np.repeat((np.arange(4096) % 256).astype(np.uint8).reshape(64, 64)[..., None], 3, axis=2)
RGB = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}


def test_equal_channels_are_their_grey(write_dicom):
    for planar, data in ((0, GREY), (1, np.moveaxis(GREY, 2, 0))):
        path = write_dicom(
            GREY, **RGB | {"PlanarConfiguration": planar, "PixelData": data.tobytes()}
        )
        image = read_grey(path)
        np.testing.assert_allclose(image.grey, GREY[..., 0] / 255, atol=1e-6)
        assert image.steps["colour"] == "luma, channels equal"
        assert "colour_overlay" not in image.flags


def test_a_few_coloured_marks_are_accepted_and_flagged(write_dicom):
    marked = GREY.copy()
    marked[:2, :40] = 255, 0, 0  # 80 of 4096 pixels
    image = read_grey(write_dicom(marked, **RGB))
    assert "colour_overlay" in image.flags
    assert image.steps["colour"] == "luma, 2 % coloured"
    np.testing.assert_allclose(image.grey[:2, :40], 0.299, atol=1e-6)  # Rec. 601


def test_colour_is_refused_with_its_share(write_dicom):
    colour = GREY.copy()
    colour[:32, :, 2] //= 2
    with pytest.raises(Unreadable, match=r"color_image: 4\d\.\d % of the pixels are coloured"):
        read_grey(write_dicom(colour, **RGB))


def test_ybr_with_flat_chroma_is_grey(write_dicom):
    ybr = GREY.copy()
    ybr[..., 1:] = 128
    image = read_grey(write_dicom(ybr, **RGB | {"PhotometricInterpretation": "YBR_FULL"}))
    np.testing.assert_allclose(image.grey, GREY[..., 0] / 255, atol=1 / 255)


@pytest.mark.parametrize("tint", [0, 9000])
def test_palettes(write_dicom, tint):
    steps = (np.arange(256) * 257).astype("<u2")
    red = np.minimum(steps.astype(int) + tint, 65535).astype("<u2")
    tags = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name, table in (("Red", red), ("Green", steps), ("Blue", steps)):
        tags[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        tags[f"{name}PaletteColorLookupTableData"] = table.tobytes()
    path = write_dicom(GREY[..., 0].copy(), **tags)
    if tint:
        with pytest.raises(Unreadable, match="color_image"):
            read_grey(path)
    else:
        np.testing.assert_allclose(read_grey(path).grey, GREY[..., 0] / 255, atol=1e-6)


def test_chroma_noise_of_a_lossy_codec_is_not_colour():
    noise = np.random.default_rng(0).integers(-5, 6, GREY.shape)
    noisy = np.clip(GREY.astype(int) + noise, 0, 255).astype(np.uint8)
    assert coloured_share(noisy, 255) == 0
    deep, share = luma_of(GREY.astype(np.uint16) * 257, 65535)
    assert share == 0
    np.testing.assert_allclose(deep, GREY[..., 0] / 255, atol=1e-6)
