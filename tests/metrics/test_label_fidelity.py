from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats

from metrics.finding_auroc import finding_table
from metrics.ingest import ImageSet
from metrics.label_fidelity import detection_thresholds, difference_to_ceiling, label_fidelity
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
    asked = np.arange(140) % 2
    shown = label_fidelity(judge, synthetic=_set(asked, asked, 1), real=_set(asked, asked, 2))
    blank = label_fidelity(judge, synthetic=_set(asked, 0 * asked, 1), real=_set(asked, asked, 2))
    assert shown["findings"]["spot"]["detected"] > 0.95
    assert shown["findings"]["spot"]["real_detected"] > 0.95
    assert blank["findings"]["spot"]["detected"] < 0.25
    low, high = blank["findings"]["spot"]["detected_ci"]
    assert low <= blank["findings"]["spot"]["detected"] <= high < 0.6
    few = np.arange(80) % 2  # forty real images without it: a threshold, and no interval
    found = label_fidelity(judge, synthetic=_set(few, few, 1), real=_set(few, few, 2))
    assert found["findings"]["spot"]["detected"] > 0.95
    assert found["findings"]["spot"]["detected_ci"] is None


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


def test_each_finding_has_its_difference_to_the_ceiling(judge: Classifier) -> None:
    asked = np.arange(80) % 2
    shown = label_fidelity(judge, synthetic=_set(asked, asked, 1), real=_set(asked, asked, 2))
    blank = label_fidelity(judge, synthetic=_set(asked, 0 * asked, 1), real=_set(asked, asked, 2))
    same, worse = shown["findings"]["spot"], blank["findings"]["spot"]
    assert same["p_holm"] > 0.5
    assert same["difference_ci"][0] <= 0 <= same["difference_ci"][1]
    assert worse["difference"] == pytest.approx(worse["auroc"] - worse["real_auroc"])
    assert worse["difference_ci"][1] < -0.2
    assert worse["p_holm"] < 1e-4
    assert blank["macro"]["difference_ci"][1] < -0.2


def test_p_agrees_with_the_interval_and_perfect_separation_is_not_certain() -> None:
    row = {"auroc": 0.7, "ci": [0.6, 0.8], "real_auroc": 0.9, "real_ci": [0.84, 0.95]}
    found = difference_to_ceiling(row)
    below, above = np.hypot(0.1, 0.05), np.hypot(0.1, 0.06)
    assert found["difference_ci"] == pytest.approx([-0.2 - below, -0.2 + above])
    assert found["p"] == pytest.approx(2 * stats.norm.sf(1.959964 * 0.2 / above), rel=1e-5)
    touching = row | {"ci": [0.6, 0.7 + np.sqrt(0.2**2 - 0.06**2)]}
    assert difference_to_ceiling(touching)["p"] == pytest.approx(0.05)
    perfect = row | {"auroc": 1.0, "ci": [0.9, 1.0], "real_auroc": 1.0, "real_ci": [0.8, 1.0]}
    assert difference_to_ceiling(perfect)["p"] == 1.0
    assert difference_to_ceiling(perfect)["difference_ci"] == pytest.approx([-0.1, 0.2])
    assert difference_to_ceiling(row | {"ci": None})["difference_ci"] is None
    assert difference_to_ceiling(row | {"auroc": None})["difference"] is None


def test_the_difference_is_covered_where_patients_hold_several_images() -> None:
    """Synthetic images stand alone, real ones come in threes; both areas are Φ(d / √2)."""
    covered, naive = 0, 0
    for seed in range(200):
        stream = np.random.default_rng(seed)
        asked, truth = np.arange(120.0) % 2, np.repeat(np.arange(40.0) % 2, 3)
        made = asked + stream.standard_normal(120)
        person = np.repeat(stream.standard_normal(40), 3)
        real = 1.5 * truth + np.sqrt(0.8) * person + np.sqrt(0.2) * stream.standard_normal(120)
        patients = [str(index // 3) for index in range(120)]
        expected = stats.norm.cdf(1 / np.sqrt(2)) - stats.norm.cdf(1.5 / np.sqrt(2))
        for groups in (patients, None):
            row = finding_table(made[:, None], asked[:, None], ("spot",))["spot"]
            ceiling = finding_table(real[:, None], truth[:, None], ("spot",), groups)["spot"]
            both = row | {f"real_{key}": value for key, value in ceiling.items()}
            low, high = difference_to_ceiling(both)["difference_ci"]
            inside = low <= expected <= high
            covered += inside and groups is not None
            naive += inside and groups is None
    assert covered >= 184
    assert naive < covered


def test_a_finding_of_one_patient_has_a_value_and_no_interval() -> None:
    scores, truth = np.arange(6.0)[:, None], np.array([[0.0], [0], [0], [1], [1], [1]])
    row = finding_table(scores, truth, ("spot",), ["a", "b", "c", "d", "d", "d"])["spot"]
    assert row["auroc"] == 1.0
    assert row["ci"] is None
