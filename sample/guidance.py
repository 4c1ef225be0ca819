"""Classifier-free guidance: how strongly, when, and how bright the result stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from synth.errors import UsageError


@dataclass(frozen=True)
class Guidance:
    """w in ``uncond + w·(cond − uncond)`` (Ho & Salimans 2022, eq. 6 with w = 1 + w').

    Attributes:
        weights: one a sample, or one for all; 1 is off.
        interval: relative times, 0 clean and 1 pure noise, between which guidance acts, both
            included. Limiting it helps fidelity and diversity (Kynkäänniemi et al. 2024), and
            elsewhere the unconditional pass is skipped.
        rescale: φ of Lin et al. 2024, eq. 15-16: 0 is off, 1 gives the guided output the standard
            deviation of the conditional one, against over-exposure.

    Raises:
        UsageError: a weight is below 1, or interval or rescale lie outside of [0, 1].
    """

    weights: float | tuple[float, ...]
    interval: tuple[float, float] = (0.0, 1.0)
    rescale: float = 0.0

    def __post_init__(self) -> None:
        wrong = [weight for weight in self._all if not weight >= 1.0]
        if wrong:
            raise UsageError(
                "guidance below 1 steers away from the prompt",
                where="sample.guidance",
                got=wrong[0],
                expected=">= 1, where 1 is off",
            )
        low, high = self.interval
        if not 0.0 <= low <= high <= 1.0:
            raise UsageError(
                "not an interval of relative times",
                where="sample.guidance_interval",
                got=list(self.interval),
                expected="[low, high] within [0, 1], where 1 is pure noise",
            )
        if not 0.0 <= self.rescale <= 1.0:
            raise UsageError(
                "guidance rescale is a fraction",
                where="sample.guidance_rescale",
                got=self.rescale,
                expected="0 (off) to 1",
            )

    @property
    def _all(self) -> Sequence[float]:
        return self.weights if isinstance(self.weights, tuple) else (self.weights,)

    def require_rows(self, rows: int) -> None:
        """Refuse weights that are not one a sample.

        Raises:
            UsageError: their number differs.
        """
        if isinstance(self.weights, tuple) and len(self.weights) != rows:
            raise UsageError(
                "one guidance weight is needed for every prompt",
                got=f"{len(self.weights)} weights",
                expected=f"{rows} weights",
            )

    def acts(self, time: float) -> bool:
        """Whether an unconditional pass is needed at a relative time in [0, 1]."""
        low, high = self.interval
        return low <= time <= high and any(weight > 1.0 for weight in self._all)

    def mix(self, cond: Tensor, uncond: Tensor) -> Tensor:
        """The guided output of two passes, all float32 [B, C, h, w].

        A sample of weight 1 gets its conditional output, bit for bit.
        """
        weights = torch.tensor(self._all, device=cond.device, dtype=cond.dtype).view(-1, 1, 1, 1)
        mixed = uncond + weights * (cond - uncond)
        if self.rescale:
            mixed = _rescaled(mixed, cond, self.rescale)
        return mixed if min(self._all) > 1.0 else torch.where(weights > 1.0, mixed, cond)


def _rescaled(mixed: Tensor, cond: Tensor, amount: float) -> Tensor:
    """Lin et al. 2024, eq. 15 (the deviation over all axes of a sample) and eq. 16 (the mix)."""
    axes = tuple(range(1, cond.ndim))
    matched = mixed * (cond.std(dim=axes, keepdim=True) / mixed.std(dim=axes, keepdim=True))
    return amount * matched + (1.0 - amount) * mixed
