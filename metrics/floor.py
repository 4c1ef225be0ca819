"""What real data scores against real data, at the same N: the mark to read every distance by."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from metrics.arrays import Groups, Precision, halves
from metrics.records import Floor
from synth.errors import SynthError
from synth.seeding import numpy_rng

_LEAST = 10  # images a half


def real_floor(
    measure: Callable[[NDArray[Precision], NDArray[Precision]], float],
    real: NDArray[Precision],
    synthetic: NDArray[Precision],
    groups: Groups,
    *,
    seed: int,
) -> Floor | None:
    """A metric between two halves of the real set that share no patient.

    Args:
        measure: of (real, synthetic).
        real: [n, d].
        synthetic: [m, d].
        groups: the patient of each real row.
        seed: of the halves and of the synthetic rows beside them.

    Returns:
        None where a half would hold fewer than ten images, or too few for the metric.
    """
    return real_floors(lambda a, b: {"": measure(a, b)}, real, synthetic, groups, seed=seed).get("")


def real_floors(
    measure: Callable[[NDArray[Precision], NDArray[Precision]], Mapping[str, float]],
    real: NDArray[Precision],
    synthetic: NDArray[Precision],
    groups: Groups,
    *,
    seed: int,
) -> dict[str, Floor]:
    """The same for a measure of several metrics at once, by their names."""
    rows = floor_rows(len(real), len(synthetic), groups, seed=seed)
    if rows is None:
        return {}
    first, second, made = rows
    try:
        values = measure(real[first], real[second])
        same = measure(real[first], synthetic[made])
    except SynthError:  # too few rows for this metric: no floor, the number stands
        return {}
    return {name: Floor(value, len(first), same[name]) for name, value in values.items()}


def floor_rows(
    count: int, synthetic: int, groups: Groups, *, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]] | None:
    """Rows of two real halves that share no patient, and of as many synthetic images.

    Args:
        count: real rows.
        synthetic: synthetic rows.
        groups: the patient of each real row.
        seed: of the halves and of the synthetic rows beside them.

    Returns:
        Three times as many rows; None where a half would hold fewer than ten.
    """
    first, second = halves(count, groups, seed=seed)
    size = min(len(first), synthetic)
    if size < _LEAST:
        return None
    rows = numpy_rng("metrics", "floor", seed).permutation(synthetic)[:size]
    return first[:size], second[:size], np.sort(rows)
