"""Fréchet distance, kernel distance and the four shares of feature arrays, as records."""

from __future__ import annotations

from typing import Literal

from numpy.typing import ArrayLike

from metrics import frechet, kernel
from metrics.arrays import Groups, Matrix, equal_sizes, matrix_pair
from metrics.extrapolate import frechet_extrapolated
from metrics.floor import real_floor, real_floors
from metrics.frechet_floor import frechet_floor
from metrics.meanings import MEANINGS
from metrics.prdc import expected_coverage, prdc_estimates
from metrics.prdc import prdc as prdc_shares
from metrics.records import Estimate, Record, recorded
from synth.errors import SynthError, UsageError


def frechet_distance(
    *,
    real: ArrayLike,
    synthetic: ArrayLike,
    real_groups: Groups = None,
    synthetic_groups: Groups = None,
    estimator: Literal["jackknife", "plug-in"] = "jackknife",
    allow_rank_deficient: bool = False,
    cross_check: bool = True,
    seed: int = 0,
) -> Record:
    """Squared Fréchet distance, bias-reduced; its interval or the reason for withholding it.

    Args:
        real: [n, d] features of real images.
        synthetic: [m, d] features of synthetic images from the same extractor.
        real_groups: the patient of each real row; None where rows are independent.
        synthetic_groups: the same for synthetic rows.
        estimator: ``jackknife`` reduces the bias; ``plug-in`` is the usual number, biased upwards.
        allow_rank_deficient: let the plug-in stand on fewer rows than dimensions.
        cross_check: also extrapolate to infinite N (15 more distances).
        seed: of blocks, halves and subsets.

    Returns:
        ``details`` holds ``plug_in`` and ``extrapolated``. The value may be negative near zero.

    Raises:
        SynthError: too few rows for the estimator, different dimensions or non-finite values.
    """
    one, two = matrix_pair(real, synthetic)
    if estimator == "plug-in":
        found = _plug_in(one, two, allow_rank_deficient)
    elif estimator == "jackknife":
        found = frechet.frechet_estimate(
            real=one,
            synthetic=two,
            real_groups=real_groups,
            synthetic_groups=synthetic_groups,
            seed=seed,
        )
    else:
        raise UsageError("no such estimator", got=estimator, expected="jackknife or plug-in")
    details: dict[str, float | None] = {
        "plug_in": frechet.frechet_distance(real=one, synthetic=two),
        "extrapolated": None,
    }
    if cross_check:
        details["extrapolated"] = _extrapolated(one, two, seed)
    return recorded(
        found,
        n_real=len(one),
        n_synthetic=len(two),
        seed=seed,
        higher_is_better=False,
        meaning=MEANINGS["fd"],
        floor=frechet_floor(
            one,
            two,
            real_groups=real_groups,
            synthetic_groups=synthetic_groups,
            reduced=found.estimator != frechet.PLUG_IN,
            seed=seed,
        ),
        details=details,
    )


def _plug_in(one: Matrix, two: Matrix, allow_rank_deficient: bool) -> Estimate:
    size, dim = min(len(one), len(two)), one.shape[1]
    if size <= dim and not allow_rank_deficient:
        raise SynthError(
            "fewer images than dimensions: the covariance is rank deficient",
            got=f"{size} images, {dim} features",
            fix="Read the kernel distance, or pass allow_rank_deficient=True.",
        )
    value = frechet.frechet_distance(real=one, synthetic=two)
    return Estimate(value, None, None, frechet.PLUG_IN, frechet.BIASED)


def _extrapolated(one: Matrix, two: Matrix, seed: int) -> float | None:
    try:
        return frechet_extrapolated(real=one, synthetic=two, seed=seed)
    except SynthError:  # too few rows: the cross-check is missing, the distance stands
        return None


def kernel_distance(
    *,
    real: ArrayLike,
    synthetic: ArrayLike,
    real_groups: Groups = None,
    synthetic_groups: Groups = None,
    seed: int = 0,
) -> Record:
    """Kernel distance, the full U-statistic, unbiased at any N, with a jackknife standard error.

    Args:
        real: [n, d] features of real images.
        synthetic: [m, d] features of synthetic images from the same extractor.
        real_groups: the patient of each real row; None where rows are independent.
        synthetic_groups: the same for synthetic rows.
        seed: of the jackknife's blocks.

    Raises:
        SynthError: fewer than two rows a side, different dimensions or non-finite values.
    """
    one, two = matrix_pair(real, synthetic)
    found = kernel.kernel_estimate(
        real=one,
        synthetic=two,
        real_groups=real_groups,
        synthetic_groups=synthetic_groups,
        seed=seed,
    )
    return recorded(
        found,
        n_real=len(one),
        n_synthetic=len(two),
        seed=seed,
        higher_is_better=False,
        meaning=MEANINGS["kd"],
        floor=real_floor(_plain_kernel, one, two, real_groups, seed=seed),
    )


def _plain_kernel(one: Matrix, two: Matrix) -> float:
    return kernel.kernel_distance(real=one, synthetic=two)


def prdc(
    *,
    real: ArrayLike,
    synthetic: ArrayLike,
    k: int = 5,
    real_groups: Groups = None,
    synthetic_groups: Groups = None,
    seed: int = 0,
) -> dict[str, Record]:
    """Precision, recall, density and coverage at equal N: the larger set is subsampled.

    Args:
        real: [n, d] features of real images.
        synthetic: [m, d] features of synthetic images from the same extractor.
        k: which neighbour a ball reaches.
        real_groups: the patient of each real row; None where rows are independent.
        synthetic_groups: the same for synthetic rows.
        seed: of the subsample and the jackknife's blocks.

    Returns:
        Four records by name; ``details["expected"]`` of density and coverage is what equal
        distributions give at this N.

    Raises:
        SynthError: k or fewer rows a side, different dimensions or non-finite values.
    """
    one, two = matrix_pair(real, synthetic)
    one, two, names, other = equal_sizes(one, two, real_groups, synthetic_groups, seed=seed)
    found = prdc_estimates(
        real=one, synthetic=two, k=k, real_groups=names, synthetic_groups=other, seed=seed
    )
    floors = real_floors(lambda a, b: _shares(a, b, k), one, two, names, seed=seed)
    expected = {"density": 1.0, "coverage": expected_coverage(len(one), len(two), k)}
    return {
        name: recorded(
            estimate,
            n_real=len(one),
            n_synthetic=len(two),
            seed=seed,
            higher_is_better=True,
            meaning=MEANINGS[name],
            floor=floors.get(name),
            details={"k": k} | ({"expected": expected[name]} if name in expected else {}),
        )
        for name, estimate in found.items()
    }


def _shares(one: Matrix, two: Matrix, k: int) -> dict[str, float]:
    found = prdc_shares(real=one, synthetic=two, k=k)
    return {
        "precision": found["precision"],
        "recall": found["recall"],
        "density": found["density"],
        "coverage": found["coverage"],
    }
