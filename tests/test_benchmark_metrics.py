"""The benchmark's own claims: the same numbers on both sides, read off rightly."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def benchmark(monkeypatch):
    path = Path(__file__).parents[1] / "benchmarks" / "metrics.py"
    spec = importlib.util.spec_from_file_location("benchmark_metrics", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "benchmark_metrics", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def sizes(benchmark):
    return benchmark.Sizes(
        dim=24,
        trace_rows=200,
        prdc=120,
        large=60,
        large_dim=8,
        kernel=200,
        statistics=250,
        batch=70,
    )


def test_both_sides_compute_the_same(benchmark, sizes, tmp_path):
    benchmark.make_data(tmp_path, sizes)
    found = {side: benchmark.measure(side, tmp_path, sizes) for side in benchmark.SIDES}
    value = {side: facts["value"] for side, facts in found.items()}
    assert value["trace ours"] == pytest.approx(value["trace sqrtm"], rel=1e-9)
    assert value["trace ours"] == pytest.approx(value["trace eigvals"], rel=1e-9)
    assert value["prdc preset"] == pytest.approx(value["prdc package"], abs=1e-12)
    assert value["prdc ours"] == pytest.approx(value["prdc preset"], abs=0.02)
    assert value["kernel ours"] == pytest.approx(value["kernel pairs"], rel=1e-3)
    assert value["kernel subsets"] == pytest.approx(value["kernel pairs"], rel=1e-3)
    assert benchmark.covariance_error(tmp_path) < 1e-9
    rows = np.concatenate(list(benchmark.batches(tmp_path / "statistics.npy", 70)))
    assert np.array_equal(rows, np.load(tmp_path / "statistics.npy"))
    assert all(facts["seconds"] > 0 and facts["peak_mib"] > 10 for facts in found.values())


def test_one_side_in_a_process_of_its_own(benchmark, sizes, tmp_path):
    benchmark.make_data(tmp_path, sizes)
    found = benchmark.measured_apart("trace ours", tmp_path, sizes, 1)
    assert found["value"] == benchmark.measure("trace ours", tmp_path, sizes)["value"]


def _found(seconds):
    shares = {"precision": 0.5}
    values = {"trace ours": 1.0, "trace sqrtm": 1.0, "trace eigvals": 1.0}
    values |= {"prdc ours": shares, "prdc preset": shares, "prdc package": shares}
    values |= {"large ours": shares, "kernel ours": 0.1, "statistics ours": 1.0}
    return {
        side: {"value": value, "seconds": seconds.get(side, 1.0), "peak_mib": 900.0}
        for side, value in values.items()
    }


_GOOD = {"trace sqrtm": 11.0, "trace eigvals": 3.5, "prdc package": 2.5}


@pytest.mark.parametrize(
    ("change", "error", "broken"),
    [
        ({}, 1e-12, None),
        ({"trace sqrtm": 9.0}, 1e-12, "10 x sqrtm"),
        ({"trace eigvals": 2.9}, 1e-12, "3 x eigvals"),
        ({"prdc package": 1.9}, 1e-12, "2 x package"),
        ({}, 1e-8, "within 1e-9 of numpy"),
    ],
)
def test_bars_are_judged(benchmark, capsys, change, error, broken):
    code = benchmark.report(_found(_GOOD | change), error)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("FAILS")]
    assert code == (broken is not None)
    assert len(lines) == code
    assert broken is None or broken in lines[0]


def test_other_values_and_too_much_memory_break_bars(benchmark):
    found = _found(_GOOD)
    found["prdc preset"] = found["prdc preset"] | {"value": {"precision": 0.5001}}
    found["trace ours"] = found["trace ours"] | {"value": 1.00001}
    for side, peak in (
        ("large ours", 2100.0),
        ("kernel ours", 2050.0),
        ("statistics ours", 1030.0),
    ):
        found[side] = found[side] | {"peak_mib": peak}
    broken = [name for name, _, holds in benchmark.bars(found, None) if not holds]
    assert len(broken) == 6
    assert json.dumps(found)
