"""Does an image lie closer to its own text than to that of another patient with the same findings?

Among all images a mismatched text mostly names other findings, and a model that knows nothing but
findings tells the pairs apart. So each image's own text is compared with the texts of images that
show the same findings: what is left is where, how large, how severe.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metrics.arrays import Floats
from metrics.clustered import area_estimate, unit_blocks
from metrics.pairs import UNKNOWN, Pairs
from metrics.records import Estimate
from synth.errors import SynthError

MOST = 1000  # pairs: the work grows with their square
WITHIN, AMONG_ALL = "within label set", "among all images"


def matched_auc(given: Pairs, *, seed: int = 0, side: str = "pairs") -> tuple[Estimate, str, int]:
    """Chance that an image's own text is closer than a mismatched one; 0.5 is chance.

    The mean over images of the share of mismatched texts that are farther, ties counted half: an
    AUROC whose comparisons are made for one image at a time, so that images which lie close to
    every text do not count for more.

    Args:
        given: at most ``MOST`` pairs.
        seed: of the blocks behind the interval.
        side: keeps the two sides' blocks apart.

    Returns:
        The estimate, where the mismatches were drawn (``WITHIN`` or ``AMONG_ALL``), and how many
        images had any.

    Raises:
        SynthError: all texts are the same, or of one patient.
    """
    other = given.text_of[:, None] != given.text_of
    names = np.unique(given.units, return_inverse=True)[1]
    other &= names[:, None] != names
    allowed, where, why = _mismatches(given, other)
    if not allowed.any():
        raise SynthError("all texts are the same, or of one patient", where="matched_auc")
    cosines, own = given.cosines()
    scores = cosines[:, own]
    right = np.diagonal(scores)[:, None]
    wins = allowed * ((right > scores) + 0.5 * (right == scores))
    block = unit_blocks(given.units, seed=seed, side=side)
    member = block[:, None] == np.arange(block.max() + 1)
    won, met = wins @ member, allowed.astype(np.float64) @ member
    full = _mean_share(won.sum(axis=1), met.sum(axis=1))
    without = [
        _mean_share(
            (won.sum(axis=1) - won[:, number])[block != number],
            (met.sum(axis=1) - met[:, number])[block != number],
        )
        for number in range(block.max() + 1)
    ]
    compared = allowed.any(axis=1)
    units = len(np.unique(names[compared]))
    return area_estimate(full, np.array(without), units, why), where, int(compared.sum())


def _mismatches(given: Pairs, other: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], str, str]:
    """Which texts are mismatches of which images, where they were drawn, and why there."""
    if given.label_set is None:
        return other, AMONG_ALL, "no labels: mismatches are of any findings, which is easier"
    known = given.label_set != UNKNOWN
    within = other & (given.label_set[:, None] == given.label_set) & known[:, None] & known
    if within.any():
        return within, WITHIN, ""
    why = "no two patients with different texts show the same findings: mismatches are of any"
    return other, AMONG_ALL, f"{why}, which is easier"


def _mean_share(won: Floats, met: Floats) -> float:
    some = met > 0
    return float((won[some] / met[some]).mean()) if some.any() else float("nan")
