"""The real-against-real floor of a Fréchet distance, by the estimator that the distance has.

The plug-in distance of two halves is biased upwards by O(1/n): beside a bias-reduced value it would
make any generator look better than real images. Between draws of N(0, I) with d = 16 and N = 400
the bias-reduced distance was -0.039 and the plug-in distance of the halves 0.839.
"""

from __future__ import annotations

from metrics.arrays import Groups, Matrix, block_count, picked
from metrics.floor import floor_rows
from metrics.frechet import BLOCKS, LEAST_BLOCKS, bias_reduced, frechet_distance
from metrics.records import Floor


def frechet_floor(
    real: Matrix,
    synthetic: Matrix,
    *,
    real_groups: Groups,
    synthetic_groups: Groups,
    reduced: bool,
    seed: int,
) -> Floor | None:
    """The distance between two real halves that share no patient, and of as many synthetic images.

    Args:
        real: [n, d].
        synthetic: [m, d].
        real_groups: the patient of each real row.
        synthetic_groups: the same of synthetic rows.
        reduced: bias-reduced by a jackknife of patients, else the plug-in distance.
        seed: of halves and blocks.

    Returns:
        None where a half holds fewer than ten images or, bias-reduced, fewer than 2 d images or
        five patients: no floor is better than one of another estimator.
    """
    rows = floor_rows(len(real), len(synthetic), real_groups, seed=seed)
    if rows is None:
        return None
    first, second, made = rows
    sides = (real[first], real[second], synthetic[made])
    if not reduced:
        value, same = (frechet_distance(real=sides[0], synthetic=side) for side in sides[1:])
        return Floor(value, len(first), same)
    groups = (
        picked(real_groups, first),
        picked(real_groups, second),
        picked(synthetic_groups, made),
    )
    if len(first) < 2 * real.shape[1]:
        return None
    number = min(
        block_count(len(side), names, most=BLOCKS)
        for side, names in zip(sides, groups, strict=True)
    )
    if number < LEAST_BLOCKS:
        return None
    value, same = (
        bias_reduced(sides[0], side, groups[0], names, number, seed).value
        for side, names in zip(sides[1:], groups[1:], strict=True)
    )
    return Floor(value, len(first), same)
