"""Maximum mean discrepancy with Gaussian kernels, and its permutation test (Gretton et al. 2012).

    k(x, y) = Σ_b exp(-|x - y|² / 2 σ_b²),      σ_b = median distance × {½, 1, 2}

The full U-statistic over all pairs, unbiased and possibly negative. The median is that of the real
images alone, so that two synthetic sets are measured by one ruler.

The p-value exchanges whole patients between the sides, so that several images of one patient do not
count as evidence. Its kernels take the median over both sets: exchanging sides leaves that alone,
which makes p exact. With the widths of the real images, equal distributions were rejected in 6.8 %
of draws at 5 % and in 2.1 % at 1 % (ten real rows, forty synthetic ones, a mixture of two scales).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import cdist

from metrics.arrays import (
    Floats,
    Groups,
    at_most,
    block_count,
    blocks,
    group_names,
    matrix_pair,
)
from metrics.floor import floor_rows
from metrics.intervals import jackknife
from metrics.records import Estimate, Floor, Record, recorded
from synth.errors import SynthError
from synth.seeding import numpy_rng

_MOST = 4000  # rows a side: the pooled kernel is held in memory
_SCALES = (0.5, 1.0, 2.0)
_BLOCKS = 10


def mmd_rbf(
    *,
    real: ArrayLike,
    synthetic: ArrayLike,
    real_groups: Groups = None,
    synthetic_groups: Groups = None,
    bandwidths: tuple[float, ...] | None = None,
    test_bandwidths: tuple[float, ...] | None = None,
    permutations: int = 500,
    seed: int = 0,
) -> Record:
    """Squared RBF-MMD with a jackknife interval and a permutation p-value.

    Args:
        real: [n, d] features of real images.
        synthetic: [m, d] features of synthetic images; above 4000 rows a side, 4000 at random.
        real_groups: the patient of each real row; None where rows are independent.
        synthetic_groups: the same for synthetic rows.
        bandwidths: σ of each kernel; None takes the median distance between real rows times ½, 1
            and 2.
        test_bandwidths: the same of the p-value, for which they must not depend on which side a row
            is on; None takes ``bandwidths`` where given, else the median over both sets.
        permutations: exchanges behind the p-value; 0 leaves it out.
        seed: of subsample, blocks and permutations.

    Returns:
        ``details`` holds ``p``, ``bandwidths`` and ``test_bandwidths``.

    Raises:
        SynthError: fewer than two rows a side, most real rows equal, or non-positive bandwidths.
    """
    one, two = matrix_pair(real, synthetic)
    one, real_groups = at_most(_MOST, one, real_groups, seed=seed, side="real")
    two, synthetic_groups = at_most(_MOST, two, synthetic_groups, seed=seed, side="synthetic")
    pooled = np.vstack([one, two]).astype(np.float64, copy=False)
    squared = cdist(pooled, pooled, "sqeuclidean")
    n = len(one)
    widths = bandwidths or _median_bandwidths(squared[:n, :n])
    kernel = _kernel(squared, widths)
    p, of_test = None, None
    if permutations:
        of_test = test_bandwidths or bandwidths or _median_bandwidths(squared, distinct=True)
        names = [f"r{name}" for name in group_names(n, real_groups, side="real")]
        names += [f"s{name}" for name in group_names(len(two), synthetic_groups, side="synthetic")]
        tested = kernel if of_test == widths else _kernel(squared, of_test)
        p = _p_value(tested, names, n, permutations, seed)
    ruler = "given widths" if bandwidths else "widths from real images"
    return recorded(
        _jackknifed(kernel, n, real_groups, synthetic_groups, ruler, seed),
        n_real=n,
        n_synthetic=len(two),
        seed=seed,
        higher_is_better=False,
        meaning="how far they lie apart under Gaussian kernels; 0 is identical",
        floor=_floor(kernel, n, real_groups, seed),
        details={
            "p": p,
            "bandwidths": list(widths),
            "test_bandwidths": of_test and list(of_test),
            "permutations": permutations,
        },
    )


def _median_bandwidths(squared: Floats, *, distinct: bool = False) -> tuple[float, ...]:
    """Median distance × {½, 1, 2}; among distinct rows alone where equal ones shall not count."""
    above = squared[np.triu_indices(len(squared), k=1)]
    median = float(np.sqrt(np.median(above[above > 0] if distinct else above)))
    if median == 0.0:
        raise SynthError("more than half of all pairs of real rows are equal", where="mmd_rbf")
    return tuple(scale * median for scale in _SCALES)


def _kernel(squared: Floats, widths: tuple[float, ...]) -> Floats:
    if min(widths) <= 0:
        raise SynthError("bandwidths must be positive", where="mmd_rbf", got=widths)
    kernel = np.zeros_like(squared)
    for width in widths:
        kernel += np.exp(squared / (-2.0 * width**2))
    return kernel


def _floor(kernel: Floats, n: int, groups: Groups, seed: int) -> Floor | None:
    """Between two real halves, under the same kernels: all their pairs are there already."""
    rows = floor_rows(n, len(kernel) - n, groups, seed=seed)
    if rows is None:
        return None
    first, second, made = rows
    weights = np.zeros((2, len(kernel)))
    weights[:, first] = 1.0
    weights[0, second] = -1.0
    weights[1, n + made] = -1.0
    value, same = _statistics(kernel, weights)
    return Floor(float(value), len(first), float(same))


def _statistics(kernel: Floats, weights: Floats) -> Floats:
    """U-statistics [b] for rows of weights [b, n + m]: 1 real, -1 synthetic, 0 left out."""
    real, made = (weights > 0).astype(np.float64), (weights < 0).astype(np.float64)
    n, m = real.sum(axis=1), made.sum(axis=1)
    own = np.diag(kernel)
    to_real, to_made = real @ kernel, made @ kernel
    rr = (to_real * real).sum(axis=1) - real @ own
    ss = (to_made * made).sum(axis=1) - made @ own
    rs = (to_real * made).sum(axis=1)
    value: Floats = rr / (n * (n - 1)) + ss / (m * (m - 1)) - 2.0 * rs / (n * m)
    return value


def _jackknifed(
    kernel: Floats, n: int, real_groups: Groups, synthetic_groups: Groups, ruler: str, seed: int
) -> Estimate:
    side = np.where(np.arange(len(kernel)) < n, 1.0, -1.0)
    full = float(_statistics(kernel, side[None])[0])
    number = min(
        block_count(n, real_groups, most=_BLOCKS),
        block_count(len(kernel) - n, synthetic_groups, most=_BLOCKS),
    )
    left = blocks(n, real_groups, number=number, seed=seed, side="real")
    right = blocks(len(kernel) - n, synthetic_groups, number=number, seed=seed, side="synthetic")
    block = np.concatenate([left, right])
    kept = np.array([np.where(block == which, 0.0, side) for which in range(number)])
    if number < 3 or min((kept > 0).sum(axis=1).min(), (kept < 0).sum(axis=1).min()) < 2:
        note = "interval withheld: too few images or patients"
        return Estimate(full, None, None, f"full U-statistic, {ruler}", note)
    found = jackknife(full, _statistics(kernel, kept), bias_reduced=False)
    name = f"full U-statistic, {ruler}, {number}-block jackknife interval"
    return Estimate(full, found.se, found.ci, name, without=found.without)


def _p_value(kernel: Floats, names: list[str], n: int, count: int, seed: int) -> float:
    """The share of exchanges of whole groups between the sides that come out as far apart."""
    is_real = np.arange(len(kernel)) < n
    unique, group = np.unique(names, return_inverse=True)
    side = np.empty(len(unique))
    side[group] = np.where(is_real, 1.0, -1.0)
    rng = numpy_rng("metrics", "mmd-permutation", seed)
    weights = np.array([rng.permutation(side)[group] for _ in range(count)])
    counts = np.minimum((weights > 0).sum(axis=1), (weights < 0).sum(axis=1))
    null = _statistics(kernel, weights[counts >= 2])
    found = _statistics(kernel, np.where(is_real, 1.0, -1.0)[None])[0]
    # The observed arrangement counts as one draw: p is never 0 (Phipson & Smyth 2010).
    return float((1 + (null >= found).sum()) / (1 + len(null)))
