from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from metrics.ingest import ImageSet, open_images
from metrics.utility import downstream_utility, refuse_leak
from synth.config.schema import UtilitySection
from synth.errors import SynthError


def _set(prefix: str, seed: int, count: int = 24) -> ImageSet:
    truth = np.arange(count) % 2
    images = np.random.default_rng(seed).integers(0, 130, (count, 1, 32, 32), dtype=np.uint8)
    images[truth == 1, :, :16] += 30
    names = tuple(f"{prefix}{index}" for index in range(count))
    labels = truth.astype(np.float64)[:, None]
    return ImageSet(Path(prefix), names, names, torch.from_numpy(images), names, ("spot",), labels)


def test_equal_names_of_different_images_are_no_leak() -> None:
    train, test = _set("image", 0), _set("image", 1)
    refuse_leak(replace(train, groups=None), replace(test, groups=None))


def test_an_image_under_another_name_is_a_leak() -> None:
    train, test = _set("t", 0), _set("h", 1)
    pixels = test.image_u8.clone()
    pixels[3] = train.image_u8[7]
    with pytest.raises(SynthError, match="test images are among the training images"):
        refuse_leak(train, replace(test, image_u8=pixels))


def test_a_synthetic_image_made_from_a_test_report_is_a_leak() -> None:
    test = _set("h", 1)
    made = replace(_set("s", 2), groups=None, sources=frozenset({"h5"}))
    with pytest.raises(SynthError, match="test source reports"):
        downstream_utility(
            real=_set("t", 0),
            synthetic=made,
            test=test,
            findings=("spot",),
            settings=UtilitySection(steps=1, seeds=1, batch=4),
            image_size=32,
        )


def test_sources_are_read_from_a_synthetic_table(tmp_path: Path, tiny_dataset: Path) -> None:
    folder = tmp_path / "made"
    shutil.copytree(tiny_dataset, folder)
    table = folder / "metadata.jsonl"
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    rows[0]["source_sample_id"] = "real-1"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert open_images(folder, 32).sources == {"real-1"}


def test_intervals_hold_the_luck_of_training_too() -> None:
    # Few steps: seeds differ widely, so that resampling them must widen the interval.
    found = downstream_utility(
        real=_set("t", 0),
        synthetic=_set("s", 2),
        test=_set("h", 1, 60),
        findings=("spot",),
        settings=UtilitySection(steps=2, seeds=2, batch=8),
        image_size=32,
        resamples=200,
    )
    for arm in found["arms"].values():
        low, high = arm["ci"]
        assert low < arm["macro_auroc"] < high
    assert found["arms"]["real"]["delta_ci"] == [0.0, 0.0]
    assert found["seeds"] == 2
