r"""Seconds and peak memory of the metrics, beside the packages that compute the same numbers.

    python benchmarks/metrics.py --rounds 3
    python benchmarks/metrics.py --full        also all pairs by torchmetrics, and 50,000 rows

Every side gets the same rows or covariances from disk, in a process of its own with ``--threads``
BLAS threads; sides take turns, and the medians of the rounds count. Peak memory is that of the
whole process, Python and libraries included.

    trace       tr (Σ₁ Σ₂)^½ of two covariances, d = 2048
                  sqrtm      scipy.linalg.sqrtm(Σ₁ @ Σ₂), the formula of pytorch-fid
                  eigvals    torch.linalg.eigvals(Σ₁ @ Σ₂).sqrt().real.sum(), that of torchmetrics
    prdc        precision, recall, density, coverage, 5,000 × 2048 a side, k = 5
                  package    prdc.compute_prdc; its balls are open, as those of our preset ``prdc``
    large       ours alone on 20,000 × 768 a side, mapped from disk: memory
    kernel      kernel distance of 20,000 × 2048 a side: ours over all pairs, with a standard error
                  subsets    torchmetrics KernelInceptionDistance as it comes: 100 × 1000 rows
                  pairs      torchmetrics poly_mmd of all rows (``--full``: it holds three matrices)
    statistics  mean and covariance of 100,000 × 2048, read in batches
                  cov        numpy.cov of all rows at once

Bars: trace 10 x sqrtm and 3 x eigvals, within 1e-6; prdc 2 x the package, with its values; large
and kernel below 2 GiB; statistics below 1 GiB and within 1e-9 of numpy.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

if Path(sys.path[0]).resolve() == Path(__file__).resolve().parent:
    del sys.path[0]  # or this file would be found under the name of the package that it measures

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
PEERS = ("numpy", "scipy", "torch", "torchmetrics", "prdc", "scikit-learn")
GIB = 1024.0


@dataclass(frozen=True)
class Sizes:
    """Rows and dimensions of every task."""

    dim: int = 2048
    trace_rows: int = 8192
    prdc: int = 5000
    large: int = 20_000
    large_dim: int = 768
    kernel: int = 20_000
    statistics: int = 100_000
    batch: int = 1000


def say(text: str) -> None:
    """One line, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


# ------------------------------------------------------------------------------ the data


def write_rows(path: Path, rows: int, dim: int, seed: int) -> None:
    """Correlated float32 features, rectified as a network's are, their spread falling as 1/√i."""
    rng = np.random.default_rng(seed)
    scales = (1.0 + np.arange(dim)) ** -0.5
    mixing = np.random.default_rng(0).standard_normal((dim, dim)) * scales[:, None]
    file = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(rows, dim))
    for start in range(0, rows, 4096):
        count = min(4096, rows - start)
        draw = rng.standard_normal((count, dim), dtype=np.float32) @ mixing.astype(np.float32)
        file[start : start + count] = np.maximum(draw + np.float32(0.05 * seed), 0.0)
    file.flush()


def make_data(folder: Path, sizes: Sizes) -> None:
    """Rows of both sides of every task, and covariances."""
    for seed, side in enumerate(("real", "synthetic")):
        write_rows(folder / f"{side}.npy", sizes.kernel, sizes.dim, seed)
        write_rows(folder / f"large-{side}.npy", sizes.large, sizes.large_dim, seed)
        rows = np.load(folder / f"{side}.npy", mmap_mode="r")[: sizes.trace_rows]
        np.save(folder / f"covariance-{side}.npy", np.cov(rows.T, dtype=np.float64))
    write_rows(folder / "statistics.npy", sizes.statistics, sizes.dim, 2)


def pair(folder: Path, name: str = "", rows: int | None = None) -> tuple[Array, Array]:
    """Both sides, mapped from disk."""
    real, synthetic = (
        np.load(folder / f"{name}{side}.npy", mmap_mode="r")[:rows]
        for side in ("real", "synthetic")
    )
    return real, synthetic


