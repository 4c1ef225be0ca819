"""The synthetic images that the evaluation itself finds worst, each with its reason.

    absent    asked to show a finding, which the judge sees less than in real images with it
    present   asked not to show one, which the judge sees more than in real images without it
    far       farthest from any real image, in the features that the distances are measured in
    copy      nearest to a training image, in pixels
    repeat    nearest to another synthetic image, in pixels

Every set has a worst image. So each score stands beside a limit that few real images pass
(``REAL_SHARE`` of a finding's, ``REAL_TAIL`` of the distances'), and ``beyond`` says whether the
synthetic image passes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metrics.arrays import Floats, Groups, at_most, group_names
from metrics.memorization import nearest_distance
from metrics.share_closer import CLOSE as REAL_TAIL
from metrics.squared import nearest_of_others

REAL_SHARE = 0.05  # of real images with a finding whose probability lies below the limit
LEAST = 20  # real images below which a limit would be one image
SHOWN = {"absent": 6, "present": 6, "far": 6, "copy": 3, "repeat": 3}
_MOST = 20_000  # images among which all pairs are looked at


@dataclass(frozen=True)
class Failure:
    """One image and why it is listed.

    Attributes:
        row: of the synthetic set.
        reason: a key of ``SHOWN``.
        score: the judge's probability, or a distance.
        limit: what few real images pass; None where there are too few to say.
        finding: that the judge was asked for.
        other: row of the image that the distance leads to.
    """

    row: int
    reason: str
    score: float
    limit: float | None
    finding: str = ""
    other: int | None = None

    @property
    def beyond(self) -> bool | None:
        """Whether the score passes the limit, None without one."""
        if self.limit is None:
            return None
        high = self.reason in ("present", "far")
        return self.score > self.limit if high else self.score < self.limit


def misjudged(
    *,
    state: int,
    probabilities: NDArray[np.floating],
    asked: Floats,
    real_probabilities: NDArray[np.floating],
    truth: Floats,
    findings: Sequence[str],
    most: int,
) -> list[Failure]:
    """Images whose findings the judge sees least (``state`` 1), or sees though denied (0).

    Probabilities of different findings do not compare, since judges see some better than others.
    So an image is ranked by the share of real images with the same label whose probability is as
    extreme, then by the probability; the worst image of each finding comes before the second worst
    of any. A finding that no real image has comes last.

    Args:
        state: 1 for findings asked for, 0 for findings denied.
        probabilities: [m, k] of the judge on synthetic images.
        asked: [m, k] labels they were conditioned on: 1, 0 or NaN.
        real_probabilities: [n, k] on held-out real images.
        truth: [n, k] their labels.
        findings: [k] names of the columns.
        most: images to return.
    """
    ranked: list[tuple[float, float, float, Failure]] = []
    for column, name in enumerate(findings):
        rows = np.flatnonzero(asked[:, column] == state)
        like = real_probabilities[truth[:, column] == state, column]
        ranked += _ranked(state, name, rows, probabilities[rows, column], like, most)
    ranked.sort(key=lambda entry: (*entry[:3], entry[3].row))
    first: dict[int, Failure] = {}
    for *_, failure in ranked:
        first.setdefault(failure.row, failure)
    return list(first.values())[:most]


def _ranked(
    state: int,
    finding: str,
    rows: NDArray[np.intp],
    probabilities: NDArray[np.floating],
    real: NDArray[np.floating],
    most: int,
) -> Iterator[tuple[float, float, float, Failure]]:
    """The worst images of one finding as (place, share of real images as extreme, value, image)."""
    sign = 1.0 if state == 1 else -1.0  # so that small is bad
    like, values = np.sort(sign * real.astype(np.float64)), sign * probabilities.astype(np.float64)
    as_bad = np.searchsorted(like, values, side="right")
    rarity = as_bad / len(like) if len(like) else np.ones(len(values))
    limit = sign * float(np.quantile(like, REAL_SHARE)) if len(like) >= LEAST else None
    reason = "absent" if state == 1 else "present"
    for place, at in enumerate(np.lexsort((values, rarity))[:most].tolist()):
        failure = Failure(int(rows[at]), reason, float(sign * values[at]), limit, finding)
        yield place, float(rarity[at]), float(values[at]), failure


def outlying(
    *, real: Floats, synthetic: Floats, real_groups: Groups = None, most: int, seed: int = 0
) -> list[Failure]:
    """Images farthest from their nearest real one; real images of other patients set the limit.

    Args:
        real: [n, d] features.
        synthetic: [m, d].
        real_groups: the patient of each real row.
        most: images to return.
        seed: of the real images that set the limit, where there are more than 20,000; their
            distances are larger than among all of them, and so is the limit.
    """
    distance, nearest = nearest_distance(synthetic, real)
    some, groups = at_most(_MOST, real, real_groups, seed=seed, side="real")
    limit = _limit(some, group_names(len(some), groups, side="real"), 1.0 - REAL_TAIL)
    return [
        Failure(row, "far", float(distance[row]), limit, other=int(nearest[row]))
        for row in np.argsort(-distance, kind="stable")[:most].tolist()
    ]


def repeated(
    *, real: Floats, synthetic: Floats, real_groups: Groups = None, most: int, seed: int = 0
) -> list[Failure]:
    """Images nearest to another synthetic one, each pair once.

    Nearest distances shrink with N. The limit is taken from as many real images as there are
    synthetic ones; with fewer there is none.

    Args:
        real: [n, d] features.
        synthetic: [m, d].
        real_groups: the patient of each real row.
        most: pairs to return.
        seed: of the subsamples.
    """
    order = np.arange(len(synthetic), dtype=np.float64)[:, None]
    kept, _ = at_most(_MOST, order, None, seed=seed, side="synthetic")
    rows = kept[:, 0].astype(np.intp)
    if len(rows) < 2:
        return []
    distance, nearest = nearest_of_others(synthetic[rows], [str(row) for row in rows])
    limit = None
    if len(real) >= len(rows):
        some, groups = at_most(len(rows), real, real_groups, seed=seed, side="real")
        limit = _limit(some, group_names(len(some), groups, side="real"), REAL_TAIL)
    pairs: dict[frozenset[int], Failure] = {}
    for at in np.argsort(distance, kind="stable").tolist():
        one, two = int(rows[at]), int(rows[nearest[at]])
        found = Failure(one, "repeat", float(distance[at]), limit, other=two)
        pairs.setdefault(frozenset((one, two)), found)
    return list(pairs.values())[:most]


def _limit(real: Floats, names: Sequence[str], quantile: float) -> float | None:
    """Quantile of the distances between real images and the nearest of another patient."""
    if len(real) < LEAST or len(set(names)) < 2:
        return None
    return float(np.quantile(nearest_of_others(real, names)[0], quantile))
