"""How often each time is trained on: densities over [0, 1), as maps of uniform draws.

A density is a choice about where the network learns; a ``Process`` says what a time is. Both the
uniform draws and their order stay those of ``synth.seeding``, so a run may change the density
without changing its noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Density = Literal["uniform", "logit_normal"]


@dataclass(frozen=True)
class TimeDensity:
    """A density over relative times, 0 clean and 1 noise.

    Attributes:
        kind: ``uniform``, or ``logit_normal``: logit(t) ~ N(mean, std²) (Esser et al. 2024,
            section 3.1, eq. 19).
        mean: of the logit.
        std: of the logit.
        shift: moves times towards noise for larger images: t' = s·t / (1 + (s − 1)·t) (Esser et al.
            2024, eq. 23); 1 leaves them.
    """

    kind: Density = "uniform"
    mean: float = 0.0
    std: float = 1.0
    shift: float = 1.0

    def __call__(self, uniform: Tensor) -> Tensor:
        """Relative times, float64 in [0, 1), for uniform draws in [0, 1) of the same shape."""
        t = uniform.double()
        if self.kind == "logit_normal":
            # half a float64 step away from 0, where the normal quantile is infinite
            normal = torch.special.ndtri(t.clamp_min(2.0**-54))
            t = torch.sigmoid(self.mean + self.std * normal)
        t = self.shift * t / (1.0 + (self.shift - 1.0) * t)
        return t.clamp_max(1.0 - 2.0**-53)
