"""Do synthetic images lie closer to the training images than to unseen ones?

AUROC of d(g, T) against d(g, H) over synthetic g, with as many training as held-out images: 0.5
without memorization, 1 for copies. Unlike distances to T alone it does not mistake a generator of
very typical images for a copier: those are close to both sets.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from metrics.arrays import (
    Floats,
    Groups,
    block_count,
    blocks,
    equal_sizes,
    feature_pair,
    group_names,
)
from metrics.intervals import jackknife
from metrics.records import Estimate, Record, recorded
from metrics.squared import centred_tiles
from synth.seeding import numpy_rng

_BLOCKS = 20
_POOL = 4000  # training and held-out rows in the permutation test, in memory beside m


def nearest_neighbour_auc(
    *,
    train: ArrayLike,
    heldout: ArrayLike,
    synthetic: ArrayLike,
    train_groups: Groups = None,
    heldout_groups: Groups = None,
    permutations: int = 200,
    seed: int = 0,
) -> Record:
    """Probability that an image lies closer to the training set than to the held-out one.

    Args:
        train: [t, d] features of the generator's training images.
        heldout: [h, d] features of real images of other patients.
        synthetic: [m, d] features of synthetic images.
        train_groups: the patient of each training row.
        heldout_groups: the patient of each held-out row.
        permutations: exchanges of patients between T and H behind the p-value; 0 leaves it out.
        seed: of the subsample, the blocks and the permutations.

    Returns:
        ``details`` holds ``p`` (one-sided, for memorization), ``nearer`` (share of synthetic
        images nearer to T) and ``median_ratio`` (median of d(g, T) / d(g, H)).

    Raises:
        SynthError: fewer than two rows a side or different dimensions.
    """
    seen, unseen = feature_pair(train, heldout, sides=("train", "heldout"))
    _, made = feature_pair(train, synthetic, sides=("train", "synthetic"))
    seen, unseen, names, other = equal_sizes(seen, unseen, train_groups, heldout_groups, seed=seed)
    number = min(
        block_count(len(seen), names, most=_BLOCKS),
        block_count(len(unseen), other, most=_BLOCKS),
        len(made),
    )
    left = blocks(len(seen), names, number=number, seed=seed, side="train")
    right = blocks(len(unseen), other, number=number, seed=seed, side="heldout")
    to_seen = _block_minima(made, seen, left, number)
    to_unseen = _block_minima(made, unseen, right, number)
    near, far = to_seen.min(axis=1), to_unseen.min(axis=1)
    value = _closer(near, far)
    found = _interval(value, to_seen, to_unseen, number, seed)
    details: dict[str, float | None] = {
        "p": None,
        "nearer": float(((near < far) + 0.5 * (near == far)).mean()),
        "median_ratio": float(np.median(near / np.where(far > 0, far, 1.0))),
    }
    if permutations:
        label = [f"t{n}" for n in group_names(len(seen), names, side="train")]
        label += [f"h{n}" for n in group_names(len(unseen), other, side="heldout")]
        null = _permuted(made, np.vstack([seen, unseen]), label, permutations, seed)
        details["p"] = float((1 + (null >= value).sum()) / (1 + len(null)))
    return recorded(
        found,
        n_real=len(seen) + len(unseen),
        n_synthetic=len(made),
        seed=seed,
        higher_is_better=False,
        meaning="how often synthetic images are nearer to training than to unseen images",
        details=details,
    )


def _closer(near: Floats, far: Floats) -> float:
    ranks = stats.rankdata(np.concatenate([far, near]))
    m = len(far)
    return float((ranks[:m].sum() - m * (m + 1) / 2) / (m * len(near)))


def _block_minima(points: Floats, among: Floats, block: NDArray[np.intp], number: int) -> Floats:
    """Distance [m, blocks] of each point to the nearest row of each block."""
    found = np.empty((len(points), number))
    for rows, squared in centred_tiles(points, among):
        for which in range(number):
            found[rows, which] = np.sqrt(squared[:, block == which].min(axis=1))
    return found


def _interval(value: float, to_seen: Floats, to_unseen: Floats, number: int, seed: int) -> Estimate:
    how = "AUROC of d(g, T) against d(g, H) at |T| = |H|"
    if number < 5:
        return Estimate(value, None, None, how, "interval withheld: too few patients")
    own = blocks(len(to_seen), None, number=number, seed=seed, side="synthetic")
    without = []
    for which in range(number):
        kept, others = own != which, np.arange(number) != which
        near = to_seen[kept][:, others].min(axis=1)
        without.append(_closer(near, to_unseen[kept][:, others].min(axis=1)))
    found = jackknife(value, np.array(without), bias_reduced=False)
    low, high = found.ci or (0.0, 1.0)
    interval = (max(0.0, low), min(1.0, high))
    note = "0.5 is expected without memorization"
    return Estimate(value, found.se, interval, f"{how}, {number}-block jackknife interval", note)


def _permuted(points: Floats, pool: Floats, names: list[str], count: int, seed: int) -> Floats:
    """The AUROC when patients are dealt to T and H at random."""
    unique, group = np.unique(names, return_inverse=True)
    rng = numpy_rng("metrics", "nearest-neighbour", seed)
    size = sum(name.startswith("t") for name in unique)
    most = min(len(points), _POOL)
    to_pool = np.concatenate(
        [np.sqrt(squared) for _, squared in centred_tiles(points[:most], pool)]
    )
    null = np.empty(count)
    for draw in range(count):
        seen = np.zeros(len(unique), dtype=bool)
        seen[rng.permutation(len(unique))[:size]] = True
        near, far = to_pool[:, seen[group]], to_pool[:, ~seen[group]]
        null[draw] = _closer(near.min(axis=1), far.min(axis=1))
    return null
