"""Fidelity and diversity of features: every number with interval and real-vs-real floor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metrics.arrays import Groups, Matrix, halves
from metrics.frechet import frechet_distance, frechet_estimate
from metrics.kernel import kernel_distance, kernel_estimate
from metrics.prdc import prdc, prdc_estimates
from metrics.records import Estimate, Floor, Missing, Record
from synth.errors import SynthError
from synth.provenance import versions
from synth.seeding import numpy_rng

MEANINGS = {
    "fd": "how far the two clouds of images lie apart, as Gaussians; 0 is identical",
    "kd": "how far they lie apart, without bias at any N; 0 is identical",
    "precision": "share of synthetic images that look like some real one",
    "recall": "share of real images that some synthetic one resembles",
    "density": "how deep synthetic images lie among real ones; about 1 is ideal",
    "coverage": "share of real images with a synthetic one close by",
}


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
    records: dict[str, Record] = {}
    missing: list[Missing] = []
    fd, kd = f"fd_{facts.name}", f"kd_{facts.name}"
    measures: dict[str, Callable[[], Mapping[str, tuple[str, Estimate, Floor | None]]]] = {
        fd: lambda: _distance(fd, "fd", frechet_estimate, frechet_distance, real, synthetic, seed),
        kd: lambda: _distance(kd, "kd", kernel_estimate, kernel_distance, real, synthetic, seed),
        "precision, recall, density, coverage": lambda: _prdc(real, synthetic, k, seed),
    }
    for what, measure in measures.items():
        try:
            found = measure()
        except SynthError as error:
            missing.append(Missing(what, str(error)))
            continue
        for name, (meaning, estimate, floor) in found.items():
            count = min(len(real), len(synthetic)) if meaning in _AT_EQUAL_N else None
            records[name] = Record(
                value=estimate.value,
                se=estimate.se,
                ci=estimate.ci,
                n_real=count or len(real),
                n_synthetic=count or len(synthetic),
                estimator=estimate.estimator,
                seed=seed,
                higher_is_better=meaning in _AT_EQUAL_N,
                meaning=MEANINGS[meaning],
                extractor=facts.id,
                extractor_sha256=facts.sha256,
                preprocessing=facts.preprocessing,
                floor=floor,
                note=estimate.note,
                versions=versions(),
                without=estimate.without,
            )
    return records, missing


_AT_EQUAL_N = ("precision", "recall", "density", "coverage")


def _distance(
    name: str,
    meaning: str,
    estimate: Callable[..., Estimate],
    measure: Callable[..., float],
    real: Features,
    synthetic: Features,
    seed: int,
) -> dict[str, tuple[str, Estimate, Floor | None]]:
    """A distance on all images: its estimate, and its plain value on halves for the floor."""
    found = estimate(
        real=real.values,
        synthetic=synthetic.values,
        real_groups=real.groups,
        synthetic_groups=synthetic.groups,
        seed=seed,
    )
    floors = _floors(lambda a, b: {name: measure(real=a, synthetic=b)}, real, synthetic, seed)
    return {name: (meaning, found, floors.get(name))}


def _prdc(
    real: Features, synthetic: Features, k: int, seed: int
) -> dict[str, tuple[str, Estimate, Floor | None]]:
    count = min(len(real), len(synthetic))
    one, two = _subsample(real, count, seed, "real"), _subsample(synthetic, count, seed, "made")
    estimates = prdc_estimates(
        real=one.values,
        synthetic=two.values,
        k=k,
        real_groups=one.groups,
        synthetic_groups=two.groups,
        seed=seed,
    )
    floors = _floors(lambda a, b: _shares(a, b, k), real, synthetic, seed)
    return {name: (name, estimate, floors.get(name)) for name, estimate in estimates.items()}


def _shares(real: Matrix, synthetic: Matrix, k: int) -> Mapping[str, float]:
    found = prdc(real=real, synthetic=synthetic, k=k)
    return {
        "precision": found["precision"],
        "recall": found["recall"],
        "density": found["density"],
        "coverage": found["coverage"],
    }


def _floors(
    measure: Callable[[Matrix, Matrix], Mapping[str, float]],
    real: Features,
    synthetic: Features,
    seed: int,
) -> dict[str, Floor]:
    """Metrics between two real halves that share no patient, and of synthetic at that N."""
    first, second = halves(len(real), real.groups, seed=seed)
    # Not more than there are synthetic images, so that both columns stand at one N.
    size = min(len(first), max(len(synthetic), 10))
    if size < 10:
        return {}
    first, second = first[:size], second[:size]
    values = real.values
    made = _subsample(synthetic, size, seed, "floor").values if len(synthetic) >= size else None
    same = {} if made is None else measure(values[first], made)
    return {
        name: Floor(value, size, same.get(name))
        for name, value in measure(values[first], values[second]).items()
    }


def _subsample(features: Features, count: int, seed: int, role: str) -> Features:
    if len(features) <= count:
        return features
    rows = numpy_rng("metrics", "subsample", role, seed).permutation(len(features))[:count]
    return features.take(np.sort(rows))