def batches(path: Path, size: int) -> Iterator[Array]:
    """Rows of a file, read and not mapped: a mapped file counts as memory of the process."""
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        (rows, dim), _, dtype = np.lib.format.read_array_header_1_0(file)
        for start in range(0, rows, size):
            count = min(size, rows - start)
            yield np.fromfile(file, dtype, count * dim).reshape(count, dim)


# ------------------------------------------------------------------------------ the sides


def trace_ours(folder: Path, sizes: Sizes) -> Callable[[], Any]:
    """``metrics.frechet.trace_of_root``."""
    from metrics.frechet import trace_of_root

    one, two = (np.asarray(side) for side in pair(folder, "covariance-"))
    return lambda: trace_of_root(one, two)


def trace_sqrtm(folder: Path, sizes: Sizes) -> Callable[[], Any]:
    """The matrix square root, as pytorch-fid takes it."""
    from scipy.linalg import sqrtm

    one, two = (np.asarray(side) for side in pair(folder, "covariance-"))
    return lambda: float(np.trace(sqrtm(one.dot(two))).real)


def trace_eigvals(folder: Path, sizes: Sizes) -> Callable[[], Any]:
    """Eigenvalues of the product, as torchmetrics takes them."""
    import torch

    one, two = (torch.from_numpy(np.array(side)) for side in pair(folder, "covariance-"))
    return lambda: float(torch.linalg.eigvals(one @ two).sqrt().real.sum())


def prdc_ours(folder: Path, sizes: Sizes) -> Callable[[], Any]:
    """``metrics.prdc``: closed balls."""
    from metrics.prdc import prdc

    real, synthetic = (np.array(side, np.float64) for side in pair(folder, rows=sizes.prdc))
    return lambda: dict(prdc(real=real, synthetic=synthetic, k=5))


def prdc_preset(folder: Path, sizes: Sizes) -> Callable[[], Any]:
    """The same with open balls: what the package prints."""
    from metrics.compat import compatible

    real, synthetic = (np.array(side, np.float64) for side in pair(folder, rows=sizes.prdc))
    return lambda: compatible("prdc", real=real, synthetic=synthetic)


def prdc_package(folder: Path, sizes: Sizes) -> Callable[[], Any]:
    """``prdc.compute_prdc``."""
    from prdc import compute_prdc

    real, synthetic = (np.array(side, np.float64) for side in pair(folder, rows=sizes.prdc))
    return lambda: {
        name: float(share) for name, share in compute_prdc(real, synthetic, nearest_k=5).items()
    }


def large_ours(folder: Path, sizes: Sizes) -> Callable[[], Any]:
    """``metrics.prdc`` on mapped rows."""
    from metrics.prdc import prdc

    real, synthetic = pair(folder, "large-")
    return lambda: dict(prdc(real=real, synthetic=synthetic, k=5))


def kernel_ours(folder: Path, sizes: Sizes) -> Callable[[], Any]:
    """All pairs of mapped rows, with the jackknife behind the standard error."""
    from metrics.kernel import kernel_estimate

    real, synthetic = pair(folder)
    return lambda: kernel_estimate(real=real, synthetic=synthetic).value


def kernel_subsets(folder: Path, sizes: Sizes) -> Callable[[], Any]:
    """Torchmetrics' mean over a hundred subsets."""
    import warnings

    import torch
    from torchmetrics.image.kid import KernelInceptionDistance

    class Same(torch.nn.Module):
        """In place of Inception."""

        num_features = sizes.dim

        def forward(self, features: torch.Tensor) -> torch.Tensor:
            """Features as they are."""
            return features

    warnings.simplefilter("ignore")
    size = min(1000, sizes.kernel)
    metric = KernelInceptionDistance(feature=Same(), subset_size=size)
    for real, rows in zip((True, False), pair(folder), strict=True):
        metric.update(torch.from_numpy(np.array(rows)), real=real)
    return lambda: float(metric.compute()[0])


