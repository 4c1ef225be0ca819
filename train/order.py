"""Data order as a pure function of (seed, position): resuming needs one integer.

Position p lies in epoch p // N. An epoch draws N rows by systematic resampling (Carpenter et al.
1999) with the given probabilities, then shuffles them. Equal probabilities give every row exactly
once, so the natural order is the special case and not another code path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from synth.errors import SynthError, UsageError
from synth.manifest import Label
from synth.seeding import numpy_rng


class Order:
    """Which row is presented at which position.

    Args:
        probabilities: float64 [N], positive, summing to 1.
        seed: the run's seed.
    """

    def __init__(self, probabilities: NDArray[np.float64], *, seed: int) -> None:
        if len(probabilities) == 0:
            raise SynthError("no image in the training split")
        self._probabilities = probabilities
        self._seed = seed
        self._epoch: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, np.int64))

    def row(self, position: int) -> int:
        """Index of the row presented at a position."""
        number, offset = divmod(position, len(self._probabilities))
        if self._epoch[0] != number:  # the last epoch is kept only to save its recomputation
            self._epoch = (number, epoch_rows(self._probabilities, self._seed, number))
        return int(self._epoch[1][offset])


def epoch_rows(probabilities: NDArray[np.float64], seed: int, epoch: int) -> NDArray[np.int64]:
    """Row indices of one epoch, int64 [N]; row i appears floor or ceil of N·p_i times."""
    rng = numpy_rng("order", seed, epoch)
    count = len(probabilities)
    ticks = (np.arange(count) + rng.random()) / count
    # Rounding keeps equal probabilities on an exact grid: one tick a row.
    edges = np.cumsum(probabilities).round(12)
    rows = np.searchsorted(edges, ticks, side="right").clip(max=count - 1)
    return rng.permutation(rows)


def sampling_probabilities(
    labels: Sequence[Mapping[str, Label]],
    balance: float,
    weights: Mapping[str, float] | None = None,
) -> NDArray[np.float64]:
    """Mix natural with finding-balanced sampling, then weight findings.

    Args:
        labels: the labels of each row.
        balance: 0 is natural. At 1 every finding, and "no finding present" as one more, gets the
            same share; a row with several findings gets a part of each.
        weights: finding -> how many times as often its images are shown; of several findings in
            one image the largest counts.

    Returns:
        float64 [N] summing to 1.

    Raises:
        UsageError: no image has a finding that is weighted.
    """
    even = _balanced(labels, balance)
    if not weights:
        return even
    known = {name for row in labels for name, value in row.items() if value == 1}
    if unknown := sorted(weights.keys() - known):
        raise UsageError(
            "no training image has this finding",
            where=f"data.weights.{unknown[0]}",
            expected=", ".join(sorted(known)),
        )
    factors = np.array(
        [
            max((weights[name] for name in row if row[name] == 1 and name in weights), default=1.0)
            for row in labels
        ]
    )
    weighted: NDArray[np.float64] = even * factors
    weighted /= weighted.sum()
    return weighted


def _balanced(labels: Sequence[Mapping[str, Label]], balance: float) -> NDArray[np.float64]:
    count = len(labels)
    natural = np.full(count, 1.0 / max(count, 1))
    if balance == 0.0:
        return natural
    groups: dict[str, list[int]] = {}
    for index, row in enumerate(labels):
        present = [name for name, value in row.items() if value == 1]
        for name in present or [""]:
            groups.setdefault(name, []).append(index)
    even = np.zeros(count)
    for members in groups.values():
        even[members] += 1.0 / (len(groups) * len(members))
    return (1.0 - balance) * natural + balance * even
