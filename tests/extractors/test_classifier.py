from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from metrics.intervals import auroc
from synth.errors import SynthError
from synth.extractors.classifier import (
    EMBEDDING,
    Classifier,
    fit_classifier,
    load_classifier,
    one_thread,
)
from synth.manifest import sha256_file
from synth.seeding import numpy_rng

FINDINGS = ("left_blob", "right_blob")
Floats = NDArray[np.float64]


def _blobs(count: int, seed: int) -> tuple[Tensor, Floats]:
    """Noisy 32-pixel images with a bright square on the left, the right, both or neither side."""
    rng = numpy_rng("test", "blobs", seed)
    labels = (rng.random((count, 2)) < 0.4).astype(np.float64)
    images = rng.normal(100, 12, size=(count, 1, 32, 32))
    for image, row in zip(images, labels, strict=True):
        for side, present in enumerate(row):
            if present:
                top, left = int(rng.integers(8, 18)), int(rng.integers(2, 7)) + 17 * side
                image[0, top : top + 6, left : left + 6] += 45
    return torch.from_numpy(images.clip(0, 255).astype(np.uint8)), labels


def _quick(images: Tensor, labels: Floats, seed: int = 0, steps: int = 8) -> Classifier:
    return fit_classifier(
        images, labels, findings=FINDINGS, steps=steps, batch=16, seed=seed, image_size=32
    )


@pytest.fixture(scope="module")
def data() -> tuple[Tensor, Floats]:
    return _blobs(48, 0)


@pytest.fixture(scope="module")
def fitted(data: tuple[Tensor, Floats]) -> Classifier:
    return _quick(*data)


def test_a_side_sensitive_task_is_learned_in_seconds() -> None:
    images, labels = _blobs(300, 1)
    held_out, truth = _blobs(200, 2)
    start = time.process_time()
    judge = _quick(images, labels, steps=150)
    seconds = time.process_time() - start
    probabilities = judge.probabilities(held_out)
    for column in range(2):
        assert auroc(truth[:, column], probabilities[:, column]) > 0.95
        # The other side's square must not count: among images with exactly one, side decides.
        one = truth.sum(axis=1) == 1
        assert auroc(truth[one, column], probabilities[one, column]) > 0.95
    assert seconds < 10


def test_a_flipped_image_swaps_the_sides() -> None:
    images, labels = _blobs(300, 1)
    held_out, truth = _blobs(100, 2)
    judge = _quick(images, labels, steps=150)
    mirrored = judge.probabilities(held_out.flip(3))
    assert auroc(truth[:, 0], mirrored[:, 1]) > 0.9


def test_one_seed_gives_one_classifier(data: tuple[Tensor, Floats], fitted: Classifier) -> None:
    torch.manual_seed(123)  # the global state has no say
    state = torch.random.get_rng_state()
    again = _quick(*data)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert again.weights_sha256 == fitted.weights_sha256
    assert again.id == fitted.id
    assert len({_quick(*data, steps=1).weights_sha256 for _ in range(6)}) == 1
    assert _quick(*data, seed=1).weights_sha256 != fitted.weights_sha256


def test_masked_labels_have_no_influence(data: tuple[Tensor, Floats]) -> None:
    images, labels = data
    masked = numpy_rng("test", "mask").random(labels.shape) < 0.3
    hashes = set()
    for filler in (-1.0, np.nan, -2.0):
        hashes.add(_quick(images, np.where(masked, filler, labels)).weights_sha256)
    assert len(hashes) == 1
    assert _quick(images, np.where(masked, 0.0, labels)).weights_sha256 not in hashes


def test_a_finding_without_any_label_is_no_obstacle(data: tuple[Tensor, Floats]) -> None:
    images, labels = data
    known = labels.copy()
    known[:, 1] = np.nan
    assert np.isfinite(_quick(images, known).probabilities(images)).all()


