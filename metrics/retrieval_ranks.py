"""At which rank the right report or image comes, and at which rank chance would put it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from metrics.arrays import Floats
from synth.errors import SynthError

KS = (1, 5)  # R@k: the share of queries whose rank is at most k


@dataclass(frozen=True)
class Gallery:
    """What can be retrieved: images, and their distinct reports.

    Attributes:
        texts: the distinct reports, in order of appearance.
        of_image: int [N], the report of each image.
    """

    texts: tuple[str, ...]
    of_image: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.of_image)


def gallery_of(texts: Sequence[str]) -> Gallery:
    """Equal reports are one: none of them is a wrong answer for another."""
    distinct = tuple(dict.fromkeys(texts))
    place = {text: number for number, text in enumerate(distinct)}
    return Gallery(distinct, np.array([place[text] for text in texts], dtype=np.intp))


def ranks(similarity: Floats, gallery: Gallery) -> dict[str, Floats]:
    """The rank of the right answer to each pair's two questions, ties counted half.

    Args:
        similarity: [N images, M distinct texts].
        gallery: of N images and M texts.

    Returns:
        ``image_to_report``: of the image's report among the M distinct ones. ``report_to_image``:
        of the best image with that report among it and all images with other reports. float64
        [N] each, 1 is the best.

    Raises:
        SynthError: another shape, or a similarity that is not finite.
    """
    n, m = len(gallery), len(gallery.texts)
    if similarity.shape != (n, m) or not np.isfinite(similarity).all():
        raise SynthError(
            "similarities do not fit the gallery", got=similarity.shape, expected=(n, m)
        )
    own = gallery.of_image
    right = similarity[np.arange(n), own][:, None]
    to_report = 0.5 + (similarity > right).sum(axis=1) + 0.5 * (similarity == right).sum(axis=1)
    mine = own[:, None] == np.arange(m)
    best = np.where(mine, similarity, -np.inf).max(axis=0)
    above = ((similarity > best) & ~mine).sum(axis=0)
    ties = ((similarity == best) & ~mine).sum(axis=0)
    return {
        "report_to_image": (1.0 + above + 0.5 * ties)[own],
        "image_to_report": to_report,
    }


def chance(gallery: Gallery) -> dict[str, dict[str, float]]:
    """What a random order would score: R@k, and the rank that half of the queries reach.

    A report that m of n images share comes first within k of them in a random order with
    probability 1 - C(n - k, m) / C(n, m).
    """
    n, m = len(gallery), len(gallery.texts)
    shared = np.bincount(gallery.of_image, minlength=m)
    places = np.arange(1, n + 1)
    sizes, queries = np.unique(shared, return_counts=True)
    missed = np.array([_missed(n, int(size), places) for size in sizes])
    weights = sizes * queries / n  # each image asks once
    reached = 1.0 - weights @ missed
    uniform = np.arange(1, m + 1) / m
    return {"report_to_image": _summary(reached), "image_to_report": _summary(uniform)}


def _missed(n: int, m: int, places: NDArray[np.intp]) -> Floats:
    """Chance that none of m of n is among the first ``places`` of a random order."""
    left = n - places
    able = left >= m
    kept = np.where(able, left, m)
    log = gammaln(kept + 1) - gammaln(kept - m + 1) - gammaln(n + 1) + gammaln(n - m + 1)
    return np.where(able, np.exp(log), 0.0)


def _summary(reached: Floats) -> dict[str, float]:
    at = {f"r{k}": float(reached[min(k, len(reached)) - 1]) for k in KS}
    return at | {"median_rank": float(np.argmax(reached >= 0.5 - 1e-12) + 1)}


def reciprocal(similarity: Floats, gallery: Gallery) -> float:
    """Mean reciprocal rank over both directions, to choose between weights."""
    return float(np.mean([(1.0 / found).mean() for found in ranks(similarity, gallery).values()]))
