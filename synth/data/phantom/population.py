"""Who is in the cohort: patients, their studies, and a long tail of findings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from synth.seeding import numpy_rng

Side = Literal["left", "right", "bilateral"]

# Prevalence among studies. Long-tailed on purpose: augmenting the tail is what the product is for.
FINDINGS: dict[str, float] = {
    "cardiomegaly": 0.22,
    "pleural_effusion": 0.18,
    "consolidation": 0.13,
    "atelectasis": 0.11,
    "edema": 0.10,
    "nodule": 0.09,
    "pacemaker": 0.07,
    "emphysema": 0.06,
    "pneumothorax": 0.045,
    "hernia": 0.03,
}
_SIDED = {"pleural_effusion", "consolidation", "atelectasis", "nodule", "pneumothorax", "pacemaker"}
_MAY_BE_BILATERAL = {"pleural_effusion": 0.25, "atelectasis": 0.2}
_ZONED = {"consolidation", "nodule"}
_CHRONIC = {"cardiomegaly", "emphysema", "hernia", "pacemaker", "nodule"}


@dataclass(frozen=True)
class Finding:
    """One abnormality of one study.

    Attributes:
        name: a key of ``FINDINGS``.
        side: the patient's side (image right is the patient's left), None for midline findings.
        severity: 0 mild or small, 1 moderate, 2 severe or large.
        zone: upper, mid or lower lung zone for focal opacities.
        seen: False for what the report only suspects and the image does not show.
        certain: False when the report hedges.
        details: uniforms in [0, 1) that fix the exact shape.
    """

    name: str
    side: Side | None
    severity: int
    zone: Literal["upper", "mid", "lower"] | None
    seen: bool
    certain: bool
    details: tuple[float, ...]


@dataclass(frozen=True)
class Study:
    """One examination: one frontal image and its report."""

    patient: Patient
    number: int
    view: Literal["PA", "AP"]
    findings: tuple[Finding, ...]
    breath: float  # -1 poor … 1 deep inspiration
    exposure: float  # -1 light … 1 dark
    shift: tuple[float, float]  # positioning, fractions of the image
    seed: int


@dataclass(frozen=True)
class Patient:
    """One person: anatomy seed, demographics and studies; every value is invented."""

    index: int
    sex: Literal["F", "M"]
    age: int
    seed: int
    studies: tuple[Study, ...] = ()


def draw_patient(seed: int, index: int, *, without: frozenset[str] = frozenset()) -> Patient:
    """Draw patient ``index`` of the cohort ``seed``, always the same one.

    Args:
        seed: the cohort's seed.
        index: which patient.
        without: findings that never occur, for a base model that must not have seen them.
    """
    rng = numpy_rng("phantom", "patient", seed, index)
    sex: Literal["F", "M"] = "F" if rng.random() < 0.48 else "M"
    patient = Patient(index, sex, int(np.clip(rng.normal(61, 16), 18, 96)), seed)
    count = int(rng.choice([1, 2, 3, 4], p=[0.4, 0.3, 0.2, 0.1]))
    studies: list[Study] = []
    chronic: tuple[Finding, ...] = ()
    for number in range(count):
        study = _draw_study(patient, number, chronic, without)
        chronic = tuple(f for f in study.findings if f.name in _CHRONIC and f.seen)
        studies.append(study)
    return Patient(index, sex, patient.age, seed, tuple(studies))


def _draw_study(
    patient: Patient, number: int, chronic: tuple[Finding, ...], without: frozenset[str]
) -> Study:
    rng = numpy_rng("phantom", "study", patient.seed, patient.index, number)
    carried = {finding.name: finding for finding in chronic}
    # Chronic findings persist, so their incidence at a first study stands for their prevalence.
    present = [
        name
        for name, prevalence in FINDINGS.items()
        if name not in without
        and (rng.random() < prevalence * (0.35 if number and name in _CHRONIC else 1.0))
    ]
    names = [*carried, *(name for name in present if name not in carried)][:4]
    findings = tuple(carried.get(name) or _draw_finding(rng, name) for name in names)
    view: Literal["PA", "AP"] = "AP" if rng.random() < 0.25 else "PA"
    return Study(
        patient=patient,
        number=number,
        view=view,
        findings=findings,
        breath=float(np.clip(rng.normal(0, 0.4), -1, 1)),
        exposure=float(np.clip(rng.normal(0, 0.4), -1, 1)),
        shift=(float(rng.normal(0, 0.012)), float(rng.normal(0, 0.012))),
        seed=int(rng.integers(2**31)),
    )


def _draw_finding(rng: np.random.Generator, name: str) -> Finding:
    side: Side | None = None
    if name in _SIDED:
        side = "left" if rng.random() < 0.5 else "right"
        if name == "pacemaker":
            side = "left" if rng.random() < 0.85 else "right"
        elif rng.random() < _MAY_BE_BILATERAL.get(name, 0.0):
            side = "bilateral"
    zones: tuple[Literal["upper", "mid", "lower"], ...] = ("upper", "mid", "lower")
    zone = zones[int(rng.integers(3))] if name in _ZONED else None
    certain = bool(rng.random() > 0.08) or name == "pacemaker"
    return Finding(
        name=name,
        side=side,
        severity=int(rng.choice([0, 1, 2], p=[0.3, 0.4, 0.3])),
        zone=zone,
        seen=certain or bool(rng.random() < 0.5),
        certain=certain,
        details=tuple(float(value) for value in rng.random(8)),
    )
