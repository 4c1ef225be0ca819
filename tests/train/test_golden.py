"""A learning curve to four digits: any change of noise, order, weights, rate or average shows."""

from __future__ import annotations

import pytest
import torch

from synth.progress import Silent
from train import loop
from train.order import Order, sampling_probabilities
from train.session import open_session

STEPS = 10
SETTINGS = {
    "steps": STEPS,
    "micro_batch": 2,
    "caption_dropout": 0.2,
    "min_snr_gamma": 5.0,
    "optim": {"learning_rate": 3e-3, "schedule": "cosine", "warmup_steps": 2},
}
CURVES = {
    "full": [
        *(0.956993, 1.012451, 0.964293, 0.898809, 0.772572),
        *(0.760413, 0.648773, 0.655385, 0.594289, 0.514125),
    ],
    "lora": [
        *(0.956993, 1.101952, 1.119538, 1.115222, 1.038200),
        *(1.136442, 1.007232, 1.079939, 1.085937, 0.912631),
    ],
}
MOVED = {"full": 3.574587, "lora": 0.896415}
DIGITS = 1e-4  # relative; other processors and releases of torch differ by about 1e-6


def curve(config, **changes) -> tuple[list[float], float]:
    """Losses, and how far the averaged weights lie from where they began."""
    session = open_session(config, Silent())
    training, examples = session.training, session.examples
    before = [tensor.clone() for tensor in training.ema.tensors.values()]
    order = Order(
        sampling_probabilities([{}] * len(examples.train), 0.0), seed=changes.get("order", 3)
    )
    losses = [s.loss for s in loop.fit(training, examples.train, order, examples.batches)]
    after = training.ema.tensors.values()
    moved = [a.sub(b).square().sum() for a, b in zip(after, before, strict=True)]
    return losses, float(torch.stack(moved).sum().sqrt())


@pytest.mark.parametrize("adapter", ["full", "lora"])
def test_the_learning_curve_is_the_one_it_was(tmp_path, make_config, adapter):
    model = {"adapter": adapter, "rank": 4}
    losses, moved = curve(make_config(tmp_path, model=model, **SETTINGS))
    assert losses == pytest.approx(CURVES[adapter], rel=DIGITS)
    assert moved == pytest.approx(MOVED[adapter], rel=DIGITS)


CHANGES = {
    "order": {},
    "weights": {"min_snr_gamma": None},
    "dropout": {"caption_dropout": 0.0},
    "times": {"times": {"shift": 1.01}},
    "rate": {"optim": SETTINGS["optim"] | {"learning_rate": 3.1e-3}},
    "clipping": {"optim": SETTINGS["optim"] | {"clip": 0.1}},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_small_change_would_show_in_it(tmp_path, make_config, change):
    config = make_config(tmp_path, model={"rank": 4}, **SETTINGS | CHANGES[change])
    losses, _ = curve(config, **({"order": 4} if change == "order" else {}))
    expected = CURVES["full"]
    differ = max(abs(a / b - 1) for a, b in zip(losses, expected, strict=True))
    assert differ > 5 * DIGITS


def test_other_noise_would_show_in_it(tmp_path, make_config):
    config = make_config(tmp_path, model={"rank": 4}, **SETTINGS)
    config = config.model_copy(update={"run": config.run.model_copy(update={"seed": 4})})
    losses, _ = curve(config)
    assert abs(losses[0] / CURVES["full"][0] - 1) > 5 * DIGITS
