"""Checks of an extractor, and extractors that must fail them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from metrics.extractor_check import DAMAGES, check_extractor, checked
from metrics.ingest import ImageSet, open_images
from synth.errors import SynthError
from synth.extractors.network import network_extractor
from synth.extractors.preprocess import Preprocess
from synth.extractors.random_conv import RandomConvExtractor


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Textured blobs, 30 images of 64 pixels."""
    path, rng = tmp_path_factory.mktemp("textured"), np.random.default_rng(0)
    for index in range(30):
        coarse = Image.fromarray(rng.random((6, 6)).astype(np.float32))
        smooth = np.asarray(coarse.resize((64, 64), Image.Resampling.BICUBIC)).clip(0, 1)
        textured = 255 * (0.1 + 0.6 * smooth) + rng.normal(size=(64, 64)) * 12
        image = Image.fromarray(textured.clip(0, 255).round().astype(np.uint8))
        image.save(path / f"{index}.png")
    return path


@pytest.fixture(scope="module")
def images(folder: Path) -> ImageSet:
    return open_images(folder, 64)


def states(extractor: object, images: ImageSet) -> dict[str, str]:
    return {item.check: item.state for item in checked(extractor, images)}  # type: ignore[arg-type]


def test_random_conv_passes(folder: Path) -> None:
    found = check_extractor("random-conv", folder)
    assert {item.state for item in found} == {"passes", "note"}
    assert len(found) == 4 + len(DAMAGES)


@dataclass(frozen=True)
class Broken:
    """Random convolutions with one thing wrong."""

    wrong: str

    name = "broken"
    id = "broken@64"
    weights_sha256 = ""
    preprocessing = "none"
    dim = 128

    def __call__(self, image_u8: Tensor) -> Tensor:
        found = RandomConvExtractor()(image_u8)
        if self.wrong == "batch":
            return found - found.mean(dim=0)
        if self.wrong == "dead":
            return found * (torch.arange(128) < 8)
        return found


@pytest.mark.parametrize(
    ("wrong", "check"),
    [
        ("batch", "batch size does not matter"),
        ("dead", "features"),
    ],
)
def test_a_broken_extractor_fails(images: ImageSet, wrong: str, check: str) -> None:
    assert states(Broken(wrong), images)[check] == "fails"
    assert states(Broken(""), images)[check] == "passes"


def test_an_extractor_blind_to_detail_does_not_see_blur(images: ImageSet) -> None:
    network = network_extractor(
        "blind",
        "blind",
        lambda pixels: (pixels.mean(dim=(2, 3)) * 3).round().repeat(1, 4) + 1e-3 * torch.ones(1, 4),
        weights_sha256="00",
        preprocess=Preprocess(16, channels=1),
        output="mean",
    )
    found = states(network, images)
    assert found["sees blur"] == "fails"
    assert found["sees lost contrast"] == "fails"
    assert found["reads files at their own depth"] == "note"


def test_dark_images_fail_the_range(images: ImageSet) -> None:
    dark = replace(images, image_u8=images.image_u8 // 16)
    assert states(RandomConvExtractor(), dark)["range of the images"] == "fails"


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_grows_and_keeps_bytes(images: ImageSet, name: str) -> None:
    clean = images.image_u8.float()
    gaps = [
        (DAMAGES[name](images.image_u8, severity).float() - clean).square().mean().item()
        for severity in (1, 2, 3, 4)
    ]
    assert gaps == sorted(gaps)
    assert gaps[0] > 0
    assert DAMAGES[name](images.image_u8, 4).dtype == torch.uint8


def test_too_few_images_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(SynthError, match="too few images"):
        check_extractor("pixel", tmp_path)
