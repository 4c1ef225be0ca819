"""Project the phantom thorax to a frontal radiograph by summing path lengths (Beer-Lambert).

Every structure adds or removes thickness along the ray; the image shows the attenuation exponent,
as a digital detector's logarithmic readout does. Coordinates: x in [-1, 1] to the image's right
(the patient's left), y in [-1, 1] downwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from synth.data.phantom.anatomy import Anatomy, draw_anatomy
from synth.data.phantom.lesions import apply_lesions
from synth.data.phantom.population import Study
from synth.seeding import numpy_rng

Plane = NDArray[Any]  # float32 [size, size]
SIDES = {"right": -1.0, "left": 1.0}  # image direction of the patient's side


@dataclass
class Hemithorax:
    """One lung on the image grid."""

    sign: float  # -1 patient right (image left), 1 patient left
    lateral: Plane  # distance from the midline, in the side's own direction
    outer: Plane  # lateral border of the lung at each row
    inner: Plane  # medial border
    floor: Plane  # y of the diaphragm at each column
    cavity: Plane  # 0..1, path through the pleural cavity
    air: Plane  # 0..1, path through aerated lung; lesions lower it
    vessels: Plane  # 0..1, vessel shadows


@dataclass
class Scene:
    """The state that lesions change: planes of thickness, all float32 [size, size]."""

    size: int
    x: Plane
    y: Plane
    anatomy: Anatomy
    lungs: dict[str, Hemithorax]
    heart: Plane
    opacity: Plane  # added soft tissue
    metal: Plane
    hilum_y: float


def render(study: Study, size: int = 256) -> Plane:
    """Render one study as float32 [size, size] in [0, 1], bright where attenuation is high."""
    scene = build_scene(study, size)
    apply_lesions(scene, study.findings)
    exponent = _attenuation(scene, study)
    rng = numpy_rng("phantom", "noise", study.seed)
    grain = gaussian_filter(rng.standard_normal((size, size)).astype(np.float32), size / 256)
    # Quantum noise: fewer photons where more were absorbed.
    exponent = exponent + grain * 0.012 * (0.5 + exponent)
    gain, offset = 1.0 + 0.06 * study.exposure, -0.03 * study.exposure
    grey: Plane = np.clip(0.06 + 0.88 * (exponent * gain + offset), 0.0, 1.0)
    return grey.astype(np.float32)


def build_scene(study: Study, size: int) -> Scene:
    """The healthy thorax of the study's patient, positioned as in this study."""
    anatomy = draw_anatomy(study)
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size * 2 - 1
    y, x = np.meshgrid(axis - 2 * study.shift[1], axis - 2 * study.shift[0], indexing="ij")
    heart = _heart(anatomy, x, y)
    hilum_y = -0.08
    lungs = {
        name: _hemithorax(anatomy, study, name, x, y, heart, hilum_y) for name in ("right", "left")
    }
    zeros = np.zeros((size, size), np.float32)
    return Scene(size, x, y, anatomy, lungs, heart, zeros, zeros.copy(), hilum_y)


def step(value: Plane, width: float) -> Plane:
    """A linear 0..1 edge of the given width around zero."""
    return np.clip(value / width + 0.5, 0, 1).astype(np.float32)


def _hemithorax(
    anatomy: Anatomy, study: Study, name: str, x: Plane, y: Plane, heart: Plane, hilum_y: float
) -> Hemithorax:
    sign = SIDES[name]
    lateral = sign * x
    widest = 0.30
    above = np.clip((widest - y) / (widest - anatomy.apex), 0, 1.3)
    outer = anatomy.lung_width * (1 - 0.50 * above**2.3)
    inner = 0.13 - 0.03 * np.clip((y + 0.3) / 0.8, -1, 1)
    across = (lateral - inner) / np.maximum(outer - inner, 0.05)  # 0 medial … 1 lateral
    top = anatomy.dome[0] if name == "right" else anatomy.dome[1]
    # The dome's crown lies a third of the way out; it falls to the costophrenic angle.
    floor = top + anatomy.dome_height * np.clip(np.abs(across - 0.35) / 0.65, 0, 1.2) ** 2.2
    inside = np.clip(1 - np.abs(2 * across - 1) ** 3.2, 0, 1) ** 0.55
    apex = np.clip((y - anatomy.apex) / 0.30, 0, 1) ** 0.5
    cavity = (inside * apex * step(floor - y, 0.035)).astype(np.float32)
    air = cavity * (1 - 0.80 * np.clip(heart * 1.6, 0, 1))
    vessels = _vessels(study, sign, anatomy, len(x), hilum_y) * np.clip(cavity * 1.5, 0, 1)
    return Hemithorax(sign, lateral, outer, inner, floor, cavity, air, vessels)


def _heart(anatomy: Anatomy, x: Plane, y: Plane) -> Plane:
    width = anatomy.cardiothoracic * anatomy.lung_width  # half of the heart's transverse diameter
    top = 0.5 * (anatomy.dome[0] + anatomy.dome[1])
    centre = (0.30 * width, top - 0.16)
    cos, sin = np.cos(anatomy.heart_tilt), np.sin(anatomy.heart_tilt)
    along = (x - centre[0]) * cos + (y - centre[1]) * sin
    across = -(x - centre[0]) * sin + (y - centre[1]) * cos
    long, short = width * 1.06, width * 0.80 + 0.02
    path: Plane = np.sqrt(np.clip(1 - (along / long) ** 2 - (across / short) ** 2, 0, 1))
    return path.astype(np.float32)


