"""Do synthetic images of a group lie next to real images of that group?

The share of a group's synthetic images whose nearest real image belongs to the group. Beside it
stand chance, the group's share of the real images, and the same for real images of the group among
those of other patients: no generator need do better.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from metrics.arrays import Floats, Groups, group_names
from metrics.intervals import wilson
from metrics.records import Estimate, Record, recorded
from metrics.squared import centred_tiles
from synth.errors import SynthError


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
        seed: kept in the record; nothing is drawn.

    Returns:
        With Wilson's interval; ``details`` holds ``chance`` and ``real``.

    Raises:
        SynthError: all real images belong to the group, or none does.
    """
    inside = np.asarray(member, dtype=bool)
    if inside.all() or not inside.any():
        raise SynthError("all real images, or none, belong to the group", where="nearest_share")
    names = np.array(group_names(len(real), real_groups, side="real"))
    near = inside[_nearest(synthetic, real)]
    itself = inside[_nearest(real[inside], real, of=names[inside], among=names)]
    count = int(near.sum())
    note = f"{inside.mean():.3f} is expected by chance, {itself.mean():.3f} of real images do"
    how = "nearest real image, Wilson interval"
    return recorded(
        Estimate(count / len(near), None, wilson(count, len(near)), how, note),
        n_real=len(real),
        n_synthetic=len(synthetic),
        seed=seed,
        higher_is_better=True,
        meaning="share of synthetic images whose nearest real image belongs to the same group",
        details={"chance": float(inside.mean()), "real": float(itself.mean())},
    )


def _nearest(
    points: Floats,
    pool: Floats,
    *,
    of: NDArray[np.str_] | None = None,
    among: NDArray[np.str_] | None = None,
) -> NDArray[np.intp]:
    """The nearest row of the pool, of another patient where patients are given."""
    found = np.empty(len(points), dtype=np.intp)
    for rows, squared in centred_tiles(points, pool):
        if of is not None and among is not None:
            squared[of[rows][:, None] == among[None, :]] = np.inf
        found[rows] = squared.argmin(axis=1)
    return found
