"""Many tests at once: Holm's step-down correction, valid under any dependence (Holm 1979)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from metrics.arrays import Floats
from synth.errors import SynthError


def holm(p_values: ArrayLike) -> Floats:
    """Adjusted p-values: reject those below the level to hold the family-wise error at it.

    Args:
        p_values: [k] in 0..1.

    Returns:
        float64 [k] in the same order, ``max_{j ≤ i} min(1, (k - j + 1) p_(j))``.

    Raises:
        SynthError: not a list of numbers in 0..1.

    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise SynthError("p-values lie in 0..1", where="holm", got=p.tolist())
    order = np.argsort(p, kind="stable")
    stepped = np.minimum(1.0, p[order] * (len(p) - np.arange(len(p))))
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(stepped)
    return adjusted


def holm_by_name(p_values: Mapping[str, float | None]) -> dict[str, float | None]:
    """The same for named tests, for example one a finding; None stays None and does not count."""
    known = {name: p for name, p in p_values.items() if p is not None}
    adjusted = dict(zip(known, holm(list(known.values())).tolist(), strict=True))
    return {name: adjusted.get(name) for name in p_values}
