"""Features of images of four findings, honest or with one finding drawn as another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from metrics.distances import ExtractorFacts, Features
from metrics.groups import Sides
from metrics.ingest import ImageSet

FACTS = ExtractorFacts("test", "test-1", "ab", "none")
FINDINGS = ("edema", "hernia", "nodule", "effusion")


def images(labels: NDArray[np.float64], groups: tuple[str, ...] | None, prefix: str) -> ImageSet:
    names = tuple(f"{prefix}{index}" for index in range(len(labels)))
    pixels = torch.zeros((len(labels), 1, 2, 2), dtype=torch.uint8)
    return ImageSet(Path(prefix), names, names, pixels, groups, FINDINGS, labels)


def draws(
    rng: np.random.Generator, each: int, dim: int = 8, patients: int = 1
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """``each`` images a finding around its own centre; ``patients`` images share a patient."""
    kind = np.repeat(np.arange(len(FINDINGS)), each)
    centres = 1.5 * np.eye(len(FINDINGS), dim)
    shared = np.repeat(rng.normal(size=(-(-len(kind) // patients), dim)), patients, axis=0)
    values = centres[kind] + 0.7 * shared[: len(kind)] + 0.7 * rng.normal(size=(len(kind), dim))
    return values, np.eye(len(FINDINGS))[kind]


def sides(seed: int, *, each: int = 30, real_of_patient: int = 1) -> Sides:
    rng = np.random.default_rng(seed)
    real, truth = draws(rng, each, patients=real_of_patient)
    made, asked = draws(rng, each)
    groups = tuple(f"p{index // real_of_patient}" for index in range(len(real)))
    return Sides(
        images(truth, groups, "r"),
        images(asked, None, "s"),
        Features(real, groups),
        Features(made, None),
        FACTS,
    )


def replaced(given: Sides, finding: str, by: str) -> Sides:
    """The synthetic images of one finding are fresh ones of another."""
    at, other = FINDINGS.index(finding), FINDINGS.index(by)
    made = given.synthetic_features.values.copy()
    rows = given.synthetic.labels[:, at] == 1
    fresh, labels = draws(np.random.default_rng(99), int(rows.sum()))
    made[rows] = fresh[labels[:, other] == 1]
    features = Features(made, None)
    return Sides(given.real, given.synthetic, given.real_features, features, FACTS)
