"""Metric classes of images and of pairs of images and texts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.random import RandomState
from torch import Tensor

import metrics
from metrics.pairs import pairs
from metrics.torch_metrics import (
    ImageTextAlignment,
    MsSsimDiversity,
    TextureRatio,
)
from synth.errors import SynthError


def test_texture_is_the_function_over_batches_of_grey_images() -> None:
    stream = RandomState(60)
    real = torch.tensor(stream.randint(0, 256, (30, 1, 20, 20)).astype(np.uint8))
    made = torch.tensor(stream.randint(60, 190, (24, 20, 20)).astype(np.uint8))
    groups = [f"p{row // 3}" for row in range(30)]
    metric = TextureRatio(keep=("real",))
    metric.update(real[:13], real=True, groups=groups[:13])
    metric.update(real[13:], real=True, groups=groups[13:])
    alone = metrics.texture_ratio(real=real, synthetic=made[:10], real_groups=groups).value
    assert float(metric(made[:10], real=False)) == pytest.approx(alone)
    metric.update(made[10:], real=False)
    found = metric.record()
    expected = metrics.texture_ratio(real=real, synthetic=made, real_groups=groups)
    assert (found.value, found.floor) == (expected.value, expected.floor)
    assert found.ci == pytest.approx(expected.ci)
    assert (found.n_real, found.n_synthetic) == (30, 24)
    with pytest.raises(SynthError, match="8-bit grey images"):
        metric.update(torch.zeros(2, 20, 20), real=True)
    with pytest.raises(SynthError, match=r"must be \[b, h, w\]"):
        metric.update(torch.zeros(2, 20, dtype=torch.uint8), real=True)


def test_ms_ssim_is_the_function_with_labels_and_real_images() -> None:
    stream = RandomState(61)
    made, real = (torch.tensor(stream.rand(24, 1, 24, 24).astype(np.float32)) for _ in range(2))
    labels = ["effusion", "clear"] * 12
    one = MsSsimDiversity(settings={"pairs": 30, "seed": 2})
    two = MsSsimDiversity(settings={"pairs": 30, "seed": 2})
    one.update(made[:10], labels=labels[:10])
    two.update(made[10:], labels=labels[10:])
    two.update(real, real=True, labels=labels)
    two.merge_state(one)
    found = two.record()
    expected = metrics.ms_ssim_diversity(
        synthetic=made, labels=labels, real=real, real_labels=labels, pairs=30, seed=2
    )
    assert (found.value, found.ci) == (expected.value, expected.ci)
    assert found.details == expected.details
    assert found.floor == expected.floor
    with pytest.raises(SynthError, match="one name a row"):
        one.update(made, labels=["clear"])
    with pytest.raises(SynthError, match="images must be"):
        one.update(torch.zeros(4, 24))


def _pairs(seed: int, count: int, noise: float) -> tuple[Tensor, Tensor, list[str], Tensor]:
    stream = RandomState(seed)
    texts = stream.randn(count // 2, 8).repeat(2, axis=0)
    images = texts + noise * stream.randn(count, 8)
    words = [f"report {row // 2}" for row in range(count)]
    labels = torch.tensor((stream.rand(count, 2) < 0.5).astype(float))
    return torch.tensor(images), torch.tensor(texts), words, labels


def test_alignment_is_the_function_over_batches_beside_real_pairs() -> None:
    images, texts, words, labels = _pairs(62, 60, 0.8)
    there = _pairs(63, 80, 0.3)
    groups = [f"p{row // 2}" for row in range(60)]
    metric = ImageTextAlignment(keep_real=True, seed=4)
    metric.update(there[0], there[1], real=True, words=there[2], labels=there[3])
    for part in (slice(0, 35), slice(35, 60)):
        metric.update(
            images[part], texts[part], words=words[part], labels=labels[part], groups=groups[part]
        )
    expected = metrics.image_text_alignment(
        images=images.float(),
        texts=texts.float(),
        words=words,
        labels=labels,
        groups=groups,
        real=pairs(
            images=there[0].float(),
            texts=there[1].float(),
            words=there[2],
            labels=there[3],
        ),
        seed=4,
    ).records
    found = metric.record()
    assert {name: record.to_json() for name, record in found.items()} == {
        name: record.to_json() for name, record in expected.items()
    }
    assert {"cosine", "report_to_image_r1", "matched_auc"} <= set(found)
    assert {name: float(value) for name, value in metric.compute().items()} == {
        name: record.value for name, record in expected.items()
    }
    metric.reset()
    assert len(metric.real_images) == 1
    alone = metric(images[:30], texts[:30], words=words[:30])
    assert float(alone["cosine"]) == pytest.approx(
        metrics.image_text_alignment(images=images[:30].float(), texts=texts[:30].float())
        .records["cosine"]
        .value
    )
    assert metric.record()["cosine"].n_real == 80
    assert metric(there[0], there[1], real=True, words=there[2], labels=there[3]) is None
    assert metric.record()["cosine"].n_real == 160


def test_a_reader_reads_texts_and_wrong_pairs_are_refused() -> None:
    images, texts, words, _ = _pairs(64, 40, 0.5)
    known = dict(zip(words, texts, strict=True))
    metric = ImageTextAlignment(reader=lambda said: torch.stack([known[text] for text in said]))
    metric.update(images, words)
    expected = metrics.image_text_alignment(
        images=images.float(), texts=texts.float(), words=words
    ).records
    assert metric.record()["report_to_image_r1"].value == expected["report_to_image_r1"].value
    plain = ImageTextAlignment()
    with pytest.raises(SynthError, match="no pairs were given"):
        plain.record()
    with pytest.raises(SynthError, match="texts need a reader"):
        plain.update(images, words)
    with pytest.raises(SynthError, match="not pairs of one space"):
        plain.update(images, texts[:, :3])
    with pytest.raises(SynthError, match="one row of labels a pair"):
        plain.update(images, texts, labels=torch.zeros(3, 2))
    with pytest.raises(SynthError, match="one name a row"):
        plain.update(images, texts, groups=["a"])
    plain.update(images, texts, groups=words)
    plain.update(images, texts)
    with pytest.raises(SynthError, match="one group a row"):
        plain.record()
