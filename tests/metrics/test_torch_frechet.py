"""Fréchet distance from moments in blocks: what the function gives, over batches and processes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from counted import Counted
from numpy.random import RandomState
from torch import Tensor

import metrics
from metrics.frechet import frechet_distance
from metrics.torch_metrics import (
    FrechetDistance,
)
from synth.errors import SynthError


def _rows(seed: int, *shape: int, shift: float = 0.0) -> Tensor:
    return torch.tensor(RandomState(seed).randn(*shape) + shift)


def test_the_bias_is_reduced_as_by_the_function() -> None:
    """One block a row in turn, in whatever batches: the jackknife of the function's formula."""
    one, two = _rows(40, 300, 5), _rows(41, 200, 5, shift=0.4)
    metric = FrechetDistance(dim=5)
    for batch in one.split(37):
        metric.update(batch, real=True)
    for batch in two.split(64):
        metric.update(batch, real=False)
    full = frechet_distance(real=one, synthetic=two)
    left, right = torch.arange(300) % 10, torch.arange(200) % 10
    without = [
        frechet_distance(real=one[left != block], synthetic=two[right != block])
        for block in range(10)
    ]
    expected = 10 * full - 9 * float(np.mean(without))
    found = metric.record()
    assert float(metric.compute()) == found.value == pytest.approx(expected, rel=1e-9)
    assert found.details["plug_in"] == pytest.approx(full, rel=1e-9)
    assert (found.n_real, found.n_synthetic) == (300, 200)
    assert found.estimator == metrics.frechet_distance(real=one, synthetic=two).estimator
    assert (found.se, found.ci) == (None, None)
    assert "metrics.frechet_distance" in found.note
    assert found.floor is not None
    assert found.floor.n == 150
    assert abs(found.floor.value) < 0.2 < (found.floor.synthetic_at_same_n or 0)


def test_bias_reduced_values_are_right_on_average_where_the_plug_in_is_not() -> None:
    values, plain = [], []
    for seed in range(25):
        metric = FrechetDistance(dim=8)
        metric.update(_rows(2 * seed, 160, 8), real=True)
        metric.update(_rows(2 * seed + 1, 160, 8, shift=0.2), real=False)
        found = metric.record()
        values.append(found.value)
        plain.append(found.details["plug_in"])
    error = np.std(values, ddof=1) / 5
    assert abs(np.mean(values) - 8 * 0.04) < 3 * error + 0.01
    assert np.mean(plain) - 8 * 0.04 > 5 * error


def test_rows_of_a_patient_are_left_out_together_in_any_batch_or_process() -> None:
    stream = RandomState(42)
    rows = torch.tensor(np.repeat(stream.randn(40, 4), 5, axis=0) + 0.1 * stream.randn(200, 4))
    made = _rows(43, 200, 4)
    groups = [f"p{row // 5}" for row in range(200)]
    order = torch.tensor(stream.permutation(200))
    found = []
    for given, names, cut in (
        (rows, groups, 200),
        (rows[order], [groups[row] for row in order.tolist()], 77),
    ):
        one, two = FrechetDistance(dim=4), FrechetDistance(dim=4)
        one.update(given[:cut], real=True, groups=names[:cut])
        one.update(made, real=False)
        if cut < 200:
            two.update(given[cut:], real=True, groups=names[cut:])
            one.merge_state(two)
        found.append(one.record())
    assert found[0].value == pytest.approx(found[1].value, rel=1e-9)
    blind = FrechetDistance(dim=4)
    blind.update(rows[order], real=True)
    blind.update(made, real=False)
    # Of 40 patients with five images each the bias is that of 40 rows, not of 200.
    assert (found[0].value or 0) < float(blind.compute()) - 0.02
    with pytest.raises(SynthError, match="one name a row"):
        blind.update(rows, real=True, groups=groups[:3])


