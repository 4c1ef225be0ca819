from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.random import RandomState
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

from metrics import ms_ssim_diversity
from metrics.records import Floor
from synth.errors import SynthError


def test_copies_of_one_image_are_wholly_alike() -> None:
    image = RandomState(0).rand(1, 32, 32)
    found = ms_ssim_diversity(synthetic=np.repeat(image, 30, axis=0), pairs=20)
    assert found.value == pytest.approx(1.0, abs=1e-5)
    assert found.details["scales"] == 2


def test_two_images_give_the_reference_value() -> None:
    one, two = RandomState(1).rand(2, 1, 176, 176).astype(np.float32)
    two = 0.7 * one + 0.3 * two
    expected = multiscale_structural_similarity_index_measure(
        torch.tensor(one[None]), torch.tensor(two[None]), data_range=1.0, normalize="relu"
    )
    found = ms_ssim_diversity(synthetic=np.stack([one, two]), pairs=1)
    assert found.details["scales"] == 5
    assert found.value == pytest.approx(float(expected), rel=1e-4)
    assert found.ci is None


def test_pairs_stay_within_a_label() -> None:
    """Two labels of two constant-looking kinds: across labels nothing is alike."""
    stream = RandomState(2)
    kinds = stream.rand(2, 24, 24)
    images = kinds[[0, 1] * 12]
    labels = ["effusion", "clear"] * 12
    assert ms_ssim_diversity(synthetic=images, labels=labels, pairs=60).value == pytest.approx(1)
    assert (ms_ssim_diversity(synthetic=images, pairs=60).value or 1) < 0.8


def test_a_repeating_generator_stands_above_the_real_set() -> None:
    stream = RandomState(3)
    real = stream.rand(40, 24, 24)
    made = 0.8 * real[:1] + 0.2 * stream.rand(40, 24, 24)
    found = ms_ssim_diversity(synthetic=made, real=real, pairs=80)
    assert found.details["difference"] > 10 * found.details["difference_se"]
    assert found.details["difference"] == pytest.approx((found.value or 0) - found.details["real"])
    assert found.ci is not None
    assert found.floor == Floor(found.details["real"], 40, found.value)
    assert found == ms_ssim_diversity(synthetic=torch.tensor(made), real=real, pairs=80)


def test_wrong_images_are_refused() -> None:
    good = np.zeros((4, 24, 24))
    with pytest.raises(SynthError, match=r"must lie in 0\.\.1"):
        ms_ssim_diversity(synthetic=good + 255)
    with pytest.raises(SynthError, match="sides of at least 22"):
        ms_ssim_diversity(synthetic=good[:, :16])
    with pytest.raises(SynthError, match="no label has two images"):
        ms_ssim_diversity(synthetic=good, labels=[1, 2, 3, 4])
    with pytest.raises(SynthError, match="one label an image"):
        ms_ssim_diversity(synthetic=good, labels=[1, 2])
    with pytest.raises(SynthError, match="differ in size"):
        ms_ssim_diversity(synthetic=good, real=np.zeros((4, 30, 30)))
