"""The healthy thorax of one patient: a dozen lengths, in half image widths, drawn once."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from synth.data.phantom.population import Patient, Study
from synth.seeding import numpy_rng


@dataclass(frozen=True)
class Anatomy:
    """Lengths are fractions of half the image width; x grows to the image's right, y downwards."""

    lung_width: float  # lateral border of the widest level, from the midline
    apex: float  # y of the lung apices
    dome: tuple[float, float]  # y of the diaphragm's top, patient right and left
    dome_height: float  # how far the dome rises above the costophrenic angle
    cardiothoracic: float  # heart width / thoracic width
    heart_tilt: float  # radians
    aortic_knob: float  # radius
    rib_spacing: float
    rib_slope: float
    bulk: float  # soft-tissue thickness, 1 average
    breast: float  # 0 none
    lung_density: float  # 1 average, lower is darker lungs
    clavicle: float  # y at the midline


def draw_anatomy(study: Study) -> Anatomy:
    """The patient's thorax as this study shows it: breath, view and geometry-changing findings."""
    base = _patient_anatomy(study.patient)
    drop = 0.05 * study.breath - (0.05 if study.view == "AP" else 0.0)
    anatomy = replace(
        base,
        dome=(base.dome[0] + drop, base.dome[1] + drop),
        cardiothoracic=base.cardiothoracic * (1.06 if study.view == "AP" else 1.0),
    )
    for finding in study.findings:
        if finding.seen:
            anatomy = _reshape(anatomy, finding.name, finding.severity, finding.side)
    return anatomy


def _patient_anatomy(patient: Patient) -> Anatomy:
    rng = numpy_rng("phantom", "anatomy", patient.seed, patient.index)
    male = patient.sex == "M"
    dome_right = 0.50 + rng.normal(0, 0.03)
    return Anatomy(
        lung_width=0.76 + 0.03 * male + rng.normal(0, 0.025),
        apex=-0.76 + rng.normal(0, 0.03),
        dome=(dome_right, dome_right + 0.05 + rng.normal(0, 0.015)),
        dome_height=0.20 + rng.normal(0, 0.02),
        cardiothoracic=0.43 + 0.0006 * (patient.age - 60) + rng.normal(0, 0.018),
        heart_tilt=0.55 + rng.normal(0, 0.08),
        aortic_knob=0.10 + 0.0006 * (patient.age - 60) + rng.normal(0, 0.008),
        rib_spacing=0.165 + rng.normal(0, 0.006),
        rib_slope=0.33 + rng.normal(0, 0.04),
        bulk=float(np.clip(rng.normal(1.0, 0.10), 0.75, 1.3)),
        breast=0.0 if male else float(np.clip(rng.normal(0.09, 0.03), 0.03, 0.16)),
        lung_density=float(np.clip(rng.normal(1.0, 0.05), 0.85, 1.15)),
        clavicle=-0.66 + rng.normal(0, 0.03),
    )


def _reshape(anatomy: Anatomy, name: str, severity: int, side: str | None) -> Anatomy:
    right, left = anatomy.dome
    if name == "cardiomegaly":
        return replace(anatomy, cardiothoracic=(0.56, 0.63, 0.71)[severity])
    if name == "emphysema":
        flat, drop = (0.10, 0.055, 0.02)[severity], (0.07, 0.12, 0.17)[severity]
        return replace(
            anatomy,
            dome=(right + drop, left + drop),
            dome_height=flat,
            lung_density=anatomy.lung_density * (0.88, 0.80, 0.72)[severity],
            cardiothoracic=anatomy.cardiothoracic * 0.9,
        )
    if name == "atelectasis":  # volume loss: the diaphragm rises on that side
        rise = (0.03, 0.06, 0.09)[severity]
        return replace(
            anatomy,
            dome=(
                right - rise * (side in ("right", "bilateral")),
                left - rise * (side in ("left", "bilateral")),
            ),
        )
    return anatomy
