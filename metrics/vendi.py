"""Vendi score: the effective number of different images in a set (Friedman & Dieng 2022).

    VS_q = exp( log(Σ λ_i^q) / (1 - q) )        λ the eigenvalues of K / n, K_ij = cosine(x_i, x_j)

q = 1 is exp of the Shannon entropy, q = ∞ is 1 / λ_max (Pasarkar & Dieng 2023). It grows with N:
compare at equal N, best as the ratio to the real set's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metrics.arrays import Floats, Groups, block_count, blocks, equal_sizes, feature_pair, features
from metrics.intervals import jackknife
from metrics.records import Estimate, Floor, Record, recorded
from synth.errors import SynthError

_BLOCKS = 10


def vendi_score(
    *,
    synthetic: ArrayLike,
    real: ArrayLike | None = None,
    q: float = 1.0,
    synthetic_groups: Groups = None,
    seed: int = 0,
) -> Record:
    """Effective number of different rows, between 1 and N.

    Args:
        synthetic: [m, d] features of the images to judge.
        real: [n, d] features of real images, to compare with at equal N.
        q: order; below 1 rare kinds count more, above 1 common kinds count more.
        synthetic_groups: rows that belong together, for the standard error.
        seed: of the subsample and the jackknife's blocks.

    Returns:
        ``details`` holds ``real`` (the real set's score at the same N) and ``ratio``; ``floor`` is
        that real score: what there is to reach.

    Raises:
        SynthError: a row of zeros, which has no direction, or q not positive.
    """
    made = features("synthetic", synthetic)
    details: dict[str, float] = {"q": q}
    count = 0
    if real is not None:
        one, made = feature_pair(real, synthetic)
        one, made, _, synthetic_groups = equal_sizes(one, made, None, synthetic_groups, seed=seed)
        count = len(one)
        details["real"] = vendi_of_rows(one, q=q)
    value = vendi_of_rows(made, q=q)
    if real is not None:
        details["ratio"] = value / details["real"]
    number = block_count(len(made), synthetic_groups, most=_BLOCKS)
    se, left_out = None, tuple[float, ...]()
    if number >= 3:
        block = blocks(len(made), synthetic_groups, number=number, seed=seed, side="synthetic")
        without = [vendi_of_rows(made[block != which], q=q) for which in range(number)]
        found = jackknife(value, np.array(without), bias_reduced=False)
        se, left_out = found.se, found.without
    note = "interval withheld: the score grows with N, so that it has no fixed true value"
    return recorded(
        Estimate(value, se, None, "cosine kernel, eigenvalues of its Gram matrix", note, left_out),
        n_real=count,
        n_synthetic=len(made),
        seed=seed,
        higher_is_better=True,
        meaning="effective number of different images",
        floor=None if real is None else Floor(details["real"], len(made), value),
        details=details,
    )


def vendi_of_rows(rows: Floats, *, q: float = 1.0) -> float:
    """Vendi score of features [n, d] under the cosine kernel, in O(min(n, d)³)."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not lengths.all():
        raise SynthError("a row of zeros has no direction", where="vendi_score")
    unit = rows / lengths
    gram = unit.T @ unit if len(unit) > unit.shape[1] else unit @ unit.T
    return _score(np.linalg.eigvalsh(gram) / len(unit), q)


def vendi_of_kernel(kernel: ArrayLike, *, q: float = 1.0) -> float:
    """Vendi score of a positive semi-definite similarity matrix [n, n] with unit diagonal.

    >>> round(vendi_of_kernel([[1, 0.9, 0], [0.9, 1, 0], [0, 0, 1]]), 4)
    2.1573
    """
    matrix = features("kernel", kernel, 1)
    if matrix.shape[0] != matrix.shape[1] or not np.allclose(matrix, matrix.T):
        raise SynthError("a kernel is a symmetric matrix", where="vendi", got=matrix.shape)
    if not np.allclose(np.diag(matrix), 1.0):
        raise SynthError("a Vendi kernel has ones on its diagonal", where="vendi")
    return _score(np.linalg.eigvalsh(matrix) / len(matrix), q)


def vendi_of_gram(gram: Floats, *, q: float = 1.0) -> float:
    """Vendi score from Σ x̂ x̂ᵀ / n [d, d] of unit rows: it has the eigenvalues of K / n."""
    return _score(np.linalg.eigvalsh(gram), q)


def _score(eigenvalues: NDArray[np.floating], q: float) -> float:
    if not q > 0:
        raise SynthError("the order must be positive", where="vendi q", got=q)
    shares = eigenvalues[eigenvalues > 1e-15]
    if q == 1.0:
        return float(np.exp(-(shares * np.log(shares)).sum()))
    if np.isinf(q):
        return float(1.0 / shares.max())
    return float((shares**q).sum() ** (1.0 / (1.0 - q)))
