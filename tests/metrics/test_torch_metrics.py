from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from counted import Counted
from numpy.random import RandomState
from torch import Tensor

import metrics
from metrics import torch_metrics
from metrics.frechet import frechet_distance
from metrics.torch_metrics import (
    FrechetDistance,
    KernelDistance,
    Prdc,
    VendiScore,
)
from metrics.torch_metrics.names import coded, numbered, read
from metrics.torch_metrics.sides import SidesMetric
from synth.errors import SynthError


def _rows(seed: int, *shape: int, shift: float = 0.0) -> Tensor:
    return torch.tensor(RandomState(seed).randn(*shape) + shift)


_PROCESS = """
import json, sys, torch, torch.distributed as dist
from metrics.torch_metrics import FrechetDistance, ImageTextAlignment, KernelDistance, VendiScore
rank, store, data = int(sys.argv[1]), sys.argv[2], sys.argv[3]
dist.init_process_group("gloo", init_method="file://" + store, rank=rank, world_size=2)
rows = torch.load(data, weights_only=True)
mine = {side: x[:40] if rank == 0 else x[40:] for side, x in rows.items()}
first = 0 if rank == 0 else 40
groups = [f"p{(first + row) // 2}" for row in range(len(mine["real"]))]
out = {}
plain, reduced = FrechetDistance(dim=4, estimator="plug-in"), FrechetDistance(dim=4)
kernel, vendi, texts = KernelDistance(), VendiScore(), ImageTextAlignment()
for metric in (plain, reduced, kernel):
    metric.update(mine["real"], real=True, groups=groups)
    metric.update(mine["synthetic"], real=False)
vendi.update(mine["synthetic"])
vendi.update(mine["real"], real=True)
texts.update(mine["synthetic"], mine["real"][: len(mine["synthetic"])])
for name, metric in dict(plain=plain, reduced=reduced, kernel=kernel, vendi=vendi).items():
    out[name] = float(metric.compute())
with kernel.sync_context():
    out["kernel se"] = kernel.record().se
with vendi.sync_context():
    out["vendi real"] = vendi.record().details["real"]
step = KernelDistance(keep=("real",), dist_sync_on_step=True)
step.update(mine["real"], real=True)
assert step(mine["real"][:0], real=True) is None  # nothing to compare with, and no harm done
out["batch"] = float(step(mine["synthetic"], real=False))
out["own"] = len(mine["real"]) == step.record().n_real
out["cosine"] = float(texts.compute()["cosine"])
print(json.dumps(out))
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
    real, made = rows["real"], rows["synthetic"]
    groups = [f"p{row // 2}" for row in range(110)]
    single = FrechetDistance(dim=4)
    single.update(real, real=True, groups=groups)
    for part in (made[:40], made[40:]):  # in turn within each process
        alone = FrechetDistance(dim=4)
        alone.update(part, real=False)
        single.merge_state(alone)
    kernel = KernelDistance()
    kernel.update(real, real=True, groups=groups)
    kernel.update(made, real=False)
    vendi = metrics.vendi_score(synthetic=made.float(), real=real.float())
    one, two = (
        side / side.norm(dim=1, keepdim=True)
        for side in (made, torch.cat([real[:40], real[40:90]]))
    )
    expected = {
        "plain": frechet_distance(real=real, synthetic=made),
        "reduced": single.record().value,
        "kernel": metrics.kernel_distance(real=real.float(), synthetic=made.float()).value,
        "kernel se": kernel.record().se,
        "vendi": vendi.value,
        "vendi real": vendi.details["real"],
        "batch": metrics.kernel_distance(real=real.float(), synthetic=made.float()).value,
        "own": True,
        "cosine": float((one * two).sum(dim=1).mean()),
    }
    for out, _ in said:
        assert json.loads(out) == pytest.approx(expected, rel=1e-6)


def test_vendi_compares_with_real_images_at_equal_n() -> None:
    rows, real = _rows(8, 70, 5), _rows(9, 150, 5)
    one, two = VendiScore(settings={"q": 2.0}), VendiScore(settings={"q": 2.0})
    one.update(rows[:20])
    two.update(rows[20:], real=False)
    two.update(real, real=True)
    two.merge_state(one)
    expected = metrics.vendi_score(
        synthetic=torch.cat([rows[:20], rows[20:]]).float(), real=real.float(), q=2.0
    )
    found = two.record()
    assert float(two.compute()) == found.value == pytest.approx(expected.value, rel=1e-10)
    assert found.details == pytest.approx(expected.details)
    assert found.floor == expected.floor
    assert one.record().n_real == 0
    one.update(torch.zeros(2, 5))
    with pytest.raises(SynthError, match="no direction"):
        one.compute()
    with pytest.raises(SynthError, match="synthetic: no images"):
        VendiScore().record()


_FUNCTIONS = {
    "KernelDistance": "kernel_distance",
    "MmdRbf": "mmd_rbf",
    "SlicedWasserstein": "sliced_wasserstein",
    "C2st": "c2st",
    "Authenticity": "authenticity",
    "NearestNeighbourAuc": "nearest_neighbour_auc",
    "DataCopying": "data_copying",
    "CopyRate": "copy_rate",
    "Mifid": "mifid",
    "VendiScore": "vendi_score",
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


def test_a_batch_has_its_own_value_and_is_taken_in_once() -> None:
    real, made = _rows(30, 200, 4), _rows(31, 100, 4, shift=0.3)
    extractor = Counted()
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
    metric, distance = Prdc(settings={"k": 3}), FrechetDistance(dim=4, estimator="plug-in")
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


def test_the_batches_of_vendi_add_up() -> None:
    rows = _rows(37, 70, 5)
    metric = VendiScore()
    for batch in rows.split(35):
        alone = metrics.vendi_score(synthetic=batch.float()).value
        assert float(metric(batch)) == pytest.approx(alone, rel=1e-10)
    expected = metrics.vendi_score(synthetic=rows.float()).value
    assert float(metric.compute()) == pytest.approx(expected, rel=1e-10)


def test_names_come_back_and_long_ones_stay_apart() -> None:
    names = ["p1", "Ä b", "", "x" * 64, "y" * 70 + "a", "y" * 70 + "b", "é" * 40]
    found = read(coded(names, 7, where="x"))
    assert found[:4] == names[:4]
    assert len(set(found)) == 7
    assert found == read(coded(names, 7, where="x"))
    assert len(set(numbered(names, 7, where="x").tolist())) == 7
    assert (
        numbered(names[::-1], 7, where="x").tolist()[::-1] == numbered(names, 7, where="x").tolist()
    )


def test_every_class_is_a_function_of_its_name_and_has_a_record() -> None:
    for name in torch_metrics.__all__:
        words = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
        assert words.lstrip("_") in metrics.__all__, name
        kind = getattr(torch_metrics, name)
        assert callable(kind.record), name
        if issubclass(kind, SidesMetric):
            taken = inspect.signature(kind.measure).parameters
            named = {key for key in taken if key.endswith(("_groups", "labels"))}
            assert set(kind.names.values()) == named, name
            assert set(kind.sides) <= set(taken), name
            least = {side for side in kind.sides if taken[side].default is inspect.Parameter.empty}
            assert set(kind.sides) - set(kind.optional) == least, name


@pytest.mark.parametrize("name", [*_FUNCTIONS, "Prdc"])
def test_patients_are_those_of_the_function(name: str) -> None:
    kind: Any = getattr(torch_metrics, name)
    metric = kind()
    rows = {side: _rows(50 + i, 60, 6).float() for i, side in enumerate(kind.sides)}
    groups = [f"p{row // 4}" for row in range(60)]
    given: dict[str, Any] = {}
    for side, values in rows.items():
        names = groups if side in kind.names else None
        metric.update(values[:24], side=side, groups=names and names[:24])
        metric.update(values[24:], side=side, groups=names and names[24:])
        if names is not None:
            given[kind.names[side]] = names
    function = getattr(metrics, _FUNCTIONS.get(name, "prdc"))
    expected = function(**rows, **given)
    found = metric.record()
    if name == "Prdc":
        assert {key: record.ci for key, record in found.items()} == {
            key: record.ci for key, record in expected.items()
        }
        return
    assert (found.value, found.se, found.ci) == (expected.value, expected.se, expected.ci)
    plain = function(**rows)
    if kind.names:
        assert found.to_json() != plain.to_json()
    without = [side for side in kind.sides if side not in kind.names]
    for side in without:
        with pytest.raises(SynthError, match="takes no names of these rows"):
            metric.update(rows[side], side=side, groups=groups)
    for side in kind.names:
        metric.update(rows[side], side=side)
        with pytest.raises(SynthError, match="names for some rows only"):
            metric.record()
        break


def test_the_functions_are_callables_and_load_no_torch() -> None:
    script = (
        "import sys, metrics, inspect\n"
        "assert all(inspect.isfunction(getattr(metrics, name)) for name in metrics.__all__)\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True, timeout=60)
    # Functions stay what the names mean once the modules of the same names are loaded.
    assert all(inspect.isfunction(getattr(metrics, name)) for name in metrics.__all__)
    wanted = {"texture_ratio", "memorization", "label_fidelity", "copies_by_finding"}
    wanted |= {"nearest_share", "expected_coverage", "image_text_alignment"}
    assert wanted <= set(metrics.__all__)
