"""What makes a synthetic dataset this one: resuming under anything else would mix two datasets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from synth.manifest import sha256_text

_OFF: dict[str, Any] = {
    "guidance_interval": [0.0, 1.0],
    "guidance_rescale": 0.0,
    "spacing": "model",
    "filters": "",
}


@dataclass(frozen=True)
class Identity:
    """The facts from which every image of a dataset follows, beside its own prompt and seed.

    The batch size and the device are not among them: they change an image by float rounding only,
    and a run that ran out of memory must be able to continue with a smaller batch.

    Attributes:
        solver: name of the solver.
        steps: solver steps.
        guidance: classifier-free guidance, 1 is off.
        size: side of the images in pixels.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        seed: the run's seed.
        images: how many are planned.
        plan: the plan in words.
        weights_sha256: digest of the model's weights.
        plan_sha256: digest of the planned rows; differs alone when the real dataset has changed.
        guidance_interval: relative times between which guidance acts.
        guidance_rescale: 0 is off.
        spacing: ``auto`` where the solver's times are other than the stock pipeline's.
        filters: digest of the filters' settings and limits; empty where there are none.
    """

    solver: str
    steps: int
    guidance: float
    size: int
    precision: str
    seed: int
    images: int
    plan: str
    weights_sha256: str
    plan_sha256: str
    guidance_interval: tuple[float, float] = (0.0, 1.0)
    guidance_rescale: float = 0.0
    spacing: str = "model"
    filters: str = ""

    def to_json(self) -> dict[str, Any]:
        """For ``dataset.json``; an option that is off is left out."""
        values = asdict(self) | {"guidance_interval": list(self.guidance_interval)}
        return {name: value for name, value in values.items() if _OFF.get(name) != value}

    @property
    def config_sha256(self) -> str:
        """Digest of the settings that, with a row's prompt, seed and weights, give its image."""
        names = {"solver", "steps", "guidance", "size", "precision", *_OFF} - {"filters"}
        settings = {name: value for name, value in self.to_json().items() if name in names}
        return sha256_text(json.dumps(settings, sort_keys=True))

    def differences(self, recorded: Mapping[str, Any]) -> list[str]:
        """How this differs from what a folder's ``dataset.json`` recorded, one phrase a fact."""
        there = {**_OFF, **recorded}
        return [
            f"{name} {_short(there.get(name))} there, {_short(value)} asked for"
            for name, value in {**_OFF, **self.to_json()}.items()
            if there.get(name) != value
        ]


def _short(value: object) -> str:
    text = str(value)
    return f"{text[:12]}…" if len(text) == 64 else text
