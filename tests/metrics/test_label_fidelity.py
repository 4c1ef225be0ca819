from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from metrics.ingest import ImageSet
from metrics.label_fidelity import detection_thresholds, label_fidelity
from synth.extractors.classifier import Classifier, fit_classifier


def test_thresholds_let_five_percent_of_real_images_without_it_pass() -> None:
    scores = np.linspace(0, 1, 200)[:, None]
    truth = np.zeros((200, 1))
    threshold = detection_thresholds(scores, truth)
    assert (scores > threshold).mean() == pytest.approx(0.05)


def test_a_finding_with_few_denials_has_no_threshold() -> None:
    truth = np.r_[np.zeros(19), np.ones(30), np.full(30, np.nan)][:, None]
    assert np.isnan(detection_thresholds(np.random.default_rng(0).random((79, 1)), truth)).all()


@pytest.fixture(scope="module")
def judge() -> Classifier:
    images, truth = _images(np.arange(96) % 2, seed=0)
    return fit_classifier(
        images, truth[:, None], findings=("spot",), steps=40, batch=16, image_size=32
    )


def test_what_is_not_shown_is_not_detected(judge: Classifier) -> None:
    asked = np.arange(80) % 2
    shown = label_fidelity(judge, synthetic=_set(asked, asked, 1), real=_set(asked, asked, 2))
    blank = label_fidelity(judge, synthetic=_set(asked, 0 * asked, 1), real=_set(asked, asked, 2))
    assert shown["findings"]["spot"]["detected"] > 0.95
    assert shown["findings"]["spot"]["real_detected"] > 0.95
    assert blank["findings"]["spot"]["detected"] < 0.25
    low, high = blank["findings"]["spot"]["detected_ci"]
    assert low <= blank["findings"]["spot"]["detected"] <= high < 0.5


def _images(present: NDArray[np.int_], seed: int) -> tuple[torch.Tensor, NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 90, size=(len(present), 1, 32, 32), dtype=np.uint8)
    images[present == 1, :, 8:16, 8:16] += 120
    return torch.from_numpy(images), present.astype(np.float64)


def _set(asked: NDArray[np.int_], shown: NDArray[np.int_], seed: int) -> ImageSet:
    names = tuple(f"{seed}-{index}" for index in range(len(asked)))
    images, _ = _images(shown, seed)
    labels = asked.astype(np.float64)[:, None]
    return ImageSet(Path("set"), names, names, images, names, ("spot",), labels)
