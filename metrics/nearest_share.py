"""Do synthetic images of a group lie next to real images of that group?

The share of a group's synthetic images whose nearest real image belongs to the group. Beside it
stand chance, the group's share of the real images, and the same for real images of the group among
those of other patients: no generator need do better.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from metrics.arrays import Floats, Groups, block_count, blocks, group_names
from metrics.intervals import jackknife, wilson
from metrics.records import Estimate, Floor, Record, recorded
from metrics.squared import centred_tiles
from synth.errors import SynthError

_BLOCKS = 10
_LEAST_BLOCKS = 5


def nearest_share(
    *,
    real: Floats,
    synthetic: Floats,
    member: Sequence[bool] | NDArray[np.bool_],
    real_groups: Groups = None,
    seed: int = 0,
) -> Record:
    """Share of synthetic rows whose nearest real row belongs to the group.

    Args:
        real: [n, d] features of real images whose membership is known.
        synthetic: [m, d] features of the group's synthetic images.
        member: [n] whether a real image belongs to the group.
        real_groups: the patient of each real row.
        seed: of the jackknife's blocks.

    Returns:
        ``details`` holds ``chance`` and ``real``. The interval leaves blocks of real patients and
        of synthetic images out together, and is no narrower than Wilson's.

    Raises:
        SynthError: all real images belong to the group, or none does.
    """
    inside = np.asarray(member, dtype=bool)
    if inside.all() or not inside.any():
        raise SynthError("all real images, or none, belong to the group", where="nearest_share")
    names = np.array(group_names(len(real), real_groups, side="real"))
    number = min(block_count(len(real), real_groups, most=_BLOCKS), len(synthetic), _BLOCKS)
    left = blocks(len(real), real_groups, number=number, seed=seed, side="real")
    right = blocks(len(synthetic), None, number=number, seed=seed, side="synthetic")
    distance, near = _by_block(synthetic, real, inside, left, number)
    itself = inside[_nearest(real[inside], real, names[inside], names)]
    note = f"{inside.mean():.3f} is expected by chance, {itself.mean():.3f} of real images do"
    return recorded(
        _estimate(distance, near, right, number, note),
        n_real=len(real),
        n_synthetic=len(synthetic),
        seed=seed,
        higher_is_better=True,
        meaning="share of synthetic images whose nearest real image belongs to the same group",
        floor=Floor(float(itself.mean()), len(itself)),
        details={"chance": float(inside.mean()), "real": float(itself.mean())},
    )


def _estimate(
    distance: Floats,
    near: NDArray[np.bool_],
    right: NDArray[np.intp],
    number: int,
    note: str,
) -> Estimate:
    value = _share(distance, near)
    if number < _LEAST_BLOCKS:
        why = f"interval withheld: too few patients; {note}"
        return Estimate(value, None, None, "nearest real image", why)
    without = []
    for block in range(number):
        kept, others = right != block, np.arange(number) != block
        without.append(_share(distance[kept][:, others], near[kept][:, others]))
    found = jackknife(value, np.array(without), bias_reduced=False)
    low, high = found.ci or (0.0, 1.0)
    least, most = wilson(round(value * len(near)), len(near))
    how = f"nearest real image, {number}-block jackknife interval, no narrower than Wilson's"
    interval = (max(0.0, min(low, least)), min(1.0, max(high, most)))
    return Estimate(value, found.se, interval, how, note, found.without)


def _share(distance: Floats, near: NDArray[np.bool_]) -> float:
    nearest = distance.argmin(axis=1)[:, None]
    return float(np.take_along_axis(near, nearest, axis=1).mean())


def _by_block(
    points: Floats, pool: Floats, inside: NDArray[np.bool_], block: NDArray[np.intp], number: int
) -> tuple[Floats, NDArray[np.bool_]]:
    """Of each point and block of the pool: how far its nearest row is and whether it belongs."""
    distance = np.empty((len(points), number))
    near = np.empty((len(points), number), dtype=bool)
    of = [np.flatnonzero(block == which) for which in range(number)]
    for rows, squared in centred_tiles(points, pool):
        for which, members in enumerate(of):
            nearest = members[squared[:, members].argmin(axis=1)]
            distance[rows, which] = np.take_along_axis(squared, nearest[:, None], axis=1)[:, 0]
            near[rows, which] = inside[nearest]
    return distance, near


def _nearest(
    points: Floats, pool: Floats, of: NDArray[np.str_], among: NDArray[np.str_]
) -> NDArray[np.intp]:
    """The nearest row of the pool that is of another patient."""
    found = np.empty(len(points), dtype=np.intp)
    for rows, squared in centred_tiles(points, pool):
        squared[of[rows][:, None] == among[None, :]] = np.inf
        found[rows] = squared.argmin(axis=1)
    return found
