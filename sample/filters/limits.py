"""Limits from real images that were not fitted to: what honest images pass at a known rate.

Several scores are made one: how many semi-deviations the worst of them lies below its median. An
image is refused below the j-th smallest of n real values of that. Of exchangeable images that
happens with probability j / (n + 1) (Vovk, Gammerman and Shafer 2005, section 2.2), whatever the
number of scores; a limit for each score on its own would refuse more, the more scores there are.

Medians and deviations come from the same images, which makes the share a little larger than asked
for: 0.13 for 0.10 with 12 scores of 99 images. Measuring them on other images (cross-fit) was
tried: columns of ten images then decide all limits, and half as many wrong labels are found.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_FLAT = 1e-6  # least semi-deviation


def joint_limits(
    scores: NDArray[np.float64], reject: float, *, least: int = 1
) -> NDArray[np.float64]:
    """Lowest scores that pass, one a column.

    Args:
        scores: [n, k] of real images, higher is better; NaN: this score does not apply.
        reject: share of images that all columns together may refuse; no less than 1 / (n + 1).
        least: scores below which a column gets no limit.

    Returns:
        [k], -inf where a column has too few scores.
    """
    enough = np.isfinite(scores).sum(axis=0) >= max(1, least)
    limits = np.full(scores.shape[1], -np.inf)
    if not enough.any():
        return limits
    known = scores[:, enough]
    middle = np.nanmedian(known, axis=0)
    below = np.sqrt(np.nanmean(np.minimum(known - middle, 0.0) ** 2, axis=0))
    spread = np.maximum(below, _FLAT)
    deviations = (known - middle) / spread
    worst = np.min(np.where(np.isnan(deviations), np.inf, deviations), axis=1)
    worst = np.sort(worst[np.isfinite(worst)])
    count = max(1, int(reject * (len(worst) + 1) + 1e-9))
    limits[enough] = middle + worst[count - 1] * spread
    return limits


def rejected_share(scores: NDArray[np.float64], limits: NDArray[np.float64]) -> float:
    """Share of rows with a score below its limit; NaN passes."""
    return float((scores < limits).any(axis=1).mean())
