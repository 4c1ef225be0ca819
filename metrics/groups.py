"""Groups of images, by finding or by a column of the table, and what was found of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.chosen import AS_USUAL, Choices
from metrics.distances import ExtractorFacts, Features
from metrics.ingest import ImageSet
from metrics.records import Record


@dataclass(frozen=True)
class Sides:
    """Both sets, their features row by row, and what those were made with.

    Attributes:
        real: reference images.
        synthetic: images to score.
        real_features: of ``real``.
        synthetic_features: of ``synthetic``.
        facts: of the extractor.
        k: neighbour of precision, recall and coverage.
        seed: of blocks, subsamples and permutations.
        train: training images, where a metric was asked for that needs them.
        train_features: of ``train``.
        choices: what is measured of each group beyond the usual scores.
    """

    real: ImageSet
    synthetic: ImageSet
    real_features: Features
    synthetic_features: Features
    facts: ExtractorFacts
    k: int = 5
    seed: int = 0
    train: ImageSet | None = None
    train_features: Features | None = None
    choices: Choices = AS_USUAL


@dataclass(frozen=True)
class Group:
    """One group of images.

    Attributes:
        name: the finding, or the value of a column.
        real: rows of the real features that belong to it.
        synthetic: rows of the synthetic features.
        known: rows of the real features whose membership is stated.
        train: rows of the training features; None where nothing is asked of them.
    """

    name: str
    real: NDArray[np.intp]
    synthetic: NDArray[np.intp]
    known: NDArray[np.intp]
    train: NDArray[np.intp] | None = None


@dataclass(frozen=True)
class GroupScores:
    """What was found of one group.

    Attributes:
        records: ``kd``, ``mmd``, ``nearest_share``, ``precision``, ``recall``, ``coverage``,
            ``vendi`` and ``fd``, and what else was asked for, where N allows.
        p: of the permutation test that real and synthetic images of the group are alike.
        p_holm: the same, corrected for all groups tested together.
        n_real: real images.
        patients_real: their patients.
        n_synthetic: synthetic images.
        withheld: what N does not allow, with the reason.
    """

    records: Mapping[str, Record]
    p: float | None
    n_real: int
    patients_real: int
    n_synthetic: int
    withheld: Mapping[str, str]
    p_holm: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Records by name beside N, p-values and what was withheld."""
        counts = {
            "n_real": self.n_real,
            "patients_real": self.patients_real,
            "n_synthetic": self.n_synthetic,
            "p": self.p,
            "p_holm": self.p_holm,
        }
        records = {name: record.to_json() for name, record in self.records.items()}
        return {**records, **counts, **({"withheld": dict(self.withheld)} if self.withheld else {})}
