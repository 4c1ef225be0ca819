"""The benchmark's own claims: the same work on both sides, compared, and read off rightly."""

import importlib.util
import os
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def benchmark(monkeypatch):
    path = Path(__file__).parents[1] / "benchmarks" / "sample.py"
    spec = importlib.util.spec_from_file_location("benchmark_sample", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "benchmark_sample", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def work(benchmark, tiny_pipeline):
    return benchmark.Work(
        weights=str(tiny_pipeline), images=6, distinct=3, batch=4, steps=3, alone=2, threads=1
    )


def test_texts_repeat_evenly_in_a_fixed_shuffled_order(benchmark):
    prompts = benchmark.Work().prompts
    assert set(Counter(prompts).values()) == {4}
    assert len(prompts) == 256
    assert prompts == benchmark.Work().prompts
    assert prompts[:64] != sorted(set(prompts), key=prompts.index)


@pytest.mark.parametrize("at_a_time", [1, 4])
def test_both_sides_make_the_same_images(benchmark, work, at_a_time):
    work = replace(work, weights="builtin:tiny")  # grey, so that no side has channels to average
    stock = np.stack([np.asarray(i) for i in benchmark.peer(work, at_a_time=at_a_time)(0, 6)])
    mine = np.stack(benchmark.ours(work)(0, 6))
    assert stock.shape == mine.shape
    assert np.abs(mine.astype(int) - stock.astype(int)).max() <= benchmark.SAME["fp32"]
    assert len({image.tobytes() for image in mine}) == 6


def test_guidance_only_in_an_interval_is_other_mathematics(benchmark, work):
    part = np.stack(benchmark.ours(work, interval=benchmark.INTERVAL)(0, 4))
    assert not np.array_equal(part, np.stack(benchmark.ours(work)(0, 4)))


def test_the_dataset_side_writes_what_the_others_make(benchmark, work, tmp_path, monkeypatch):
    from synth.manifest import open_dataset

    seen = benchmark.write_dataset(work, tmp_path).seen
    assert [done for done, _, _ in seen] == [0, 4, 6]
    assert all(held > 10 for _, _, held in seen)
    rows = open_dataset(tmp_path / "run" / "synthetic").rows
    assert [row.text for row in rows] == work.prompts


def test_workers_are_timed_by_their_files_without_the_first(benchmark, tmp_path):
    for at, second in enumerate((0, 0, 10, 12, 14, 14)):  # the start of the second took 10 s
        path = tmp_path / "images" / "0000" / f"{at}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (1e9 + second, 1e9 + second))
    assert benchmark.steady(tmp_path, first=3) == pytest.approx(3 / 4)
    with pytest.raises(SystemExit, match="more than 6 images"):
        benchmark.steady(tmp_path, first=6)


def test_a_difference_of_images_is_found(benchmark, tmp_path):
    np.save(tmp_path / "ours.npy", np.full((2, 4, 4), 100, np.uint8))
    np.save(tmp_path / "batched.npy", np.full((2, 4, 4), 103, np.uint8))
    assert benchmark.difference(tmp_path) == 3


@pytest.mark.parametrize(
    ("speed", "apart", "code"), [(4.0, 0, 0), (4.0, 2, 1), (2.9, 0, 1), (3.1, 1, 0)]
)
def test_bars_are_judged_on_the_same_images_alone(benchmark, capsys, speed, apart, code):
    sides = {"batched": 2.0, "alone": 1.0, "ours": 1.0, "workers": speed, "interval": 99.0}
    summary = {side: {"images_per_second": s, "peak_mib": 1.0} for side, s in sides.items()}
    summary["workers"]["with_start"] = 0.77
    assert benchmark.report(summary, apart) == code
    lines = capsys.readouterr().out.splitlines()
    assert any("workers" in line and f"{speed / 2:.2f}" in line for line in lines)
    assert "workers with the start of their processes: 0.77 images/s" in lines


def test_memory_that_grows_is_reported(benchmark, work, tmp_path, monkeypatch, capsys):
    watch = benchmark.Watch()
    monkeypatch.setattr(benchmark, "write_dataset", lambda *_: watch)
    watch.seen = [(0, 0.0, 90.0), (1, 1.0, 100.0), (6, 2.0, 104.0)]
    assert benchmark.memory(work, tmp_path) == 0
    watch.seen[-1] = (6, 2.0, 106.0)
    assert benchmark.memory(work, tmp_path) == 1
    assert "at most 1.06 times" in capsys.readouterr().out
