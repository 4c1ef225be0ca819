"""Fréchet distance between Gaussians fitted to features (Dowson & Landau 1982, eq. 4).

    d² = |μr - μs|² + tr Σr + tr Σs - 2 |Lrᵀ Ls|_*        Σ = L Lᵀ, |·|_* the nuclear norm

Everything is centred and float64. The trace term comes from Cholesky and ``eigvalsh``, or from the
nuclear norm of the centred data where a covariance is singular. ``scipy.linalg.sqrtm`` is never
used: it is slow, and its imaginary parts depend on the SciPy version.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metrics.arrays import Floats, Groups, block_count, blocks, feature_pair, halves, picked
from metrics.intervals import jackknife
from metrics.records import Estimate
from synth.errors import SynthError

_NEGATIVE = 1e-8  # relative size of a negative eigenvalue that is more than rounding
_DIGITS = 1e-11  # relative error of the trace term up to which eigenvalues need no singular values
_BLOCKS = 10
_LEAST_BLOCKS = 5  # fewer leave a Student t interval with next to no degrees of freedom


def frechet_distance(*, real: ArrayLike, synthetic: ArrayLike) -> float:
    """Squared Fréchet distance between two sets of features, biased upwards by O(1/n).

    Args:
        real: [n, d] features of real images.
        synthetic: [m, d] features of synthetic images from the same extractor.

    Returns:
        A value ≥ 0 up to rounding, in squared feature units.

    Raises:
        SynthError: fewer than two rows a side, different dimensions or non-finite values.
    """
    one, two = feature_pair(real, synthetic)
    shift = one.mean(axis=0) - two.mean(axis=0)
    a = (one - one.mean(axis=0)) / np.sqrt(len(one) - 1)
    b = (two - two.mean(axis=0)) / np.sqrt(len(two) - 1)
    traces = float((a**2).sum() + (b**2).sum())
    return float(shift @ shift) + traces - 2.0 * _overlap(a, b)


def frechet_from_moments(
    *,
    real_mean: ArrayLike,
    real_covariance: ArrayLike,
    synthetic_mean: ArrayLike,
    synthetic_covariance: ArrayLike,
) -> float:
    """The same distance from means [d] and covariances [d, d], as statistics files hold them.

    Raises:
        SynthError: shapes disagree, values are not finite, or a covariance is not symmetric and
            positive semi-definite.
    """
    mean_1, s1 = _moments("real", real_mean, real_covariance)
    mean_2, s2 = _moments("synthetic", synthetic_mean, synthetic_covariance)
    if mean_1.shape != mean_2.shape:
        raise SynthError(
            "features have different dimensions",
            where="real and synthetic",
            got=f"{len(mean_1)} and {len(mean_2)}",
            fix="Take both from the same extractor.",
        )
    shift = mean_1 - mean_2
    traces = float(np.trace(s1) + np.trace(s2))
    return float(shift @ shift) + traces - 2.0 * trace_of_root(s1, s2)


def trace_of_root(one: Floats, two: Floats) -> float:
    """Tr (Σ₁ Σ₂)^½ of two covariances [d, d], symmetric and positive semi-definite.

    The eigenvalues of Lᵀ Σ₂ L cost half of the singular values of Lᵀ L₂, of which they are the
    squares. Squares lose the digits of small values, so they are used where a bound on what is
    lost allows it.

    Raises:
        SynthError: a covariance has a negative eigenvalue.
    """
    factor = _factor(one)
    inner: Floats = factor.T @ two @ factor
    values = np.linalg.eigvalsh((inner + inner.T) / 2)
    error = 4.0 * np.finfo(np.float64).eps * float(np.abs(values).max())
    if values.min() > 100.0 * error:
        roots: Floats = np.sqrt(values)
        total = float(roots.sum())
        if error * float((0.5 / roots).sum()) <= _DIGITS * total:
            return total
    # Two factors, not Σ₁Σ₂: singular values keep the digits that squared ones lose.
    return float(np.linalg.svd(factor.T @ _factor(two), compute_uv=False).sum())


def frechet_estimate(
    *,
    real: ArrayLike,
    synthetic: ArrayLike,
    real_groups: Groups = None,
    synthetic_groups: Groups = None,
    seed: int = 0,
) -> Estimate:
    """Bias-reduced distance with a block-jackknife interval, or the reason for withholding it.

    Blocks hold whole patients. The interval holds for near-Gaussian features with enough rows and
    is too narrow otherwise, so it is withheld for n < 10 d, and whenever two real halves that share
    no patient come out significantly apart. The value may be negative near zero; it is not clipped.

    Raises:
        SynthError: fewer than 2 d rows a side, where even the bias-reduced value means little.
    """
    one, two = feature_pair(real, synthetic)
    size, dim = min(len(one), len(two)), one.shape[1]
    if size < 2 * dim:
        raise SynthError(
            "too few images for a Fréchet distance",
            got=f"{size} images, {dim} features",
            expected=f"at least {2 * dim} images",
            fix="Read the kernel distance, which has no bias at any N.",
        )
    number = min(
        block_count(len(one), real_groups, most=_BLOCKS),
        block_count(len(two), synthetic_groups, most=_BLOCKS),
    )
    if number < _LEAST_BLOCKS:
        return Estimate(
            frechet_distance(real=one, synthetic=two),
            None,
            None,
            "plug-in value, biased upwards",
            f"interval withheld: fewer than {_LEAST_BLOCKS} patients",
        )
    estimate = _jackknifed(one, two, real_groups, synthetic_groups, number, seed)
    reason = _why_withheld(one, real_groups, size, seed)
    if not reason:
        return estimate
    return Estimate(estimate.value, None, None, estimate.estimator, reason)


def _jackknifed(
    one: Floats, two: Floats, groups: Groups, other_groups: Groups, number: int, seed: int
) -> Estimate:
    left = blocks(len(one), groups, number=number, seed=seed, side="real")
    right = blocks(len(two), other_groups, number=number, seed=seed, side="synthetic")
    full = frechet_distance(real=one, synthetic=two)
    without = np.array(
        [
            frechet_distance(real=one[left != block], synthetic=two[right != block])
            for block in range(number)
        ]
    )
    return jackknife(full, without, bias_reduced=True)


def _why_withheld(real: Floats, groups: Groups, size: int, seed: int) -> str:
    dim = real.shape[1]
    if size < 10 * dim:
        return f"interval withheld: {size} images are fewer than 10 × {dim} features"
    first, second = halves(len(real), groups, seed=seed)
    if len(first) < 2 * dim:
        return "interval withheld: too few real images for the real-vs-real control"
    one, two = picked(groups, first), picked(groups, second)
    number = min(
        block_count(len(first), one, most=_BLOCKS), block_count(len(second), two, most=_BLOCKS)
    )
    if number < _LEAST_BLOCKS:
        return "interval withheld: too few real patients for the real-vs-real control"
    control = _jackknifed(real[first], real[second], one, two, number, seed)
    low, high = control.ci or (0.0, 0.0)
    if low <= 0.0 <= high:
        return ""
    return (
        f"interval withheld: two real halves come out apart ({control.value:.3g}, interval "
        f"{low:.3g} to {high:.3g}), so the features are too heavy-tailed for this N"
    )


def _moments(side: str, mean: ArrayLike, covariance: ArrayLike) -> tuple[Floats, Floats]:
    centre, spread = np.asarray(mean, np.float64), np.asarray(covariance, np.float64)
    if centre.ndim != 1 or spread.shape != (len(centre), len(centre)):
        raise SynthError(
            "moments have the wrong shape",
            where=side,
            got=f"{centre.shape} and {spread.shape}",
            expected="[d] and [d, d]",
        )
    if not (np.isfinite(centre).all() and np.isfinite(spread).all()):
        raise SynthError("moments hold NaN or infinite values", where=side)
    if np.abs(spread - spread.T).max() > _NEGATIVE * np.abs(spread).max():
        raise SynthError("a covariance is not symmetric", where=side)
    return centre, (spread + spread.T) / 2


def _factor(covariance: Floats) -> Floats:
    """L with L Lᵀ the covariance: Cholesky's, or the eigenvectors' where it is singular."""
    factor = _cholesky(covariance)
    if factor is not None:
        return factor
    values, vectors = np.linalg.eigh(covariance)
    rooted: Floats = vectors * np.sqrt(_clipped(values))
    return rooted


def _overlap(a: Floats, b: Floats) -> float:
    """Trace of (Σa Σb)^½ for centred, scaled data: Σ = aᵀa."""
    dim = a.shape[1]
    if len(a) > dim and len(b) > dim:
        factor = _cholesky(a.T @ a)
        if factor is not None:
            inner: Floats = factor.T @ (b.T @ b) @ factor
            return float(np.sqrt(_clipped(np.linalg.eigvalsh((inner + inner.T) / 2))).sum())
    # Singular: the QR factors keep the singular values, so the data need not be squared.
    return float(np.linalg.norm(_compressed(a) @ _compressed(b).T, ord="nuc"))


def _compressed(a: Floats) -> Floats:
    return a if len(a) <= a.shape[1] else np.asarray(np.linalg.qr(a, mode="r"), np.float64)


def _cholesky(covariance: Floats) -> Floats | None:
    """Lower factor, or None where the matrix is numerically singular."""
    try:
        factor: Floats = np.asarray(np.linalg.cholesky(covariance), np.float64)
    except np.linalg.LinAlgError:
        return None
    diagonal = np.diag(factor)
    return factor if diagonal.min() > 1e-6 * diagonal.max() else None


def _clipped(eigenvalues: NDArray[np.floating]) -> Floats:
    lowest, highest = float(eigenvalues.min()), float(np.abs(eigenvalues).max())
    if lowest < -_NEGATIVE * max(highest, np.finfo(np.float64).tiny):
        raise SynthError(
            "a covariance has a negative eigenvalue",
            got=f"{lowest:.3g} beside {highest:.3g}",
            expected="a symmetric positive semi-definite matrix",
        )
    return np.asarray(np.clip(eigenvalues, 0.0, None), np.float64)
