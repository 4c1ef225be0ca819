"""torchmetrics 1.9: FID from raw moments, KID over subsets in float32, MiFID."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metrics.arrays import Floats
from synth.errors import SynthError

DEFECTS = (
    "FID is biased upwards by O(1/n), and its raw second moments cancel where the mean is large "
    "beside the spread",
    "the KID standard deviation is that of subsets, not the standard error of the mean",
    "MiFID averages over real images the distance to synthetic ones, the paper's direction "
    "reversed: a generator that copies a few training images is not penalised",
)


def printed(real: Floats, synthetic: Floats) -> dict[str, float]:
    """FID, KID with subsets of at most 1000 under ``torch.manual_seed(0)``, and MiFID."""
    mean, spread = float32_kid(real, synthetic, size=min(1000, len(real), len(synthetic)))
    return {
        "FrechetInceptionDistance": raw_moment_fid(real, synthetic),
        "KernelInceptionDistance_mean": mean,
        "KernelInceptionDistance_std": spread,
        "MemorizationInformedFrechetInceptionDistance": reversed_mifid(real, synthetic),
    }


def raw_moment_fid(real: Floats, synthetic: Floats) -> float:
    """Fréchet distance with covariances from Σ x xᵀ - n μ μᵀ."""
    mean_1, s1 = _raw_moments(real)
    mean_2, s2 = _raw_moments(synthetic)
    return _distance(mean_1, s1, mean_2, s2)


def _raw_moments(rows: Floats) -> tuple[Floats, Floats]:
    n = len(rows)
    mean: Floats = rows.sum(axis=0) / n
    covariance: Floats = (rows.T @ rows - n * np.outer(mean, mean)) / (n - 1)
    return mean, covariance


def _distance(mean_1: Floats, s1: Floats, mean_2: Floats, s2: Floats) -> float:
    roots = np.sqrt(np.linalg.eigvals(s1 @ s2).astype(np.complex128))
    shift = mean_1 - mean_2
    return float(shift @ shift + np.trace(s1) + np.trace(s2) - 2.0 * roots.real.sum())


def float32_kid(
    real: Floats, synthetic: Floats, *, subsets: int = 100, size: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Mean and standard deviation over random subsets, drawn as after ``torch.manual_seed(seed)``.

    Raises:
        SynthError: a side smaller than a subset, as the tool refuses it.
    """
    import torch

    if min(len(real), len(synthetic)) < size:
        raise SynthError("a subset is larger than the set", where="torchmetrics", got=size)
    one, two = real.astype(np.float32), synthetic.astype(np.float32)
    generator = torch.Generator().manual_seed(seed)
    values = []
    for _ in range(subsets):
        left = torch.randperm(len(one), generator=generator)[:size].numpy()
        right = torch.randperm(len(two), generator=generator)[:size].numpy()
        values.append(_half_unbiased(one[left], two[right]))
    return float(np.mean(values)), float(np.std(values))


def _half_unbiased(one: NDArray[np.float32], two: NDArray[np.float32]) -> float:
    scale, m = np.float32(1.0 / one.shape[1]), len(one)
    rr, ss, rs = (
        (a @ b.T * scale + np.float32(1.0)) ** 3 for a, b in ((one, one), (two, two), (one, two))
    )
    within = (rr.sum(axis=1) - np.diag(rr)).sum() + (ss.sum(axis=1) - np.diag(ss)).sum()
    return float(within / (m * (m - 1)) - 2.0 * rs.sum() / m**2)


def reversed_mifid(real: Floats, synthetic: Floats, *, eps: float = 0.1) -> float:
    """FID over the mean, over real rows, of the smallest 1 - |cos| to a synthetic row."""
    mean_1, mean_2 = real.mean(axis=0), synthetic.mean(axis=0)
    s1, s2 = np.atleast_2d(np.cov(real.T)), np.atleast_2d(np.cov(synthetic.T))
    fid = _distance(mean_1, s1, mean_2, s2)
    if fid <= 1e-8:
        return 0.0
    one, two = _unit(real[real.sum(axis=1) != 0]), _unit(synthetic[synthetic.sum(axis=1) != 0])
    nearest = 1.0 - np.array([np.abs(row @ two.T).max() for row in one])
    distance = float(nearest.mean())
    return fid / ((distance if distance < eps else 1.0) + 10e-15)


def _unit(rows: Floats) -> Floats:
    unit: Floats = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit
