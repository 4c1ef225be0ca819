from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from metrics.reconstruction import psnr, reconstructed, reconstruction_psnr
from synth.config.schema import ModelSection
from synth.families import load_family


def test_grey_images_pass_through_a_model_of_three_channels(tiny_pipeline: Path) -> None:
    family = load_family(
        ModelSection(weights=str(tiny_pipeline)), device=torch.device("cpu"), dtype=torch.float32
    )
    images = torch.from_numpy(
        np.random.default_rng(0).integers(0, 256, (5, 1, 32, 32), dtype=np.uint8)
    )
    back = reconstructed(family, images, batch=2)
    assert back.shape == images.shape
    assert back.dtype == torch.uint8
    found = reconstruction_psnr(family, images, groups=list("aabbc"), resamples=100, seed=0)
    assert found.value == np.mean(psnr(images, back))
    assert found.ci is not None
    assert found.ci[0] <= found.value <= found.ci[1]
