from __future__ import annotations

import pytest
import torch
from torch import nn

from synth.config.schema import EmaSection, OptimSection, TrainSection
from synth.errors import SynthError, Unavailable
from train.ema import Ema, effective_decay
from train.optim import learning_rate, make_optimizer, optimizer_tensors, restore_optimizer

LINEAR = TrainSection(steps=100, batch=4, optim=OptimSection(learning_rate=1.0, warmup_steps=10))


def test_learning_rate_depends_on_images_alone():
    assert learning_rate(0, LINEAR) == pytest.approx(1 / 11)  # never a wasted step at zero
    assert learning_rate(20, LINEAR) == pytest.approx(6 / 11)
    assert learning_rate(40, LINEAR) == 1.0
    assert learning_rate(40 + 180, LINEAR) == pytest.approx(0.5)
    assert learning_rate(400, LINEAR) == pytest.approx(0.0)
    constant = LINEAR.model_copy(update={"optim": OptimSection(schedule="constant")})
    assert learning_rate(399, constant) == constant.optim.learning_rate
    twice = LINEAR.model_copy(update={"batch": 8})
    assert learning_rate(40, twice) == learning_rate(20, LINEAR)


def test_decay_ramps_with_images_seen():
    settings = EmaSection(half_life=0.1, decay=0.999)
    assert effective_decay(32, 32, settings) == pytest.approx(2**-10)
    # after 10 times its half-life the start counts for less than a thousandth, at any length
    for steps in (50, 300):
        kept = 1.0
        for step in range(1, steps + 1):
            kept *= effective_decay(step * 32, 32, settings)
        assert kept < 1e-3
    assert effective_decay(10**9, 32, settings) == 0.999


def named(count: int = 2) -> list[tuple[str, nn.Parameter]]:
    return [(f"p{i}", nn.Parameter(torch.full((3,), float(i)))) for i in range(count)]


def test_ema_by_name():
    trainable = named()
    ema = Ema(trainable)
    with torch.no_grad():
        trainable[0][1].fill_(10.0)
    ema.update(0.75)
    assert torch.equal(ema.tensors["p0"], torch.full((3,), 2.5))
    assert torch.equal(ema.tensors["p1"], torch.full((3,), 1.0))
    pointer = trainable[0][1].data_ptr()
    with ema.swapped_in():
        assert trainable[0][1][0] == 2.5
        assert trainable[0][1].data_ptr() == pointer  # the optimiser still holds it
    assert trainable[0][1][0] == 10.0
    assert ema.tensors["p0"][0] == 2.5
    with pytest.raises(SynthError, match="another model"):
        ema.restore({"p0": torch.zeros(3)})


def test_optimizer_state_round_trip():
    def stepped(optimizer, trainable, times):
        for _ in range(times):
            for _, p in trainable:
                p.grad = torch.arange(3.0) + p.detach()
            optimizer.step()
        return [p.detach().clone() for _, p in trainable]

    one, other = named(), named()
    first = make_optimizer(one, OptimSection())
    stepped(first, one, 3)
    second = make_optimizer(other, OptimSection())
    with torch.no_grad():
        for (_, a), (_, b) in zip(one, other, strict=True):
            b.copy_(a)
    restore_optimizer(second, other, optimizer_tensors(first, one))
    pairs = zip(stepped(first, one, 2), stepped(second, other, 2), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    with pytest.raises(SynthError, match="another model"):
        restore_optimizer(second, other, {"q/exp_avg": torch.zeros(3)})


def test_8_bit_adamw_without_cuda_is_refused():
    settings = OptimSection(kind="adamw8bit")
    with pytest.raises(Unavailable, match="adamw8bit on cpu"):
        make_optimizer(named(), settings)


def test_the_state_of_another_optimiser_may_hold_plain_numbers():
    trainable = named(1)
    optimizer = torch.optim.AdamW([trainable[0][1]])
    optimizer.state[trainable[0][1]] = {"step": 3, "state1": torch.ones(3, dtype=torch.uint8)}
    tensors = optimizer_tensors(optimizer, trainable)
    assert int(tensors["p0/step"]) == 3
    assert tensors["p0/state1"].dtype == torch.uint8