def _vessels(study: Study, sign: float, anatomy: Anatomy, size: int, hilum_y: float) -> Plane:
    """Pulmonary vessels: a tree that tapers from the hilum, fixed for the patient's lifetime."""
    rng = numpy_rng("phantom", "vessels", study.patient.seed, study.patient.index, int(sign))
    canvas = Image.new("L", (size, size))
    draw = ImageDraw.Draw(canvas)
    scale = size / 2
    origin = np.array([sign * 0.17, hilum_y])
    for angle in np.linspace(-1.35, 1.25, 9) + rng.normal(0, 0.10, 9):
        _branch(draw, rng, origin, angle, sign, 0.30 + 0.08 * rng.random(), 3.2, scale, 0)
    draw.ellipse(_box(origin * scale + scale, 0.045 * scale), fill=120)
    shadows: Plane = gaussian_filter(np.asarray(canvas, dtype=np.float32) / 255, size / 200)
    return shadows


def _branch(
    draw: ImageDraw.ImageDraw,
    rng: np.random.Generator,
    start: NDArray[np.float64],
    angle: float,
    sign: float,
    length: float,
    width: float,
    scale: float,
    depth: int,
) -> None:
    end = start + length * np.array([sign * np.cos(angle), np.sin(angle)])
    fill = (200, 150, 105)[depth]
    draw.line(
        [tuple(start * scale + scale), tuple(end * scale + scale)],
        fill=fill,
        width=max(1, round(width * scale / 128)),
    )
    if depth == 2:
        return
    for turn in (-0.35, 0.30):
        bend = angle + turn + rng.normal(0, 0.08)
        _branch(draw, rng, end, bend, sign, length * 0.72, width * 0.6, scale, depth + 1)


def _box(centre: NDArray[np.float64], radius: float) -> tuple[float, float, float, float]:
    x, y = float(centre[0]), float(centre[1])
    return (x - radius, y - 1.6 * radius, x + radius, y + 1.6 * radius)


def _attenuation(scene: Scene, study: Study) -> Plane:
    anatomy, x, y = scene.anatomy, scene.x, scene.y
    waist = 0.36 + 0.60 * np.clip((y + 1.02) / 0.34, 0, 1) ** 0.7
    body = np.sqrt(np.clip(1 - (np.abs(x) / waist) ** 2.6, 0, 1)) * anatomy.bulk
    total = 0.64 * body + 0.10 * np.clip(y, 0, 1) * (body > 0)
    for lung in scene.lungs.values():
        total -= 0.60 * lung.air / anatomy.lung_density**0.5
        total += 0.15 * lung.vessels * (1 - 0.7 * scene.heart)
    total += 0.10 * scene.heart + _mediastinum(anatomy, x, y) + _bones(anatomy, x, y)
    if anatomy.breast:
        for sign in (-1, 1):
            q = ((x - sign * 0.42) / 0.34) ** 2 + ((y - 0.34) / 0.30) ** 2
            total += anatomy.breast * np.sqrt(np.clip(1 - q, 0, 1))
    bubble = ((x - 0.36) / 0.13) ** 2 + ((y - anatomy.dome[1] - 0.17) / 0.08) ** 2
    total -= 0.16 * np.sqrt(np.clip(1 - bubble, 0, 1))  # gastric air under the left dome
    total += scene.opacity + scene.metal
    # The detector's toe: air never reads as exactly zero.
    return (0.5 * (total + np.sqrt(total**2 + 0.004))).astype(np.float32)


def _mediastinum(anatomy: Anatomy, x: Plane, y: Plane) -> Plane:
    column = np.exp(-((x / 0.12) ** 4)) * 0.09
    knob = ((x - 0.11) ** 2 + (y + 0.32) ** 2) / anatomy.aortic_knob**2
    trachea = np.exp(-(((x + 0.01) / 0.035) ** 2)) * step(-0.28 - y, 0.2) * 0.13
    vertebra = 0.5 + 0.5 * np.cos(2 * np.pi * y / (anatomy.rib_spacing * 0.85))
    spine = np.exp(-((x / 0.075) ** 4)) * (0.035 + 0.035 * vertebra)
    return column + 0.14 * np.sqrt(np.clip(1 - knob, 0, 1)) - trachea + spine


def _bones(anatomy: Anatomy, x: Plane, y: Plane) -> Plane:
    lateral = np.abs(x)
    limit = anatomy.lung_width + 0.07
    total = np.zeros_like(x)
    fade = step(limit - lateral, 0.10) * step(lateral - 0.07, 0.05)
    for index in range(9):  # posterior ribs: out and down, an arch each
        start = anatomy.apex + 0.02 + index * anatomy.rib_spacing
        centre = start - 0.05 + anatomy.rib_slope * lateral**1.8 - 0.10 * np.sin(2.6 * lateral)
        total += 0.075 * _tube(y - centre, 0.030) * fade
    front = step(limit - lateral, 0.10) * step(lateral - 0.30, 0.25)
    for index in range(5):  # anterior ribs: in and down, fainter
        start = anatomy.apex + 0.28 + index * anatomy.rib_spacing * 1.1
        centre = start + 0.55 * (anatomy.lung_width - lateral)
        total += 0.035 * _tube(y - centre, 0.032) * front
    bow = anatomy.clavicle - 0.10 * lateral - 0.05 * np.sin(4.2 * lateral)
    reach = step(0.72 - lateral, 0.08) * step(lateral - 0.10, 0.06)
    total += 0.11 * _tube(y - bow, 0.034) * reach
    return total


def _tube(distance: Plane, radius: float) -> Plane:
    """Path through a bone tube with a denser cortex at its edges."""
    inside = np.clip(1 - (distance / radius) ** 2, 0, 1)
    return np.sqrt(inside) + 0.35 * np.exp(-(((np.abs(distance) - radius) / (0.25 * radius)) ** 2))
