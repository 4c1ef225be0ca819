"""Retrieval among image-text pairs: is an image's own text, or a text's own image, found first?

A text that occurs word for word more than once is one target: any of its images is right, and it
takes one place among the texts. Ties count by chance: of points that lie on one another, each comes
first as often as any other. Recall depends on how many others there are, so that it is taken at
most among ``GALLERY`` pairs, and only numbers of equal galleries compare.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from metrics.arrays import Floats
from metrics.clustered import share_estimate, unit_blocks
from metrics.pairs import Ints, Pairs
from metrics.records import Estimate
from synth.errors import SynthError

GALLERY = 1000  # pairs
RANKS = (1, 5)
LEAST = 10  # different texts, below which finding one says little
NAMES = ("report_to_image", "image_to_report")


def retrieval(given: Pairs, *, seed: int = 0, side: str = "pairs") -> dict[str, Estimate]:
    """Share of texts whose image, and of images whose text, is among the nearest 1 and 5.

    Args:
        given: the gallery, every pair of it a query; at most ``GALLERY`` pairs.
        seed: of the blocks behind the intervals.
        side: keeps the two sides' blocks apart.

    Returns:
        By ``report_to_image_r1`` and the like.

    Raises:
        SynthError: fewer than ``LEAST`` different texts.
    """
    if given.distinct < LEAST:
        raise SynthError(
            "too few different texts to find one among",
            where="retrieval",
            got=given.distinct,
            expected=f"at least {LEAST}",
        )
    cosines, own = given.cosines()
    full = recalls(cosines, own)
    block = unit_blocks(given.units, seed=seed, side=side)
    left = [_without(cosines, own, block != number) for number in range(block.max() + 1)]
    return {
        name: share_estimate(value, np.array([found[name] for found in left]), given.count_units)
        for name, value in full.items()
    }


def recalls(cosines: Floats, own: Ints) -> dict[str, float]:
    """R@1 and R@5 in both directions.

    Args:
        cosines: [N, U] of every image with every different text.
        own: [N], the text of each image.
    """
    images = np.arange(len(own))
    right = cosines[images, own][:, None]
    better, equal = (cosines > right).sum(axis=1), (cosines == right).sum(axis=1)
    of_text = own[:, None] == np.arange(cosines.shape[1])
    best = np.where(of_text, cosines, -np.inf).max(axis=0)
    at_best = cosines == best
    right_at_best = (at_best & of_text).sum(axis=0)
    wrong_at_best = at_best.sum(axis=0) - right_at_best
    above = (cosines > best).sum(axis=0)
    found = {}
    for rank in RANKS:
        by_text = _hit(above, wrong_at_best, right_at_best, rank)
        found[f"report_to_image_r{rank}"] = float(by_text[own].mean())
        found[f"image_to_report_r{rank}"] = float(
            _hit(better, equal - 1, np.ones_like(equal), rank).mean()
        )
    return found


def chances(own: Ints) -> dict[str, float]:
    """The same where nothing is learned: the targets lie anywhere.

    Args:
        own: [N], the text of each image.
    """
    targets = np.bincount(own)
    targets = targets[targets > 0]
    nothing = np.zeros_like(targets)
    found = {}
    for rank in RANKS:
        anywhere = _hit(nothing, len(own) - targets, targets, rank)
        found[f"report_to_image_r{rank}"] = float((anywhere * targets).sum() / len(own))
        found[f"image_to_report_r{rank}"] = min(1.0, rank / len(targets))
    return found


def _hit(
    above: NDArray[np.int_], wrong: NDArray[np.int_], right: NDArray[np.int_], rank: int
) -> Floats:
    """Probability that a right one is among the first ``rank``, ties in random order."""
    miss = np.ones(len(above))
    for place in range(rank):
        left = np.maximum(wrong - place, 0)
        drawn = np.maximum(wrong + right - place, 1)
        miss = np.where(place < rank - above, miss * left / drawn, miss)
    return 1.0 - miss


def _without(cosines: Floats, own: Ints, kept: NDArray[np.bool_]) -> Mapping[str, float]:
    texts, renumbered = np.unique(own[kept], return_inverse=True)
    return recalls(cosines[np.ix_(np.flatnonzero(kept), texts)], renumbered.astype(np.intp))
