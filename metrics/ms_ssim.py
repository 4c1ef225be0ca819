"""Diversity within a label: mean MS-SSIM of random pairs of images (Wang et al. 2003).

Low is diverse. The real set's own value is the mark: a generator far above it repeats itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metrics.arrays import Floats
from metrics.intervals import jackknife
from metrics.records import Estimate, Floor, Record, recorded
from synth.errors import SynthError
from synth.seeding import numpy_rng

_SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of Wang et al. 2003, finest first
_KERNEL = 11
_BLOCKS = 10
_AT_ONCE = 64


def ms_ssim_diversity(
    *,
    synthetic: ArrayLike,
    labels: Sequence[object] | None = None,
    real: ArrayLike | None = None,
    real_labels: Sequence[object] | None = None,
    pairs: int = 1000,
    seed: int = 0,
) -> Record:
    """Mean MS-SSIM over random pairs of one label, beside the real set's.

    Args:
        synthetic: images [m, h, w] or [m, c, h, w] in 0..1, sides of at least 22 pixels.
        labels: [m] what each shows; None takes all as one label.
        real: real images of the same size and range.
        real_labels: [n].
        pairs: how many, spread over labels by their number of images.
        seed: of the pairs.

    Returns:
        ``details`` holds ``real`` and ``difference`` (synthetic minus real), where real images are
        given (then ``floor`` is their value; pairs of one label do not depend on N), and
        ``scales``: 5 from 176 pixels on, fewer in smaller images.

    Raises:
        SynthError: images out of range or too small, or no label with two images.
    """
    made = _images("synthetic", synthetic)
    found = _estimate(made, labels, pairs, seed, "synthetic")
    details: dict[str, float | None] = {"scales": _scales(made)}
    count, floor = 0, None
    if real is not None:
        kept = _images("real", real)
        if kept.shape[1:] != made.shape[1:]:
            raise SynthError(
                "images differ in size", where="ms_ssim", got=kept.shape, expected=made.shape
            )
        reference = _estimate(kept, real_labels, pairs, seed, "real")
        count = len(kept)
        floor = Floor(reference.value, count, found.value)
        details |= {"real": reference.value, "difference": found.value - reference.value}
        if found.se is not None and reference.se is not None:
            details["difference_se"] = float(np.hypot(found.se, reference.se))
    return recorded(
        found,
        n_real=count,
        n_synthetic=len(made),
        seed=seed,
        higher_is_better=False,
        meaning="how alike two synthetic images of one label are; compare with real ones",
        floor=floor,
        details=details,
    )


def _images(side: str, values: ArrayLike) -> NDArray[np.float32]:
    detach = getattr(values, "detach", None)
    array = np.asarray(values if detach is None else detach().cpu().float().numpy(), np.float32)
    if array.ndim == 3:
        array = array[:, None]
    if array.ndim != 4 or min(array.shape[2:]) < 2 * _KERNEL or len(array) < 2:
        raise SynthError(
            "images must be [n, h, w] or [n, c, h, w]",
            where=side,
            got=array.shape,
            expected=f"two images, sides of at least {2 * _KERNEL}",
        )
    if not np.isfinite(array).all() or array.min() < 0 or array.max() > 1:
        raise SynthError("images must lie in 0..1", where=side)
    return array


def _scales(images: NDArray[np.float32]) -> int:
    """As many halvings as leave the smallest scale larger than the window."""
    return min(5, int(np.log2(min(images.shape[2:]) / _KERNEL)) + 1)


def _estimate(
    images: NDArray[np.float32],
    labels: Sequence[object] | None,
    pairs: int,
    seed: int,
    side: str,
) -> Estimate:
    left, right = _pairs(len(images), labels, pairs, seed, side)
    values = _ms_ssim(images, left, right, _scales(images))
    value = float(values.mean())
    how = f"mean over {len(values)} pairs of one label"
    block = numpy_rng("metrics", "ms-ssim", "blocks", side, seed).integers(
        _BLOCKS, size=len(images)
    )
    kept = [(block[left] != which) & (block[right] != which) for which in range(_BLOCKS)]
    if min(int(keep.sum()) for keep in kept) < 2 or len(images) < 2 * _BLOCKS:
        return Estimate(value, None, None, how, "interval withheld: too few images")
    without = np.array([values[keep].mean() for keep in kept])
    found = jackknife(value, without, bias_reduced=False)
    return Estimate(value, found.se, found.ci, f"{how}, {_BLOCKS}-block jackknife interval")


def _pairs(
    count: int, labels: Sequence[object] | None, pairs: int, seed: int, side: str
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    names = ["all"] * count if labels is None else [str(label) for label in labels]
    if len(names) != count:
        raise SynthError("one label an image is needed", where=side, got=len(names), expected=count)
    _, inverse, sizes = np.unique(names, return_inverse=True, return_counts=True)
    enough = np.flatnonzero(sizes[inverse] >= 2)
    if not len(enough):
        raise SynthError("no label has two images", where=side)
    rng = numpy_rng("metrics", "ms-ssim", side, seed)
    left = enough[rng.integers(len(enough), size=pairs)]
    order = np.argsort(inverse, kind="stable")
    start = np.cumsum(sizes) - sizes
    place = np.empty(count, dtype=np.intp)
    place[order] = np.arange(count)
    group = inverse[left]
    # Any other image of the label: a step of 1 … size - 1 around its ring.
    step = 1 + (rng.random(pairs) * (sizes[group] - 1)).astype(np.intp)
    right = order[start[group] + (place[left] - start[group] + step) % sizes[group]]
    return left, right


def _ms_ssim(
    images: NDArray[np.float32], left: NDArray[np.intp], right: NDArray[np.intp], scales: int
) -> Floats:
    import torch
    from torchmetrics.functional.image import (
        multiscale_structural_similarity_index_measure as measure,
    )

    weights = np.array(_SCALES[:scales])
    betas = tuple(float(weight) for weight in weights / weights.sum())
    values = []
    for start in range(0, len(left), _AT_ONCE):
        rows = slice(start, start + _AT_ONCE)
        one, two = torch.from_numpy(images[left[rows]]), torch.from_numpy(images[right[rows]])
        found = measure(one, two, data_range=1.0, betas=betas, normalize="relu", reduction="none")
        values.append(found.double().numpy())
    return np.concatenate(values)