def kernel_pairs(folder: Path, sizes: Sizes) -> Callable[[], Any]:
    """Torchmetrics' function on all rows at once."""
    import torch
    from torchmetrics.image.kid import poly_mmd

    real, synthetic = (torch.from_numpy(np.array(rows)) for rows in pair(folder))
    return lambda: float(poly_mmd(real, synthetic))


def statistics_ours(folder: Path, sizes: Sizes) -> Callable[[], Any]:
    """One pass over batches of the file."""
    from metrics.moments import streamed_moments

    def measure() -> float:
        found = streamed_moments(batches(folder / "statistics.npy", sizes.batch))
        np.save(folder / "streamed.npy", found.covariance)
        return float(np.trace(found.covariance))

    return measure


def statistics_cov(folder: Path, sizes: Sizes) -> Callable[[], Any]:
    """Numpy's covariance of all rows."""

    def measure() -> float:
        found = np.cov(np.load(folder / "statistics.npy"), rowvar=False, dtype=np.float64)
        np.save(folder / "whole.npy", found)
        return float(np.trace(found))

    return measure


SIDES: dict[str, Callable[[Path, Sizes], Callable[[], Any]]] = {
    "trace ours": trace_ours,
    "trace sqrtm": trace_sqrtm,
    "trace eigvals": trace_eigvals,
    "prdc ours": prdc_ours,
    "prdc preset": prdc_preset,
    "prdc package": prdc_package,
    "large ours": large_ours,
    "kernel ours": kernel_ours,
    "kernel subsets": kernel_subsets,
    "kernel pairs": kernel_pairs,
    "statistics ours": statistics_ours,
    "statistics cov": statistics_cov,
}
ONCE = ("large ours", "kernel pairs")  # long, and no bar of time


# ------------------------------------------------------------------------------ measuring


def measure(side: str, folder: Path, sizes: Sizes) -> dict[str, Any]:
    """One measurement in this process."""
    run = SIDES[side](folder, sizes)
    if side.startswith("trace"):
        np.linalg.eigvalsh(np.eye(256))  # the threads of the library are up
    start = time.perf_counter()
    value = run()
    seconds = time.perf_counter() - start
    return {"value": value, "seconds": seconds, "peak_mib": peak_mib()}


def peak_mib() -> float:
    """The most this program held, where Linux says it; ``getrusage`` counts what started it too."""
    try:
        lines = Path("/proc/self/status").read_text("ascii").splitlines()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def measured_apart(side: str, folder: Path, sizes: Sizes, threads: int) -> dict[str, Any]:
    """The same in a process of its own."""
    command = [sys.executable, __file__, "--side", side, "--folder", str(folder)]
    command += ["--sizes", json.dumps(asdict(sizes))]
    env = os.environ | dict.fromkeys(THREADS, str(threads))
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=env)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def compare(
    folder: Path, sizes: Sizes, sides: Sequence[str], rounds: int, threads: int
) -> dict[str, dict[str, Any]]:
    """Sides in turns; medians over rounds, and the largest memory."""
    found: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    for number in range(rounds):
        for side, results in found.items():
            if number and side in ONCE:
                continue
            results.append(measured_apart(side, folder, sizes, threads))
            load = os.getloadavg()[0]
            say(f"round {number + 1}, {side}: {results[-1]['seconds']:.2f} s, load {load:.1f}")
    return {
        side: {
            "value": results[0]["value"],
            "seconds": statistics.median(r["seconds"] for r in results),
            "peak_mib": max(r["peak_mib"] for r in results),
        }
        for side, results in found.items()
    }


