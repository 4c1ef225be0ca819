from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from metrics.reconstruction import mean_over_patients, psnr, reconstructed, reconstruction_psnr
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
    found = reconstruction_psnr(family, images, groups=list("abcde"))
    values = psnr(images, back)
    assert found.value == np.mean(values)
    assert found.se == pytest.approx(stats.sem(values))
    assert found.ci == pytest.approx(
        stats.t.interval(0.95, 4, loc=values.mean(), scale=stats.sem(values))
    )
    few = reconstruction_psnr(family, images, groups=list("aabbc"))
    assert few.ci is None
    assert "too few patients" in few.note


def test_images_of_one_patient_are_one_patient() -> None:
    values = np.random.default_rng(1).normal(size=8)
    alone = mean_over_patients(values, None)
    repeated = mean_over_patients(np.repeat(values, 4), [str(row // 4) for row in range(32)])
    assert repeated.value == pytest.approx(alone.value)
    assert repeated.ci == pytest.approx(alone.ci)
