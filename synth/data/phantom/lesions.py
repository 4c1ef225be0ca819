"""How each finding changes the thorax: where air is lost, tissue added, or metal lies.

One function a finding; the registry at the end is the list. Sizes grow with severity (0, 1, 2), and
``details`` (uniforms of the finding) fix the exact position, so that a chronic finding stays where
it was in the patient's next study.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from synth.data.phantom.population import Finding
from synth.seeding import numpy_rng

if TYPE_CHECKING:
    from synth.data.phantom.render import Hemithorax, Plane, Scene


def apply_lesions(scene: Scene, findings: Iterable[Finding]) -> None:
    """Change the scene for every finding that the image shows, air-changing ones first."""
    order = list(_LESIONS)
    for finding in sorted(findings, key=lambda f: order.index(f.name)):
        if finding.seen:
            _LESIONS[finding.name](scene, finding)


def _sides(scene: Scene, finding: Finding) -> list[Hemithorax]:
    names = ("right", "left") if finding.side == "bilateral" else (finding.side or "left",)
    return [scene.lungs[name] for name in names]


def _edge(value: Plane, width: float) -> Plane:
    """A linear 0..1 edge of the given width around zero."""
    return np.clip(value / width + 0.5, 0, 1).astype(np.float32)


def _pleural_effusion(scene: Scene, finding: Finding) -> None:
    for lung in _sides(scene, finding):
        crown = float(scene.anatomy.dome[0] if lung.sign < 0 else scene.anatomy.dome[1])
        level = crown + (0.07, -0.17, -0.45)[finding.severity] + 0.06 * (finding.details[0] - 0.5)
        # The meniscus climbs along the lateral chest wall.
        across = np.clip((lung.lateral - lung.inner) / (lung.outer - lung.inner), 0, 1)
        surface = level - 0.20 * across**4 - 0.04 * (1 - across) ** 4
        fluid = _edge(scene.y - surface, 0.06)
        # Fluid also fills the recess below the visible lung, so the dome's outline is lost.
        wall = _edge(lung.outer - lung.lateral, 0.05) * _edge(lung.lateral - 0.06, 0.08)
        lung.air *= 1 - 0.94 * fluid
        lung.vessels *= 1 - 0.9 * fluid
        scene.opacity += 0.10 * fluid * wall * _edge(crown + 0.42 - scene.y, 0.25)


def _pneumothorax(scene: Scene, finding: Finding) -> None:
    gap = (0.10, 0.17, 0.26)[finding.severity] * (0.9 + 0.2 * finding.details[0])
    for lung in _sides(scene, finding):
        # Air collects at the apex first: the lung's edge falls away from wall and apex.
        depth_top = (scene.y - scene.anatomy.apex) / 1.5
        inward = lung.outer - lung.lateral - gap * np.clip(1.25 - 0.75 * depth_top, 0.2, 1.2)
        down = scene.y - scene.anatomy.apex - 1.5 * gap
        edge = np.minimum(inward, down * 0.8)
        collapsed = _edge(edge, 0.02)  # 1 where lung remains
        space = 1 - collapsed
        lung.vessels *= collapsed
        lung.air += 0.24 * space * lung.cavity - 0.10 * collapsed * lung.cavity
        line = np.exp(-((edge / 0.012) ** 2)) * np.clip(lung.cavity * 2, 0, 1)
        scene.opacity += 0.10 * line.astype(np.float32)


def _consolidation(scene: Scene, finding: Finding) -> None:
    level = {"upper": -0.48, "mid": -0.10, "lower": 0.26}[finding.zone or "lower"]
    radius = (0.15, 0.20, 0.26)[finding.severity]
    rng = numpy_rng("phantom", "consolidation", int(finding.details[7] * 1e9))
    cloud = gaussian_filter(rng.standard_normal((scene.size, scene.size)), scene.size * 0.028)
    cloud = (cloud / cloud.std()).astype(np.float32)
    for lung in _sides(scene, finding):
        x = lung.lateral - (0.42 + 0.10 * (finding.details[0] - 0.5))
        y = scene.y - level - 0.10 * (finding.details[1] - 0.5)
        distance = np.sqrt((x / (radius * 1.1)) ** 2 + (y / radius) ** 2)
        dense = _edge(1.0 - distance + 0.22 * cloud, 0.75)
        loss = (0.62, 0.74, 0.84)[finding.severity] * dense
        lung.air *= 1 - loss
        lung.vessels *= 1 - 0.8 * dense


def _nodule(scene: Scene, finding: Finding) -> None:
    level = {"upper": -0.45, "mid": -0.10, "lower": 0.20}[finding.zone or "mid"]
    radius = (0.055, 0.075, 0.10)[finding.severity]
    for lung in _sides(scene, finding):
        x = lung.lateral - (0.42 + 0.22 * (finding.details[0] - 0.5))
        y = scene.y - level - 0.16 * (finding.details[1] - 0.5)
        ball = np.sqrt(np.clip(1 - (x**2 + y**2) / radius**2, 0, 1)).astype(np.float32)
        scene.opacity += 0.34 * gaussian_filter(ball, scene.size / 300)


def _edema(scene: Scene, finding: Finding) -> None:
    strength = (0.38, 0.58, 0.80)[finding.severity]
    for lung in scene.lungs.values():
        x = (lung.lateral - 0.24) / (0.30 + 0.05 * finding.severity)
        y = (scene.y - scene.hilum_y - 0.10) / 0.42
        wing = np.exp(-(x**2) - y**2).astype(np.float32)
        lung.air *= 1 - strength * wing
        lung.vessels *= 1 + 0.7 * strength
        # Septal lines: short horizontals at the lateral bases.
        lines = np.clip(np.sin(scene.y * 95), 0, 1) ** 4
        base = np.exp(-(((lung.outer - lung.lateral - 0.08) / 0.06) ** 2)) * _edge(
            scene.y - 0.12, 0.3
        )
        scene.opacity += (0.05 * strength * lines * base * np.clip(lung.cavity, 0, 1)).astype(
            np.float32
        )


def _atelectasis(scene: Scene, finding: Finding) -> None:
    for lung in _sides(scene, finding):
        crown = float(scene.anatomy.dome[0] if lung.sign < 0 else scene.anatomy.dome[1])
        tilt = 0.25 * (finding.details[0] - 0.3)
        for index in range(1 + (finding.severity > 0)):
            centre = crown - 0.10 - 0.13 * index - 0.05 * finding.details[1]
            distance = scene.y - centre - tilt * (lung.lateral - 0.4)
            reach = _edge(0.66 - lung.lateral, 0.1) * _edge(lung.lateral - 0.20, 0.1)
            band = np.exp(-((distance / (0.022 + 0.008 * finding.severity)) ** 2)) * reach
            visible = np.clip(lung.cavity * 1.6, 0, 1)
            scene.opacity += (0.24 * band * visible).astype(np.float32)


def _emphysema(scene: Scene, finding: Finding) -> None:
    for lung in scene.lungs.values():  # the geometry was changed with the anatomy
        lung.vessels *= (0.75, 0.55, 0.40)[finding.severity]


def _hernia(scene: Scene, finding: Finding) -> None:
    """Hiatal hernia: a retrocardiac stomach with an air-fluid level."""
    radius = (0.16, 0.21, 0.27)[finding.severity]
    crown = float(scene.anatomy.dome[1])
    x = scene.x - 0.06 - 0.05 * (finding.details[0] - 0.5)
    y = scene.y - (crown - 0.55 * radius - 0.03)
    distance = np.sqrt((x / (1.15 * radius)) ** 2 + (y / radius) ** 2)
    sac = _edge(1 - distance, 0.10)
    level = -0.15 * radius
    gas = _edge(0.90 - distance, 0.10) * _edge(level - y, 0.03)
    scene.opacity += 0.16 * sac - 0.34 * gas


def _pacemaker(scene: Scene, finding: Finding) -> None:
    size, sign = scene.size, 1.0 if finding.side == "left" else -1.0
    canvas = Image.new("L", (size * 2, size * 2))
    draw = ImageDraw.Draw(canvas)

    def at(x: float, y: float) -> tuple[float, float]:
        return ((x + 1) * size, (y + 1) * size)

    cx = sign * (0.52 + 0.05 * (finding.details[0] - 0.5))
    cy = -0.46 + 0.06 * (finding.details[1] - 0.5)
    half = 0.10 + 0.01 * finding.severity
    draw.rounded_rectangle(
        [at(cx - half, cy - half * 0.85), at(cx + half, cy + half * 0.85)], size * 0.09, fill=255
    )
    heart_x = 0.22 + 0.4 * (scene.anatomy.cardiothoracic - 0.45)
    tips = [(-0.10, 0.10), (heart_x, float(scene.anatomy.dome[1]) - 0.10)][
        0 if finding.severity else 1 :
    ]
    for tip_x, tip_y in tips:
        path = [(cx - sign * half, cy), (sign * 0.20, -0.60), (-0.06, -0.36), (-0.09, 0.0)]
        points = _smooth([*path, (tip_x, tip_y)])
        draw.line([at(x, y) for x, y in points], fill=235, width=max(2, round(size / 64)))
    small = canvas.resize((size, size), Image.Resampling.BOX)
    metal = gaussian_filter(np.asarray(small, dtype=np.float32) / 255, size / 420)
    scene.metal = np.maximum(scene.metal, 0.52 * metal)


def _smooth(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """A Catmull-Rom curve through the points."""
    knots = np.array([points[0], *points, points[-1]])
    curve = []
    for index in range(1, len(knots) - 2):
        p0, p1, p2, p3 = knots[index - 1 : index + 3]
        for t in np.linspace(0, 1, 12, endpoint=False):
            a, b = 2 * p1, p2 - p0
            c, d = 2 * p0 - 5 * p1 + 4 * p2 - p3, -p0 + 3 * p1 - 3 * p2 + p3
            curve.append(0.5 * (a + b * t + c * t**2 + d * t**3))
    return [(float(x), float(y)) for x, y in [*curve, knots[-1]]]


def _no_change(scene: Scene, finding: Finding) -> None:
    """The heart's size is part of the anatomy."""


_LESIONS: dict[str, Callable[[Scene, Finding], None]] = {
    "cardiomegaly": _no_change,
    "emphysema": _emphysema,
    "edema": _edema,
    "consolidation": _consolidation,
    "pneumothorax": _pneumothorax,
    "pleural_effusion": _pleural_effusion,
    "atelectasis": _atelectasis,
    "nodule": _nodule,
    "hernia": _hernia,
    "pacemaker": _pacemaker,
}
