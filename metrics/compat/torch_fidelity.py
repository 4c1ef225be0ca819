"""torch-fidelity 0.4.0: FID by eigenvalues, KID over subsets, precision and recall at k = 3."""

from __future__ import annotations

import numpy as np
from scipy.special import log_softmax

from metrics.arrays import Floats
from metrics.prdc import prdc
from synth.errors import SynthError

DEFECTS = (
    "FID is biased upwards by O(1/n), and loses half its digits on rank-deficient covariances",
    "the KID standard deviation is that of subsets, not the standard error of the mean",
)
SPLITS = 10  # of the Inception Score
_SEED = 2020  # its rng_seed


def printed(real: Floats, synthetic: Floats) -> dict[str, float]:
    """Its output keys, as far as features alone give them; KID with subsets of at most 1000."""
    mean, spread = subset_kid(real, synthetic, size=min(1000, len(real), len(synthetic)))
    shares = prdc(real=real, synthetic=synthetic, k=3)
    precision, recall = shares["precision"], shares["recall"]
    return {
        "frechet_inception_distance": eigenvalue_fid(real, synthetic),
        "kernel_inception_distance_mean": mean,
        "kernel_inception_distance_std": spread,
        "precision": precision,
        "recall": recall,
        "f_score": 2 * precision * recall / max(1e-5, precision + recall),
    }


def eigenvalue_fid(real: Floats, synthetic: Floats) -> float:
    """Fréchet distance with tr √(Σ₁Σ₂) as the sum of root eigenvalues of the product."""
    s1, s2 = np.atleast_2d(np.cov(real.T)), np.atleast_2d(np.cov(synthetic.T))
    # Complex: rounding makes eigenvalues of singular products negative, whose real root is NaN.
    roots = np.sqrt(np.linalg.eigvals(s1 @ s2).astype(np.complex128))
    shift = real.mean(axis=0) - synthetic.mean(axis=0)
    return float(shift @ shift + np.trace(s1) + np.trace(s2) - 2.0 * roots.real.sum())


def subset_kid(
    real: Floats, synthetic: Floats, *, subsets: int = 100, size: int = 1000, seed: int = _SEED
) -> tuple[float, float]:
    """Mean and standard deviation of the kernel distance over random subsets.

    Raises:
        SynthError: a side smaller than a subset, as the tool refuses it.
    """
    if min(len(real), len(synthetic)) < size:
        raise SynthError(
            "a subset is larger than the set",
            where="torch-fidelity",
            got=min(len(real), len(synthetic)),
            expected=f"at least {size}",
        )
    stream = np.random.RandomState(seed)
    values = []
    for _ in range(subsets):
        one = real[stream.choice(len(real), size, replace=False)]
        two = synthetic[stream.choice(len(synthetic), size, replace=False)]
        values.append(_half_unbiased(one, two))
    return float(np.mean(values)), float(np.std(values))


def _half_unbiased(one: Floats, two: Floats) -> float:
    """U-statistic within the sides, full mean between them; equal sizes."""
    dim, m = one.shape[1], len(one)
    rr, ss, rs = ((a @ b.T / dim + 1.0) ** 3 for a, b in ((one, one), (two, two), (one, two)))
    within = rr.sum() - np.trace(rr) + ss.sum() - np.trace(ss)
    return float(within / (m * (m - 1)) - 2.0 * rs.mean())


def inception_score(
    logits: Floats, *, splits: int = SPLITS, shuffle: bool = True, seed: int = _SEED
) -> tuple[float, float]:
    """Mean and standard deviation over splits of exp E KL(p(y|x) | p(y)); logits [n, classes]."""
    if shuffle:
        logits = logits[np.random.RandomState(seed).permutation(len(logits))]
    log_p = log_softmax(logits, axis=1)
    n, scores = len(logits), []
    for part in range(splits):
        chosen = log_p[part * n // splits : (part + 1) * n // splits]
        p = np.exp(chosen)
        divergence = (p * (chosen - np.log(p.mean(axis=0)))).sum(axis=1).mean()
        scores.append(np.exp(divergence))
    return float(np.mean(scores)), float(np.std(scores))