def test_few_patients_and_few_images_are_said_as_by_the_function() -> None:
    metric = FrechetDistance(dim=4)
    metric.update(_rows(44, 60, 4), real=True, groups=[f"p{row % 3}" for row in range(60)])
    metric.update(_rows(45, 60, 4), real=False)
    found = metric.record()
    assert found.value == found.details["plug_in"]
    assert "fewer than 5 patients" in found.note
    assert found.floor is None
    small = FrechetDistance(dim=40)
    small.update(_rows(46, 60, 40), real=True)
    small.update(_rows(47, 60, 40), real=False)
    with pytest.raises(SynthError, match="at least 80 images"):
        small.compute()
    with pytest.raises(SynthError, match="no such estimator"):
        FrechetDistance(dim=4, estimator="sqrtm")  # type: ignore[arg-type]


def test_frechet_distance_of_batches_is_that_of_all_rows() -> None:
    one, two = _rows(0, 200, 6, shift=1e4), _rows(1, 150, 6, shift=1e4 + 0.5)
    metric = FrechetDistance(dim=6, estimator="plug-in")
    for batch in one.split(37):
        metric.update(batch, real=True)
    for batch in two.split(64):
        metric.update(batch, real=False)
    expected = frechet_distance(real=one.numpy(), synthetic=two.numpy())
    assert float(metric.compute()) == pytest.approx(expected, rel=1e-7)
    assert metric.compute().dtype == torch.float64
    metric.half()  # torchmetrics leaves states alone; ours stay float64 by set_dtype as well
    assert metric.set_dtype(torch.float16).real.dtype == torch.float64


def test_states_of_two_processes_merge_by_their_own_means() -> None:
    """Adding them up would put the difference of the means into the covariance, or lose it."""
    one, two = _rows(2, 80, 4), _rows(3, 60, 4)
    first, second = (FrechetDistance(dim=4, estimator="plug-in") for _ in range(2))
    first.update(one[:50] + 9, real=True)
    second.update(one[50:] - 9, real=True)
    first.update(two[:10], real=False)
    second.update(two[10:], real=False)
    whole = frechet_distance(real=torch.cat([one[:50] + 9, one[50:] - 9]), synthetic=two)
    first.merge_state(second)
    assert float(first.compute()) == pytest.approx(whole, rel=1e-9)
    empty = FrechetDistance(dim=4, estimator="plug-in")
    first.merge_state(empty)
    assert float(first.compute()) == pytest.approx(whole, rel=1e-9)


def test_an_empty_process_and_a_kept_real_side() -> None:
    metric = FrechetDistance(dim=3, reset_real=False)
    metric.update(_rows(4, 0, 3), real=True)
    metric.update(_rows(4, 30, 3), real=True)
    with pytest.raises(SynthError, match=r"synthetic: too few images \(got 0"):
        metric.compute()
    metric.update(_rows(5, 30, 3), real=False)
    first = metric.compute()
    metric.reset()
    metric.update(_rows(5, 30, 3), real=False)
    assert torch.equal(metric.compute(), first)
    with pytest.raises(SynthError, match=r"got \(4, 2\); expected \[b, 3\]"):
        metric.update(torch.zeros(4, 2), real=True)
    with pytest.raises(SynthError, match="NaN"):
        metric.update(torch.full((4, 3), torch.nan), real=True)


def test_a_kept_real_side_of_moments_is_not_counted_twice() -> None:
    real, made = _rows(35, 120, 4), _rows(36, 90, 4, shift=0.5)
    extractor = Counted()
    metric = FrechetDistance(dim=4, extractor=extractor, reset_real=False, estimator="plug-in")
    metric.update(real, real=True)
    for batch in made.split(30):
        alone = frechet_distance(real=real, synthetic=batch)
        assert float(metric(batch, real=False)) == pytest.approx(alone, rel=1e-9)
    assert extractor.calls == 4
    assert (float(metric.real[0, 0]), float(metric.synthetic[0, 0])) == (120, 90)
    whole = frechet_distance(real=real, synthetic=made)
    assert float(metric.compute()) == pytest.approx(whole, rel=1e-9)
