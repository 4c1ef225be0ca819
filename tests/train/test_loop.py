from __future__ import annotations

import inspect
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

from synth.errors import SynthError
from synth.families import load_family
from synth.manifest import open_dataset
from synth.progress import Silent
from train import loop
from train.examples import build_examples
from train.order import Order, sampling_probabilities
from train.preview import validation_losses

CPU = torch.device("cpu")


class Setup:
    """A loop without a run folder around it."""

    def __init__(self, config, cache: Path) -> None:
        dataset = open_dataset(config.data.dataset)
        self.config = config
        self.family = load_family(config.model, device=CPU, dtype=torch.float32)
        self.examples = build_examples(
            config, dataset, self.family, folder=cache, device=CPU, progress=Silent()
        )
        labels = [row.labels for row in dataset.split("train")]
        self.order = Order(sampling_probabilities(labels, 0.0), seed=config.run.seed)
        self.training = loop.Training(self.family, config.train, Accelerator(cpu=True))

    def fit(self) -> list[loop.Step]:
        return list(loop.fit(self.training, self.examples.train, self.order, self.examples.batches))

    def weights(self) -> torch.Tensor:
        return torch.cat([p.detach().flatten() for _, p in self.training.trainable])

    def val(self) -> float:
        examples, batches = self.examples.val, self.examples.batches
        return validation_losses(self.family, examples, batches, batch=8).loss


@pytest.fixture
def setup(make_config, tmp_path):
    return lambda **train: Setup(make_config(tmp_path, **train), tmp_path / "cache")


def test_micro_batches_are_the_batch(setup):
    whole, parts, uneven = (setup(batch=8, micro_batch=m, steps=2) for m in (8, 4, 1))
    losses = [[step.loss for step in one.fit()] for one in (whole, parts, uneven)]
    for other, loss in ((parts, losses[1]), (uneven, losses[2])):
        torch.testing.assert_close(loss, losses[0], rtol=1e-5, atol=0)
        assert (other.weights() - whole.weights()).abs().max() < 5e-5
    assert (setup().weights() - whole.weights()).abs().max() > 1e-3  # it did train


def test_loss_falls(setup):
    one = setup(steps=40, batch=8, optim={"learning_rate": 3e-3, "schedule": "constant"})
    before = one.val()
    steps = one.fit()
    assert one.val() < 0.9 * before
    assert [s.index for s in steps] == list(range(1, 41))
    assert steps[-1].images_seen == 320
    with one.training.ema.swapped_in():
        assert one.val() < 0.9 * before


def test_validation_is_a_constant_of_the_model(setup):
    one = setup(steps=1)
    before = one.val()
    assert one.val() == before
    assert setup(steps=1).val() == before
    one.fit()
    assert one.val() != before


def test_clipping_lowers_the_norm(setup, monkeypatch):
    one = setup(steps=1, optim={"clip": 0.01})
    norms = []
    optimizer = one.training.optimizer.optimizer
    step = optimizer.step

    def spy(*args, **kwargs):
        grads = [p.grad.flatten() for _, p in one.training.trainable]
        norms.append(float(torch.cat(grads).norm()))
        return step(*args, **kwargs)

    monkeypatch.setattr(optimizer, "step", spy)
    (record,) = one.fit()
    assert record.grad_norm > 0.02
    assert norms == [pytest.approx(0.01, rel=1e-3)]


def test_draws_depend_on_seed_sample_and_position_only(setup):
    one = setup()
    a, b, c = one.examples.train[:3]
    batches = one.examples.batches
    together = batches.draw([(a, 5), (b, 6), (c, 7)])
    alone = batches.draw([(b, 6)])
    for name in ("x0", "noise", "times"):
        assert torch.equal(getattr(together, name)[1:2], getattr(alone, name))
    later = batches.draw([(b, 7)])
    assert not torch.equal(later.noise, alone.noise)
    assert not torch.equal(later.x0, alone.x0)  # another posterior sample


def test_captions_are_dropped_at_the_rate_asked_for(setup):
    for rate in (0.0, 0.3):
        one = setup(caption_dropout=rate)
        null = one.family.null_conditioning(1).tokens
        example = one.examples.train[0]
        cond = one.examples.batches.draw([(example, p) for p in range(1000)]).cond
        dropped = sum(torch.equal(row, null[0]) for row in cond.tokens) / 1000
        assert dropped == pytest.approx(rate, abs=0.05)


def test_min_snr_weights_the_loss(setup):
    one = setup()
    batch = one.examples.batches.draw([(e, 0) for e in one.examples.train[:6]])
    with torch.no_grad():
        plain, weighted = (loop.batch_loss(one.family, batch, g) for g in (None, 5.0))
    expected = plain * one.family.process.min_snr(batch.times, 5.0).float()
    torch.testing.assert_close(weighted, expected)
    assert not torch.equal(weighted, plain)


def test_a_step_that_is_not_finite_is_skipped_and_counted(setup, monkeypatch):
    one = setup(steps=3)
    real = loop.batch_loss
    poison = iter([False, True, False])

    def sometimes(*args):
        loss = real(*args)
        return loss * float("nan") if next(poison) else loss

    monkeypatch.setattr(loop, "batch_loss", sometimes)
    assert [step.skipped for step in one.fit()] == [False, True, False]
    assert one.training.skipped == 1
    assert one.weights().isfinite().all()


def test_divergence_stops(setup, monkeypatch):
    one = setup(steps=100, batch=1)
    before = one.weights()
    real = loop.batch_loss
    monkeypatch.setattr(loop, "batch_loss", lambda *args: real(*args) * float("inf"))
    with pytest.raises(SynthError, match="20 steps in a row had no finite gradient"):
        one.fit()
    assert torch.equal(one.weights(), before)


def test_the_loop_is_small_and_knows_no_family():
    source = inspect.getsource(loop)
    assert len(source.splitlines()) <= 280
    assert len(inspect.getsource(loop._step).splitlines()) < 42
    for word in ("scaling_factor", "family ==", "StableDiffusion", "unet"):
        assert word not in source
