"""Fidelity and diversity of features: every number with interval and real-vs-real floor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.arrays import Groups
from metrics.fidelity import frechet_distance, kernel_distance, prdc
from metrics.records import Missing, Record
from synth.errors import SynthError


@dataclass(frozen=True)
class Features:
    """Features of one set: float [N, d] and the patient of each row, where known."""

    values: NDArray[np.floating]
    groups: Groups

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: NDArray[np.intp]) -> Features:
        """Some rows."""
        groups = None if self.groups is None else [self.groups[row] for row in rows]
        return Features(self.values[rows], groups)


@dataclass(frozen=True)
class ExtractorFacts:
    """What a record says of the extractor."""

    name: str
    id: str
    sha256: str
    preprocessing: str


def distance_records(
    real: Features, synthetic: Features, *, facts: ExtractorFacts, k: int, seed: int
) -> tuple[dict[str, Record], list[Missing]]:
    """Fréchet and kernel distance, precision, recall, density and coverage.

    Precision and its three relatives are taken at equal N: the larger set is subsampled.

    Returns:
        The records by name, and what could not be computed.
    """
    sides: dict[str, Any] = {
        "real": real.values,
        "synthetic": synthetic.values,
        "real_groups": real.groups,
        "synthetic_groups": synthetic.groups,
        "seed": seed,
    }
    fd, kd = f"fd_{facts.name}", f"kd_{facts.name}"
    measures: dict[str, Callable[[], Mapping[str, Record]]] = {
        fd: lambda: {fd: frechet_distance(**sides)},
        kd: lambda: {kd: kernel_distance(**sides)},
        "precision, recall, density, coverage": lambda: prdc(**sides, k=k),
    }
    records: dict[str, Record] = {}
    missing: list[Missing] = []
    for what, measure in measures.items():
        try:
            found = measure()
        except SynthError as error:
            missing.append(Missing(what, str(error)))
            continue
        records |= {name: of_extractor(record, facts) for name, record in found.items()}
    return records, missing


def of_extractor(record: Record, facts: ExtractorFacts) -> Record:
    """The record of feature arrays, with what made them."""
    return replace(
        record,
        extractor=facts.id,
        extractor_sha256=facts.sha256,
        preprocessing=facts.preprocessing,
    )