def covariance_error(folder: Path) -> float:
    """Largest difference of the two covariances over the largest entry."""
    one, two = np.load(folder / "streamed.npy"), np.load(folder / "whole.npy")
    return float(np.abs(one - two).max() / np.abs(two).max())


def bars(found: dict[str, dict[str, Any]], error: float | None) -> list[tuple[str, float, bool]]:
    """What was promised of the sides that ran, what was measured, whether it holds."""
    rows: list[tuple[str, float, bool]] = []

    def times(task: str, peer: str, bar: float) -> None:
        if {f"{task} ours", f"{task} {peer}"} <= set(found):
            ratio = found[f"{task} {peer}"]["seconds"] / found[f"{task} ours"]["seconds"]
            rows.append((f"{task}: {bar:g} x {peer}", ratio, ratio >= bar))

    def below(side: str, mib: float) -> None:
        if side in found:
            peak = found[side]["peak_mib"]
            rows.append((f"{side}: peak below {mib:g} MiB", peak, peak < mib))

    times("trace", "sqrtm", 10.0)
    times("trace", "eigvals", 3.0)
    for peer in ("sqrtm", "eigvals"):
        if {"trace ours", f"trace {peer}"} <= set(found):
            other = found[f"trace {peer}"]["value"]
            apart = abs(found["trace ours"]["value"] / other - 1.0)
            rows.append((f"trace: within 1e-6 of {peer}", apart, apart <= 1e-6))
    times("prdc", "package", 2.0)
    if {"prdc preset", "prdc package"} <= set(found):
        one, two = found["prdc preset"]["value"], found["prdc package"]["value"]
        apart = max(abs(one[name] - two[name]) for name in two)
        rows.append(("prdc: the preset has the package's values", apart, apart <= 1e-12))
    below("large ours", 2 * GIB)
    below("kernel ours", 2 * GIB)
    below("statistics ours", GIB)
    if error is not None:
        rows.append(("statistics: within 1e-9 of numpy", error, error <= 1e-9))
    return rows


def report(found: dict[str, dict[str, Any]], error: float | None) -> int:
    """The table and the bars; 0 if all hold."""
    say(f"\n{'':18}{'seconds':>9}{'MiB':>8}  value")
    for side, facts in found.items():
        value = facts["value"]
        text = f"{value:.9g}" if isinstance(value, float) else json.dumps(value)
        say(f"{side:18}{facts['seconds']:9.2f}{facts['peak_mib']:8.0f}  {text}")
    say("")
    held = True
    for name, measured, holds in bars(found, error):
        held &= holds
        say(f"{'holds' if holds else 'FAILS'}  {name}: {measured:.3g}")
    return 0 if held else 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, or take one measurement."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2, help="of BLAS, on every side")
    parser.add_argument("--tasks", nargs="+", help="trace, prdc, large, kernel, statistics")
    parser.add_argument("--full", action="store_true", help="the largest sizes and peers as well")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--side", choices=tuple(SIDES), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--sizes", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.side:
        sizes = Sizes(**json.loads(given.sizes))
        say(json.dumps(measure(given.side, given.folder, sizes)))
        return 0
    sizes = Sizes(**json.loads(given.sizes)) if given.sizes else Sizes()
    if given.full:
        sizes = Sizes(**(asdict(sizes) | {"large": 50_000}))
    sides = [
        side
        for side in SIDES
        if (not given.tasks or side.split()[0] in given.tasks)
        and (given.full or side != "kernel pairs")
    ]
    say(", ".join(f"{name} {version(name)}" for name in PEERS) + f"; {given.threads} BLAS threads")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make_data(folder, sizes)
        found = compare(folder, sizes, sides, given.rounds, given.threads)
        both = {"statistics ours", "statistics cov"} <= set(found)
        error = covariance_error(folder) if both else None
    if given.json:
        given.json.write_text(json.dumps(found | {"covariance_error": error}, indent=2) + "\n")
    return report(found, error)


if __name__ == "__main__":
    sys.exit(main())
