from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.random import RandomState
from torch import Tensor

import metrics
from metrics import torch_metrics
from metrics.frechet import frechet_distance
from metrics.torch_metrics import FrechetDistance, KernelDistance, Prdc, VendiScore
from synth.errors import SynthError


def _rows(seed: int, *shape: int, shift: float = 0.0) -> Tensor:
    return torch.tensor(RandomState(seed).randn(*shape) + shift)


def test_frechet_distance_of_batches_is_that_of_all_rows() -> None:
    one, two = _rows(0, 200, 6, shift=1e4), _rows(1, 150, 6, shift=1e4 + 0.5)
    metric = FrechetDistance(dim=6)
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
    first, second = FrechetDistance(dim=4), FrechetDistance(dim=4)
    first.update(one[:50] + 9, real=True)
    second.update(one[50:] - 9, real=True)
    first.update(two[:10], real=False)
    second.update(two[10:], real=False)
    whole = frechet_distance(real=torch.cat([one[:50] + 9, one[50:] - 9]), synthetic=two)
    first.merge_state(second)
    assert float(first.compute()) == pytest.approx(whole, rel=1e-9)
    empty = FrechetDistance(dim=4)
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


_PROCESS = """
import sys, torch, torch.distributed as dist
from metrics.torch_metrics import FrechetDistance, KernelDistance, VendiScore
rank, store, data = int(sys.argv[1]), sys.argv[2], sys.argv[3]
dist.init_process_group("gloo", init_method="file://" + store, rank=rank, world_size=2)
rows = torch.load(data, weights_only=True)
mine = {side: x[:40] if rank == 0 else x[40:] for side, x in rows.items()}
out = []
for metric in (FrechetDistance(dim=4), KernelDistance()):
    metric.update(mine["real"], real=True)
    metric.update(mine["synthetic"], real=False)
    out.append(float(metric.compute()))
vendi = VendiScore(dim=4)
vendi.update(mine["synthetic"])
print(*map(repr, [*out, float(vendi.compute())]))
dist.destroy_process_group()
"""


