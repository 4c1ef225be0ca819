"""Float32 tiles decide as float64 differences do, whatever the rows, and hold no large matrix."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.random import RandomState
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

import metrics.balls
import metrics.clouds
import metrics.neighbours
from metrics.balls import Blocks, balls
from metrics.clouds import clouds
from metrics.kernel import kernel_distance
from metrics.neighbours import reach
from metrics.prdc import prdc

Floats = NDArray[np.floating]


def _brute_radii(rows: Floats, k: int) -> Floats:
    squared = cdist(rows.astype(np.float64), rows.astype(np.float64), "sqeuclidean")
    np.fill_diagonal(squared, np.inf)
    return np.sort(squared, axis=1)[:, k - 1]


def _collapsed(stream: RandomState) -> Floats:
    """Twenty points around each of ten centres, closer to each other than float32 can tell."""
    return np.repeat(10 * stream.randn(10, 90), 20, axis=0) + 1e-6 * stream.randn(200, 90)


def _heavy(stream: RandomState) -> Floats:
    return stream.standard_t(1.5, size=(200, 90))  # norms differ by orders of magnitude


_KINDS: dict[str, Callable[[RandomState], Floats]] = {
    "gaussian": lambda stream: stream.randn(200, 90),
    "single": lambda stream: stream.randn(200, 90).astype(np.float32),
    "far": lambda stream: stream.randn(200, 90) + 1e4,
    "tiny": lambda stream: 1e-25 * stream.randn(200, 90),
    "huge": lambda stream: 1e25 * stream.randn(200, 90),
    "heavy": _heavy,
    "collapsed": _collapsed,
    "lattice": lambda stream: stream.randint(0, 2, size=(200, 5)).astype(np.float64),
    "line": lambda stream: stream.randn(200, 1),
}


@pytest.mark.parametrize("tile", [2048, 33])
@pytest.mark.parametrize("kind", _KINDS)
def test_radii_and_balls_are_those_of_all_differences(
    kind: str, tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics.clouds, "_TILE", tile)
    one, two = _KINDS[kind](RandomState(0)), _KINDS[kind](RandomState(1))
    two[:20] = one[:20]  # copies lie at distance 0
    for k in (1, 5):
        own, other = _brute_radii(one, k), _brute_radii(two, k)
        assert reach(one, k).squared == pytest.approx(own, rel=1e-12, abs=0)
        squared = cdist(one.astype(np.float64), two.astype(np.float64), "sqeuclidean")
        # Ties up to rounding: differences are summed in another order here.
        slack = 1e-12 if kind != "lattice" else 0.0
        found = balls(one, two, k)
        inside = squared <= own[:, None] * (1 + slack)
        assert found.holding[:, 0].tolist() == inside.sum(axis=0).tolist()
        assert found.held[:, 0].tolist() == inside.sum(axis=1).tolist()
        assert found.inside[:, 0].tolist() == (squared <= other * (1 + slack)).sum(axis=1).tolist()
        strict = balls(one, two, k, closed=False)
        inner = squared < own[:, None] * (1 - slack)
        assert strict.holding[:, 0].tolist() == inner.sum(axis=0).tolist()


def test_counts_by_block_add_up_and_the_nearest_are_named() -> None:
    stream = RandomState(6)
    one, two = stream.randn(90, 5), stream.randn(70, 5)
    by = Blocks(stream.randint(0, 3, 90), stream.randint(0, 3, 70), 3)
    found, whole = balls(one, two, 4, blocks=by), balls(one, two, 4)
    for name in ("holding", "held", "inside"):
        assert getattr(found, name).shape[1] == 3
        assert (getattr(found, name).sum(axis=1) == getattr(whole, name)[:, 0]).all()
    squared = cdist(one, two, "sqeuclidean")
    within = squared <= _brute_radii(one, 4)[:, None]
    for block in range(3):
        assert (found.holding[:, block] == within[by.first == block].sum(axis=0)).all()
        assert (found.held[:, block] == within[:, by.second == block].sum(axis=1)).all()
    own = cdist(one, one)
    np.fill_diagonal(own, np.inf)
    assert (np.sort(found.nearest) == np.sort(np.argsort(own, axis=1)[:, :4])).all()


def test_float32_alone_would_decide_otherwise() -> None:
    """What the second look is for: without it these clusters lose their neighbours."""
    rows = _collapsed(RandomState(2))
    single = rows.astype(np.float32)
    products = (single**2).sum(axis=1)[:, None] + (single**2).sum(axis=1) - 2 * single @ single.T
    np.fill_diagonal(products, np.inf)
    naive = np.sort(products, axis=1)[:, 0]
    assert (np.abs(naive - _brute_radii(rows, 1)) > 0.5 * _brute_radii(rows, 1)).mean() > 0.9
    assert reach(rows, 1).squared == pytest.approx(_brute_radii(rows, 1), rel=1e-12)


@pytest.mark.parametrize("kind", ["gaussian", "single", "far", "heavy"])
def test_the_error_of_a_tile_stays_below_its_bound(kind: str) -> None:
    (cloud,) = clouds(_KINDS[kind](RandomState(3)))
    rows = cloud.part(slice(0, 200), np.float32)
    tile = metrics.clouds.products(rows, rows, cloud.norms, cloud.norms)
    exact = cdist(*[cloud.rows.astype(np.float64)] * 2, "sqeuclidean") * cloud.scale**2
    bound = metrics.clouds.relative_error(90, np.float32) * np.maximum(cloud.norms[:, None], exact)
    ratio = np.abs(tile - exact) / np.maximum(bound, 1e-300)
    np.fill_diagonal(ratio, 0.0)
    assert ratio.max() < 1.0
    assert ratio.max() > 1e-4  # a bound that says something


def test_where_the_bound_says_nothing_float64_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = metrics.clouds.relative_error
    assert plain(10**8, np.float32) == 1e6
    for module in (metrics.neighbours, metrics.balls):
        monkeypatch.setattr(
            module, "relative_error", lambda d, t: 1e6 if t is np.float32 else plain(d, t)
        )
    one, two = RandomState(7).randn(2, 150, 20)
    squared, own = cdist(one, two, "sqeuclidean"), _brute_radii(one, 5)
    assert reach(one, 5).squared == pytest.approx(own, rel=1e-12)
    expected = (squared <= own[:, None]).sum(axis=0)
    assert balls(one, two, 5).holding[:, 0].tolist() == expected.tolist()


def test_many_copies_need_no_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0
    plain = np.subtract

    def counted(*sides: Floats, **kwargs: object) -> Floats:
        nonlocal asked
        asked += len(sides[0])
        return plain(*sides, **kwargs)  # type: ignore[call-overload, no-any-return]

    rows = np.repeat(RandomState(4).randn(4, 90), 100, axis=0)
    monkeypatch.setattr(metrics.clouds.np, "subtract", counted)
    assert (reach(rows, 5).squared == 0).all()
    assert asked < 50 * len(rows)  # and not every pair of them


_MEMORY = """
import sys, numpy as np
from metrics.{module} import {name}