def test_a_saved_classifier_gives_the_same_probabilities(
    data: tuple[Tensor, Floats], fitted: Classifier, tmp_path: Path
) -> None:
    images, _ = data
    path = tmp_path / "judge" / "weights.safetensors"
    fitted.save(path)
    loaded = load_classifier(path)
    assert np.array_equal(loaded.probabilities(images), fitted.probabilities(images))
    assert loaded.findings == FINDINGS
    assert loaded.weights_sha256 == fitted.weights_sha256 == sha256_file(path)
    assert loaded.id == fitted.id


def test_probabilities_are_of_single_images(
    data: tuple[Tensor, Floats], fitted: Classifier
) -> None:
    images, _ = data
    whole = fitted.probabilities(images)
    assert whole.shape == (48, 2)
    assert whole.dtype == np.float32
    assert ((whole >= 0) & (whole <= 1)).all()
    alone = np.concatenate([fitted.probabilities(image[None]) for image in images[:5]])
    assert alone == pytest.approx(whole[:5], abs=1e-5)
    grey_thrice = fitted.probabilities(images.repeat(1, 3, 1, 1))
    assert grey_thrice == pytest.approx(whole, abs=1e-6)


def test_it_is_an_extractor(data: tuple[Tensor, Floats], fitted: Classifier) -> None:
    features = fitted.features(data[0])
    assert features.shape == (48, EMBEDDING)
    assert features.dtype == np.float32
    assert fitted.id == f"classifier-{fitted.weights_sha256[:12]}@32"
    assert "32 px" in fitted.preprocessing


def test_a_comma_in_a_finding_survives(data: tuple[Tensor, Floats], tmp_path: Path) -> None:
    names = ("mass, left", "mass, right")
    judge = fit_classifier(*data, findings=names, steps=1, batch=8, image_size=32)
    judge.save(tmp_path / "w.safetensors")
    assert load_classifier(tmp_path / "w.safetensors").findings == names


@pytest.mark.parametrize("value", [0.0, 1.0, np.nan, -1.0])
def test_without_both_classes_there_is_nothing_to_learn(
    data: tuple[Tensor, Floats], value: float
) -> None:
    images, labels = data
    with pytest.raises(SynthError, match="no finding has both a positive and a negative"):
        _quick(images, np.full_like(labels, value))


def test_wrong_shapes_and_types_are_refused(data: tuple[Tensor, Floats]) -> None:
    images, labels = data
    with pytest.raises(SynthError, match=r"labels do not fit .*got \(47, 2\); expected \(48, 2\)"):
        _quick(images, labels[:-1])
    with pytest.raises(SynthError, match=r"labels do not fit .*got \(48, 1\)"):
        _quick(images, labels[:, :1])
    with pytest.raises(SynthError, match=r"8-bit images \(got float32"):
        _quick(images.float(), labels)
    with pytest.raises(SynthError, match=r"8-bit images"):
        _quick(images[:, 0], labels)


def test_a_file_that_is_no_classifier_is_refused(tmp_path: Path) -> None:
    missing = tmp_path / "missing.safetensors"
    text = tmp_path / "text.safetensors"
    text.write_text("not weights")
    other = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(2)}, other)
    named = tmp_path / "named.safetensors"
    facts = {"classifier": '{"findings": ["a"], "image_size": 32}'}
    save_file({"weight": torch.zeros(2)}, named, metadata=facts)
    broken = tmp_path / "broken.safetensors"
    save_file({"weight": torch.zeros(2)}, broken, metadata={"classifier": "{"})
    for path in (missing, text, other, named, broken):
        with pytest.raises(SynthError, match="not a saved classifier"):
            load_classifier(path)


def test_one_thread_gives_the_threads_back() -> None:
    before = torch.get_num_threads()
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_features_have_unit_variance_on_the_training_images(
    data: tuple[Tensor, Floats], fitted: Classifier
) -> None:
    features = fitted.features(data[0])
    np.testing.assert_allclose(features.mean(axis=0), 0.0, atol=1e-4)
    assert np.mean(features**2) == pytest.approx(1.0, rel=1e-3)
