from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from metrics.frechet import frechet_distance
from synth.errors import SynthError
from synth.extractors import EXTRACTORS
from synth.extractors.base import Extractor, grey_input, in_batches
from synth.extractors.pixel import PixelExtractor
from synth.extractors.random_conv import RandomConvExtractor
from synth.seeding import torch_generator

NAMES = ("pixel", "random-conv")


def _images(count: int, size: int = 40, channels: int = 1, seed: int = 0) -> Tensor:
    """Smooth blobs: neighbouring pixels belong together as in a radiograph."""
    coarse = torch.rand((count, channels, 6, 6), generator=torch_generator("blobs", seed))
    smooth = F.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=False)
    return (smooth.clamp(0, 1) * 255).round().to(torch.uint8)


def _make(name: str) -> Extractor:
    extractor: Extractor = EXTRACTORS.get(name)()
    return extractor


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [1, 3])
def test_bytes_in_float32_rows_out(name: str, channels: int) -> None:
    extractor = _make(name)
    features = extractor(_images(5, channels=channels))
    assert features.shape == (5, extractor.dim)
    assert features.dtype == torch.float32
    assert torch.isfinite(features).all()
    assert not features.requires_grad


@pytest.mark.parametrize("name", NAMES)
def test_grey_equals_grey_three_times(name: str) -> None:
    images = _images(4)
    extractor = _make(name)
    assert torch.equal(extractor(images), extractor(images.repeat(1, 3, 1, 1)))
    assert torch.equal(extractor(images), in_batches(extractor, images))


@pytest.mark.parametrize("name", NAMES)
def test_batch_size_does_not_matter(name: str) -> None:
    images = _images(11)
    extractor = _make(name)
    whole = in_batches(extractor, images, batch=64)
    for batch in (1, 4):
        parts = in_batches(extractor, images, batch=batch)
        torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_the_id_names_the_resize(name: str) -> None:
    extractor = _make(name)
    size = extractor.id.split("@")[1]
    assert extractor.name == name
    assert extractor.id.startswith(name)
    assert f"antialiased bilinear to {size} px" in extractor.preprocessing


def test_ids_differ_with_size_and_seed() -> None:
    assert PixelExtractor(16).id != PixelExtractor(8).id
    ids = {RandomConvExtractor(64, 0).id, RandomConvExtractor(32, 0).id, RandomConvExtractor(64).id}
    assert len(ids) == 2
    assert RandomConvExtractor(seed=1).id not in ids
    assert RandomConvExtractor(seed=1).weights_sha256 != RandomConvExtractor().weights_sha256


def test_pixels_at_their_own_size_are_the_image() -> None:
    image = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    expected = torch.arange(256) / 127.5 - 1
    assert torch.allclose(PixelExtractor(16)(image)[0], expected, atol=1e-6)


def test_a_resized_constant_stays_constant() -> None:
    grey = grey_input(torch.full((1, 3, 50, 70), 200, dtype=torch.uint8), 16)
    assert torch.allclose(grey, torch.tensor(200 / 127.5 - 1), atol=1e-5)


def test_shrinking_averages_instead_of_skipping() -> None:
    checkers = (torch.arange(64)[:, None] + torch.arange(64)) % 2 * 255
    grey = grey_input(checkers.to(torch.uint8).reshape(1, 1, 64, 64), 16)
    assert grey.abs().max() < 0.1  # mid grey; plain bilinear sampling would alias


def test_random_filters_are_the_same_in_every_call_and_instance() -> None:
    images = _images(3)
    first = RandomConvExtractor()
    assert torch.equal(first(images), first(images))
    assert torch.equal(first(images), RandomConvExtractor()(images))
    torch.manual_seed(99)
    other = RandomConvExtractor()
    assert torch.equal(first(images), other(images))
    assert first.weights_sha256 == other.weights_sha256
    # Frozen: a changed filter would make older scores incomparable without changing the id.
    assert first.weights_sha256.startswith("b450bd1c01f656a4")


@pytest.mark.parametrize("damage", ["blur", "noise"])
def test_random_conv_distance_grows_with_damage(damage: str) -> None:
    images = _images(300, size=64)
    texture = torch.randint(0, 60, images.shape, generator=torch_generator("texture"))
    images = (images.int() + texture).clamp(0, 255).to(torch.uint8)
    noise = torch.randn(images.shape, generator=torch_generator("noise"))
    extractor = RandomConvExtractor()
    clean = in_batches(extractor, images).numpy()
    distances = []
    for severity in range(4):
        if damage == "noise":
            changed = images.float() + 15 * severity * noise
        else:
            width = 2 * severity + 1
            padded = F.pad(images.float(), [severity] * 4, mode="reflect")
            changed = F.avg_pool2d(padded, width, stride=1)
        features = in_batches(extractor, changed.round().clamp(0, 255).to(torch.uint8))
        distances.append(frechet_distance(real=clean, synthetic=features.numpy()))
    assert distances[0] == pytest.approx(0.0, abs=1e-6)
    assert all(np.diff(distances) > 0), distances


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("images", "got"),
    [
        (torch.zeros(2, 1, 8, 8), r"float32 \[2, 1, 8, 8\]"),
        (torch.zeros(2, 2, 8, 8, dtype=torch.uint8), r"uint8 \[2, 2, 8, 8\]"),
        (torch.zeros(8, 8, 3, dtype=torch.uint8), r"uint8 \[8, 8, 3\]"),
        (torch.zeros(2, 1, 0, 8, dtype=torch.uint8), r"uint8 \[2, 1, 0, 8\]"),
        (torch.zeros(2, 1, 8, 8, dtype=torch.int16), r"int16 \[2, 1, 8, 8\]"),
    ],
)
def test_what_is_not_8_bit_images_is_refused(name: str, images: Tensor, got: str) -> None:
    with pytest.raises(SynthError, match=rf"8-bit images \(got {got}; expected uint8 \[N, 1 or 3"):
        _make(name)(images)


@pytest.mark.parametrize("shape", [(0, 1, 8, 8), (8, 8)])
def test_no_images_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(SynthError, match="no images to extract features from"):
        in_batches(PixelExtractor(), torch.zeros(shape, dtype=torch.uint8))
