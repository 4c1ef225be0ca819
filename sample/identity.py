"""What makes a synthetic dataset this one: resuming under anything else would mix two datasets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from synth.manifest import sha256_text


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

    @property
    def config_sha256(self) -> str:
        """Digest of the settings that, with a row's prompt, seed and weights, give its image."""
        names = ("solver", "steps", "guidance", "size", "precision")
        settings = {name: value for name, value in asdict(self).items() if name in names}
        return sha256_text(json.dumps(settings, sort_keys=True))

    def differences(self, recorded: Mapping[str, Any]) -> list[str]:
        """How this differs from what a folder's ``dataset.json`` recorded, one phrase a fact."""
        return [
            f"{name} {_short(recorded.get(name))} there, {_short(value)} asked for"
            for name, value in asdict(self).items()
            if recorded.get(name) != value
        ]


def _short(value: object) -> str:
    text = str(value)
    return f"{text[:12]}…" if len(text) == 64 else text