def test_two_processes_compute_what_one_does(tmp_path: Path) -> None:
    rows = {"real": _rows(6, 110, 4) * 2, "synthetic": _rows(7, 90, 4, shift=0.4)}
    rows["real"][40:] += 5  # the processes see different means
    torch.save(rows, tmp_path / "rows.pt")
    command = [sys.executable, "-W", "ignore", "-c", _PROCESS]
    running = [
        subprocess.Popen(
            [*command, str(rank), str(tmp_path / "store"), str(tmp_path / "rows.pt")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    said = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0, 0], said[0][1] + said[1][1]
    expected = [
        frechet_distance(real=rows["real"], synthetic=rows["synthetic"]),
        metrics.kernel_distance(
            real=rows["real"].float(), synthetic=rows["synthetic"].float()
        ).value,
        metrics.vendi_score(synthetic=rows["synthetic"]).value,
    ]
    for out, _ in said:
        assert [float(word) for word in out.split()] == pytest.approx(expected, rel=1e-6)


@pytest.mark.filterwarnings("ignore:The ``compute`` method:UserWarning")
def test_vendi_states_add_up() -> None:
    rows = _rows(8, 70, 5)
    one, two = VendiScore(dim=5), VendiScore(dim=5)
    one.update(rows[:20])
    two.update(rows[20:])
    one.merge_state(two)
    expected = metrics.vendi_score(synthetic=rows).value
    assert float(one.compute()) == pytest.approx(expected, rel=1e-10)
    with pytest.raises(SynthError, match="zero or not finite"):
        one.update(torch.zeros(2, 5))
    with pytest.raises(SynthError, match="no images"):
        VendiScore(dim=5).compute()


_FUNCTIONS = {
    "KernelDistance": "kernel_distance",
    "MmdRbf": "mmd_rbf",
    "SlicedWasserstein": "sliced_wasserstein",
    "ClassifierTwoSample": "c2st",
    "Authenticity": "authenticity",
    "NearestNeighbourAuc": "nearest_neighbour_auc",
    "DataCopying": "data_copying",
    "CopyRate": "copy_rate",
    "Mifid": "mifid",
}


@pytest.mark.parametrize("name", _FUNCTIONS)
def test_each_metric_is_its_function_over_batches_and_merges(name: str) -> None:
    kind: Any = getattr(torch_metrics, name)
    one, two = kind(settings={"seed": 3} if name == "MmdRbf" else None), kind()
    rows = {side: _rows(9 + i, 60, 6).float() for i, side in enumerate(kind.sides)}
    for side, values in rows.items():
        one.update(values[:25], side=side)
        one.update(values[25:35], side=side)
        two.update(values[35:], side=side)
    two.merge_state(one)  # incoming rows come first
    settings = {"seed": 3} if name == "MmdRbf" else {}
    expected = getattr(metrics, _FUNCTIONS[name])(**rows)
    assert float(two.compute()) == pytest.approx(expected.value, rel=1e-6)
    assert two.record().n_synthetic == 60
    assert one.settings == settings


def test_shares_come_by_name_and_extractors_run_inside() -> None:
    images = {True: _rows(20, 50, 1, 4, 4), False: _rows(21, 50, 1, 4, 4)}
    metric = Prdc(extractor=lambda batch: batch.flatten(1)[:, :5], settings={"k": 3})
    for real, batch in images.items():
        metric.update(batch, real=real)
    expected = metrics.prdc(
        real=images[True].flatten(1)[:, :5].float(),
        synthetic=images[False].flatten(1)[:, :5].float(),
        k=3,
    )
    found = metric.compute()
    assert {key: float(value) for key, value in found.items()} == pytest.approx(
        {key: record.value for key, record in expected.items()}
    )


@pytest.mark.filterwarnings("ignore:The ``compute`` method:UserWarning")
def test_kept_sides_survive_a_reset_and_wrong_ones_are_refused() -> None:
    metric = KernelDistance(keep=("real",))
    metric.update(_rows(22, 30, 3), real=True)
    metric.update(_rows(23, 30, 3), real=False)
    first = metric.compute()
    metric.reset()
    with pytest.raises(SynthError, match="synthetic: no images were given"):
        metric.compute()
    metric.update(_rows(23, 30, 3), real=False)
    assert torch.equal(metric.compute(), first)
    with pytest.raises(SynthError, match="no such side"):
        metric.update(_rows(23, 30, 3), side="train")
    with pytest.raises(SynthError, match="no such side"):
        metric.update(_rows(23, 30, 3))
    with pytest.raises(SynthError, match="must be a matrix"):
        metric.update(torch.zeros(3, 2, 2), real=True)
    assert np.isfinite(float(first))


class _Counted:
    """An extractor that says how often it ran."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, images: Tensor) -> Tensor:
        self.calls += 1
        return images


def test_a_batch_has_its_own_value_and_is_taken_in_once() -> None:
    real, made = _rows(30, 200, 4), _rows(31, 100, 4, shift=0.3)
    extractor = _Counted()
    metric = KernelDistance(extractor=extractor, keep=("real",))
    metric.update(real, real=True)
    for batch in made.split(50):
        alone = metrics.kernel_distance(real=real.float(), synthetic=batch.float()).value
        assert float(metric(batch, real=False)) == pytest.approx(alone, rel=1e-12)
    assert extractor.calls == 3
    found = metric.record()
    assert (found.n_real, found.n_synthetic) == (200, 100)
    assert found.value == metrics.kernel_distance(real=real.float(), synthetic=made.float()).value
    assert float(metric.compute()) == found.value
    # A batch of the kept side counts once, and is part of what the next one is compared with.
    assert metric(_rows(32, 20, 4), real=True) is None
    metric(made, real=False)
    assert (metric.record().n_real, metric.record().n_synthetic) == (220, 200)


def test_a_batch_of_one_side_alone_has_no_value_and_nothing_is_lost() -> None:
    metric, distance = Prdc(settings={"k": 3}), FrechetDistance(dim=4)
    for one in (metric, distance):
        for _ in range(2):
            assert one(_rows(33, 30, 4), real=True) is None
            assert one(_rows(34, 30, 4), real=False) is None
    assert {record.n_real for record in metric.record().values()} == {60}
    whole = frechet_distance(
        real=torch.cat([_rows(33, 30, 4)] * 2), synthetic=torch.cat([_rows(34, 30, 4)] * 2)
    )
    assert float(distance.compute()) == pytest.approx(whole, rel=1e-9)
    with pytest.raises(SynthError, match="must be a matrix"):
        metric(torch.zeros(3, 2, 2), real=False)
    assert {record.n_synthetic for record in metric.record().values()} == {60}


def test_a_kept_real_side_of_moments_is_not_counted_twice() -> None:
    real, made = _rows(35, 120, 4), _rows(36, 90, 4, shift=0.5)
    extractor = _Counted()
    metric = FrechetDistance(dim=4, extractor=extractor, reset_real=False)
    metric.update(real, real=True)
    for batch in made.split(30):
        alone = frechet_distance(real=real, synthetic=batch)
        assert float(metric(batch, real=False)) == pytest.approx(alone, rel=1e-9)
    assert extractor.calls == 4
    assert (float(metric.real[0]), float(metric.synthetic[0])) == (120, 90)
    whole = frechet_distance(real=real, synthetic=made)
    assert float(metric.compute()) == pytest.approx(whole, rel=1e-9)


def test_the_batches_of_vendi_add_up() -> None:
    rows = _rows(37, 70, 5)
    metric = VendiScore(dim=5)
    for batch in rows.split(35):
        alone = metrics.vendi_score(synthetic=batch).value
        assert float(metric(batch)) == pytest.approx(alone, rel=1e-10)
    expected = metrics.vendi_score(synthetic=rows).value
    assert float(metric.compute()) == pytest.approx(expected, rel=1e-10)