def peak():  # of this program alone: getrusage counts the one that started it too
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

real, synthetic = (np.load(path, mmap_mode="r") for path in sys.argv[1:])
{name}(real=real[:600], synthetic=synthetic[:600])
before = peak()
{name}(real=real, synthetic=synthetic)
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux says what it holds")
@pytest.mark.parametrize(
    ("module", "name", "shape", "most"),
    [
        ("prdc", "prdc", (6000, 32), 200),  # a float64 matrix of pairs has 275 MiB
        ("kernel", "kernel_distance", (6000, 32), 200),
        ("frechet", "frechet_distance", (60_000, 256), 220),  # 117 are mapped, copies have 234
    ],
)
def test_mapped_features_are_not_copied_and_no_matrix_of_pairs_is_held(
    module: str, name: str, shape: tuple[int, int], most: float, tmp_path: Path
) -> None:
    paths = [tmp_path / "real.npy", tmp_path / "synthetic.npy"]
    for seed, path in enumerate(paths):
        np.save(path, np.random.default_rng(seed).standard_normal(shape, dtype=np.float32))
    code = _MEMORY.format(module=module, name=name)
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, paths)], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < most


def test_float32_and_float64_features_give_one_answer() -> None:
    one, two = RandomState(5).randn(2, 300, 70).astype(np.float32)
    double = one.astype(np.float64), two.astype(np.float64)
    assert prdc(real=one, synthetic=two) == prdc(real=double[0], synthetic=double[1])
    offset = one + np.float32(3), two + np.float32(3)
    single = kernel_distance(real=offset[0], synthetic=offset[1])
    exact = kernel_distance(
        real=offset[0].astype(np.float64), synthetic=offset[1].astype(np.float64)
    )
    assert single == pytest.approx(exact, rel=1e-4)
