"""A transformers model in the arms of downstream utility."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metrics.ingest import ImageSet
from metrics.utility import downstream_utility
from metrics.utility_networks import NetworkTrainer, TunedNetwork, open_trainer
from metrics.utility_trainer import open_trainer as open_any
from synth.config.schema import UtilitySection
from synth.errors import SynthError

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random ResNet without an output layer, for 32-pixel images."""
    from transformers import ResNetConfig, ResNetModel

    path = tmp_path_factory.mktemp("resnet")
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        ResNetModel(config).save_pretrained(path)
    said = {"size": {"height": 32, "width": 32}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (path / "preprocessor_config.json").write_text(json.dumps(said))
    return path


def bright(prefix: str, seed: int, count: int = 48, *, flip: bool = False) -> ImageSet:
    truth = np.arange(count) % 2
    images = np.random.default_rng(seed).integers(0, 130, (count, 1, 32, 32), dtype=np.uint8)
    images[truth == 1, :, :16] += 80
    names = tuple(f"{prefix}{index}" for index in range(count))
    labels = ((1 - truth) if flip else truth).astype(np.float64)[:, None]
    return ImageSet(Path(prefix), names, names, torch.from_numpy(images), names, ("spot",), labels)


def fitted(trainer: NetworkTrainer, data: ImageSet, **changes: Any) -> Any:
    options: dict[str, Any] = {
        "findings": ("spot",),
        "steps": 30,
        "batch": 16,
        "learning_rate": 5e-3,
        "seed": 0,
        "validation": None,
    }
    return trainer.fit(data.image_u8, data.labels, **(options | changes))


def test_a_folder_of_a_network_trains_the_arms(folder: Path) -> None:
    found = downstream_utility(
        real=bright("t", 0),
        synthetic=bright("s", 2, flip=True),
        test=bright("h", 1, 60),
        findings=("spot",),
        settings=UtilitySection(
            steps=30,
            seeds=1,
            batch=16,
            arms=("real", "synthetic", "synthetic-then-real"),
            learning_rates=(5e-3,),
            network=str(folder),
        ),
        image_size=80,
        resamples=50,
    )
    arms = found["arms"]
    assert found["network"] == str(folder)
    assert arms["real"]["macro_auroc"] > 0.9
    assert arms["synthetic"]["macro_auroc"] < 0.5
    assert {arm["steps"] for arm in arms.values()} == {30}


def test_the_same_seed_gives_the_same_network_and_leaves_torch_alone(folder: Path) -> None:
    trainer, data = open_trainer(str(folder), CPU), bright("t", 0)
    state = torch.random.get_rng_state()
    one, two = (fitted(trainer, data, steps=3).probabilities(data.image_u8) for _ in range(2))
    other = fitted(trainer, data, steps=3, seed=1).probabilities(data.image_u8)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)
    assert one.shape == (48, 1)


def test_it_goes_on_from_where_it_was_and_keeps_its_best(folder: Path) -> None:
    trainer, data, held = open_trainer(str(folder), CPU), bright("t", 0), bright("v", 5)
    first = fitted(trainer, data, steps=4)
    assert isinstance(first, TunedNetwork)
    seen = [
        fitted(trainer, data, steps=4, start=start).probabilities(held.image_u8)
        for start in (first, None)
    ]
    assert not np.array_equal(*seen)
    chance = np.random.default_rng(3).integers(0, 2, (48, 1)).astype(float)  # no look is better
    kept = fitted(trainer, data, validation=(held.image_u8, chance)).probabilities(held.image_u8)
    assert not np.array_equal(kept, fitted(trainer, data).probabilities(held.image_u8))
    with pytest.raises(SynthError, match="not a network of this trainer"):
        fitted(trainer, data, start="weights")


def test_unknown_labels_teach_nothing(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    trainer, data = open_trainer(str(folder), CPU), bright("t", 0)
    labels = np.c_[data.labels, np.full(48, np.nan)]
    both = trainer.fit(
        data.image_u8,
        labels,
        findings=("spot", "never"),
        validation=None,
        steps=3,
        batch=16,
        learning_rate=None,
        seed=0,
    )
    assert both.probabilities(data.image_u8).shape == (48, 2)
    assert "LOAD REPORT" not in caplog.text


def test_a_folder_without_a_network_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SynthError, match="not a Hugging Face model"):
        open_any(str(tmp_path), image_size=32, device="cpu")
