"""Fréchet distance between Gaussians fitted to features (Dowson & Landau 1982, eq. 4).

    d² = |μr - μs|² + tr Σr + tr Σs - 2 |Lrᵀ Ls|_*        Σ = L Lᵀ, |·|_* the nuclear norm

Everything is centred and float64. The trace term comes from Cholesky and ``eigvalsh``, or from the
nuclear norm of the centred data where a covariance is singular. ``scipy.linalg.sqrtm`` is never
used: it is slow, and its imaginary parts depend on the SciPy version.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import blas

from metrics.arrays import (
    Floats,
    Groups,
    Matrix,
    block_count,
    blocks,
    halves,
    matrix_pair,
    picked,
    slabs,
)
from metrics.covariance import Spread, spread_of, without_each
from metrics.intervals import jackknife
from metrics.records import Estimate
from synth.errors import SynthError

_NEGATIVE = 1e-8  # relative size of a negative eigenvalue that is more than rounding
# Bound on the relative error of the trace term up to which eigenvalues will do. It takes every
# error for the largest and of one sign: what is lost was below 1e-12 on spectra that reach it.
_DIGITS = 1e-7
BLOCKS = 10
PLUG_IN = "plug-in value, biased upwards"
LEAST_BLOCKS = 5  # fewer leave a Student t interval with next to no degrees of freedom
FEW_PATIENTS = f"interval withheld: fewer than {LEAST_BLOCKS} patients"
BIASED = "interval withheld: resampling does not undo the bias of the plug-in value"


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
    one, two = matrix_pair(real, synthetic)
    if min(len(one), len(two)) > one.shape[1]:
        found = _of_spreads(spread_of(one), spread_of(two))
        if found is not None:
            return found
    return _of_rows(one, two)


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
    total = _by_eigenvalues(factor, two)
    if total is not None:
        return total
    # Two factors, not Σ₁Σ₂: singular values keep the digits that squared ones lose.
    return float(np.linalg.svd(factor.T @ _factor(two), compute_uv=False).sum())


def _by_eigenvalues(factor: Floats, two: Floats) -> float | None:
    """Σ √λ(Lᵀ Σ₂ L), or None where too many digits may be lost."""
    inner = _congruent(factor, two)
    values = np.linalg.eigvalsh(inner)
    error = 4.0 * np.finfo(np.float64).eps * float(np.abs(values).max())
    if values.min() <= 10.0 * error:
        return None
    roots: Floats = np.sqrt(values)
    total = float(roots.sum())
    return total if error * float((0.5 / roots).sum()) <= _DIGITS * total else None


def _congruent(factor: Floats, two: Floats) -> Floats:
    """Lᵀ Σ₂ L; triangular products, half the work, where L is lower triangular."""
    if np.triu(factor, 1).any():
        inner: Floats = factor.T @ two @ factor
        return (inner + inner.T) / 2
    upper = np.ascontiguousarray(factor).T  # in Fortran order without a copy
    half = blas.dtrmm(1.0, upper, np.ascontiguousarray(two).T)
    return np.asarray(blas.dtrmm(1.0, upper, half, side=1, trans_a=1, overwrite_b=1), np.float64).T


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
    one, two = matrix_pair(real, synthetic)
    size, dim = min(len(one), len(two)), one.shape[1]
    require_size(size, dim)
    number = min(
        block_count(len(one), real_groups, most=BLOCKS),
        block_count(len(two), synthetic_groups, most=BLOCKS),
    )
    if number < LEAST_BLOCKS:
        return Estimate(
            frechet_distance(real=one, synthetic=two),
            None,
            None,
            PLUG_IN,
            FEW_PATIENTS,
        )
    estimate = bias_reduced(one, two, real_groups, synthetic_groups, number, seed)
    reason = _why_withheld(one, real_groups, size, seed)
    if not reason:
        return estimate
    return Estimate(estimate.value, None, None, estimate.estimator, reason)


def require_size(size: int, dim: int) -> None:
    """Refuse too few rows for a bias-reduced distance.

    Args:
        size: rows of the smaller side.
        dim: features.

    Raises:
        SynthError: fewer than 2 d.
    """
    if size < 2 * dim:
        raise SynthError(
            "too few images for a Fréchet distance",
            got=f"{size} images, {dim} features",
            expected=f"at least {2 * dim} images",
            fix="Read the kernel distance, which has no bias at any N.",
        )


def bias_reduced(
    one: Matrix, two: Matrix, groups: Groups, other_groups: Groups, number: int, seed: int
) -> Estimate:
    """The distance by a jackknife of ``number`` blocks of both sides, without any check."""
    left = blocks(len(one), groups, number=number, seed=seed, side="real")
    right = blocks(len(two), other_groups, number=number, seed=seed, side="synthetic")
    full = frechet_distance(real=one, synthetic=two)
    without = []
    spreads = zip(without_each(one, left, number), without_each(two, right, number), strict=True)
    for block, (a, b) in enumerate(spreads):
        found = _of_spreads(a, b) if min(a.n, b.n) > one.shape[1] else None
        if found is None:
            found = frechet_distance(real=one[left != block], synthetic=two[right != block])
        without.append(found)
    return jackknife(full, np.array(without), bias_reduced=True)


def _why_withheld(real: Matrix, groups: Groups, size: int, seed: int) -> str:
    dim = real.shape[1]
    if size < 10 * dim:
        return f"interval withheld: {size} images are fewer than 10 × {dim} features"
    first, second = halves(len(real), groups, seed=seed)
    if len(first) < 2 * dim:
        return "interval withheld: too few real images for the real-vs-real control"
    one, two = picked(groups, first), picked(groups, second)
    number = min(
        block_count(len(first), one, most=BLOCKS), block_count(len(second), two, most=BLOCKS)
    )
    if number < LEAST_BLOCKS:
        return "interval withheld: too few real patients for the real-vs-real control"
    control = bias_reduced(real[first], real[second], one, two, number, seed)
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


def _of_spreads(one: Spread, two: Spread) -> float | None:
    """The distance of two spreads; None where a covariance is singular: see ``_of_rows``."""
    factor = _cholesky(one.covariance)
    if factor is None:
        return None
    overlap = _by_eigenvalues(factor, two.covariance)
    if overlap is None:
        return None
    shift = one.mean - two.mean
    traces = float(np.trace(one.scatter) / (one.n - 1) + np.trace(two.scatter) / (two.n - 1))
    return float(shift @ shift) + traces - 2.0 * overlap


def _of_rows(one: Matrix, two: Matrix) -> float:
    """The distance from QR factors, which keep the singular values: the data is not squared."""
    mean_1, mean_2 = (rows.mean(axis=0, dtype=np.float64) for rows in (one, two))
    shift = mean_1 - mean_2
    a, b = _compressed(one, mean_1), _compressed(two, mean_2)
    traces = float((a**2).sum() + (b**2).sum())
    return float(shift @ shift) + traces - 2.0 * float(np.linalg.norm(a @ b.T, ord="nuc"))


def _compressed(rows: Matrix, mean: Floats) -> Floats:
    """A with Aᵀ A the covariance and at most d rows, or as many as there are."""
    factor: Floats = np.empty((0, rows.shape[1]))
    for part in slabs(len(rows)):
        factor = np.vstack([factor, rows[part] - mean])
        if len(factor) > factor.shape[1]:
            factor = np.asarray(np.linalg.qr(factor, mode="r"), np.float64)
    factor /= np.sqrt(len(rows) - 1)
    return factor


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
