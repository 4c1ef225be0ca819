"""Fine detail: does a synthetic image hold as much of it as a real one?

A diffusion model's commonest fault in radiographs is smoothness: lung markings and trabeculae go
first, and neither a classifier's features nor images made small for a network show it. Measured
here on the grey levels themselves: the root mean square of what a Gaussian blur of one pixel takes
away (an image minus its first scale; Lindeberg 1994), as a ratio of geometric means.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter

from metrics.arrays import Floats, Groups, group_names, halves
from metrics.intervals import student
from metrics.records import Estimate, Floor, Record, recorded
from synth.errors import SynthError

SIGMA = 1.0  # pixels
_LEAST_DETAIL = 1e-3  # grey levels: an image of one grey has none, and its logarithm no value
_LEAST = 5  # patients or images a side, for an interval


def texture_ratio(
    *,
    real: ArrayLike,
    synthetic: ArrayLike,
    real_groups: Groups = None,
    synthetic_groups: Groups = None,
    seed: int = 0,
) -> Record:
    """Fine detail of synthetic images over that of real ones: 1 is alike, below 1 is smoother.

    Args:
        real: grey images, uint8 [n, h, w] or [n, 1, h, w], of one size on both sides.
        synthetic: the same [m, h, w].
        real_groups: the patient of each real image; None: each its own.
        synthetic_groups: the same of synthetic images.
        seed: of the halves behind the floor.

    Returns:
        ``value`` exp(mean log detail of synthetic - of real), its Student interval by patients on
        the logarithm; ``details`` holds the two geometric means in grey levels.

    Raises:
        SynthError: not such images, or none.
    """
    one, two = detail_of("real", real), detail_of("synthetic", synthetic)
    found = _estimate(one, two, real_groups, synthetic_groups)
    return recorded(
        found,
        n_real=len(one),
        n_synthetic=len(two),
        seed=seed,
        higher_is_better=None,
        meaning="fine detail of synthetic images as a share of that of real ones; 1 is alike",
        floor=_floor(one, two, real_groups, seed),
        details={"real": float(np.exp(one.mean())), "synthetic": float(np.exp(two.mean()))},
    )


def detail_of(side: str, images: ArrayLike) -> Floats:
    """Logarithm of each image's detail in grey levels, float64 [n].

    Borders that padding has added hold one grey and do not count.

    Raises:
        SynthError: not uint8 [n, h, w] or [n, 1, h, w], or none.
    """
    array = np.asarray(images)
    if array.ndim == 4 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 3 or array.dtype != np.uint8 or 0 in array.shape:
        raise SynthError(
            "texture is measured on 8-bit grey images",
            where=side,
            got=f"{array.dtype} {list(array.shape)}",
            expected="uint8 [n, h, w]",
        )
    return np.log([max(_detail(image), _LEAST_DETAIL) for image in array])


def _detail(image: NDArray[np.uint8]) -> float:
    grey = _content(image).astype(np.float64)
    residual = grey - gaussian_filter(grey, SIGMA, mode="nearest")
    return float(np.sqrt((residual**2).mean()))


def _content(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Without border rows and columns of one grey."""
    rows = np.flatnonzero(image.min(axis=1) != image.max(axis=1))
    columns = np.flatnonzero(image.min(axis=0) != image.max(axis=0))
    if len(rows) == 0 or len(columns) == 0:
        return image
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _estimate(one: Floats, two: Floats, groups: Groups, other: Groups) -> Estimate:
    value = float(np.exp(two.mean() - one.mean()))
    how = f"ratio of geometric means of the detail finer than a blur of {SIGMA:g} pixel"
    sides = (_clustered(one, groups, "real"), _clustered(two, other, "synthetic"))
    if min(count for _, count in sides) < _LEAST:
        return Estimate(value, None, None, how, f"interval withheld: fewer than {_LEAST} patients")
    variance = sum(part for part, _ in sides)
    if variance == 0.0:
        return Estimate(value, 0.0, (value, value), how)
    freedom = variance**2 / sum(part**2 / (count - 1) for part, count in sides)  # Welch 1947
    reach = student(freedom) * variance**0.5
    interval = (value * float(np.exp(-reach)), value * float(np.exp(reach)))
    return Estimate(value, value * variance**0.5, interval, f"{how}, Welch interval by patients")


def _clustered(detail: Floats, groups: Groups, side: str) -> tuple[float, int]:
    """Variance of the mean over images when patients are what was drawn, and how many there are."""
    names, place = np.unique(group_names(len(detail), groups, side=side), return_inverse=True)
    count = len(names)
    if count < 2:
        return 0.0, count
    sums = np.bincount(place, weights=detail - detail.mean(), minlength=count)
    return float(count / (count - 1) * (sums**2).sum() / len(detail) ** 2), count


def _floor(one: Floats, two: Floats, groups: Groups, seed: int) -> Floor | None:
    first, second = halves(len(one), groups, seed=seed)
    size = min(len(first), len(second))
    if size < _LEAST:
        return None
    ratio = float(np.exp(one[second[:size]].mean() - one[first[:size]].mean()))
    same = float(np.exp(two.mean() - one[first[:size]].mean()))
    return Floor(ratio, size, same)
