"""Noising processes and prediction types: pure math, no model, no device, no I/O.

With clean latents x0 and unit noise ε,

    x_t    = a(t)·x0 + s(t)·ε
    target = p(t)·x0 + q(t)·ε

so a prediction is inverted as a 2×2 linear system with determinant d = a·q − s·p. The determinant
is the validity rule: ε has d = a, which vanishes at zero terminal SNR, and is refused there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from synth.errors import UsageError

Prediction = Literal["epsilon", "v_prediction", "sample", "flow"]

_COEFFICIENTS: dict[Prediction, Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]] = {
    "epsilon": lambda a, s: (torch.zeros_like(a), torch.ones_like(a)),
    "sample": lambda a, s: (torch.ones_like(a), torch.zeros_like(a)),
    "v_prediction": lambda a, s: (-s, a),
    "flow": lambda a, s: (-torch.ones_like(a), torch.ones_like(a)),
}


@dataclass(frozen=True)
class Process:
    """A path (a, s) through noise and what the network predicts along it.

    Attributes:
        prediction: the target, by the name diffusers gives it.
        alphas_cumprod: float64 [T], ᾱ of a variance-preserving process (Ho et al. 2020, eq. 4), or
            None for the rectified-flow path a = 1 − t, s = t with t in [0, 1] (Liu et al. 2022).

    Raises:
        UsageError: the prediction cannot be inverted somewhere on the path.
    """

    prediction: Prediction
    alphas_cumprod: Tensor | None = None

    def __post_init__(self) -> None:
        if self.alphas_cumprod is None:
            return
        times = torch.arange(len(self.alphas_cumprod))
        if float(self.determinant(times).abs().min()) < 1e-6:
            raise UsageError(
                f"prediction `{self.prediction}` cannot be inverted on this noise schedule",
                where="model.weights",
                got="zero terminal signal-to-noise ratio",
                expected="v_prediction or flow",
            )

    @property
    def length(self) -> int | None:
        """Number of discrete times, None when time is continuous."""
        return None if self.alphas_cumprod is None else len(self.alphas_cumprod)

    def path(self, times: Tensor) -> tuple[Tensor, Tensor]:
        """Signal and noise amplitudes (a, s) at the times, float64, of the same shape."""
        if self.alphas_cumprod is None:
            t = times.double()
            return 1.0 - t, t
        bar = self.alphas_cumprod.to(times.device)[times.long()]
        return bar.sqrt(), (1.0 - bar).sqrt()

    def determinant(self, times: Tensor) -> Tensor:
        """Determinant a·q − s·p at the times; zero where the prediction says nothing about x0."""
        a, s = self.path(times)
        p, q = _COEFFICIENTS[self.prediction](a, s)
        return a * q - s * p

    def sample_times(self, uniform: Tensor) -> Tensor:
        """Map relative times in [0, 1) to process times: integers 0…T−1, or reals in [0, 1)."""
        if self.alphas_cumprod is None:
            return uniform
        return (uniform.double() * len(self.alphas_cumprod)).long()

    def add_noise(self, x0: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        """x_t = a·x0 + s·ε, in the dtype of x0."""
        a, s = self._like(x0, *self.path(times))
        return a * x0 + s * noise

    def target(self, x0: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        """What the network should output for this x0, noise and time."""
        p, q = self._like(x0, *_COEFFICIENTS[self.prediction](*self.path(times)))
        return p * x0 + q * noise

    def invert(self, noisy: Tensor, output: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
        """The (x0, ε) that a network output stands for."""
        a, s = self.path(times)
        p, q = _COEFFICIENTS[self.prediction](a, s)
        a, s, p, q = self._like(noisy, a, s, p, q)
        d = a * q - s * p
        return (q * noisy - s * output) / d, (a * output - p * noisy) / d

    def min_snr(self, times: Tensor, gamma: float) -> Tensor:
        """Min-SNR-γ loss weight (Hang et al. 2023, eq. 7), float64 [B], finite at zero SNR.

        The factor that turns an x0 loss into this prediction's loss is divided out, so all
        predictions are weighted as min(SNR, γ) on x0.
        """
        a, s = self.path(times)
        base = {
            "epsilon": torch.ones_like(a),
            "sample": (a / s) ** 2,
            "v_prediction": a**2,
            "flow": (a / (a + s)) ** 2,
        }[self.prediction]
        return base * torch.clamp(gamma * (s / a.clamp_min(1e-12)) ** 2, max=1.0)

    @staticmethod
    def _like(x: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
        """Cast coefficients to x and append its trailing axes."""
        shape = (-1,) + (1,) * (x.ndim - 1)
        return tuple(value.to(x.device, x.dtype).reshape(shape) for value in values)


def zero_terminal_snr(alphas_cumprod: Tensor) -> Tensor:
    """Rescale a schedule so that its last time is pure noise (Lin et al. 2024, Algorithm 1).

    √ᾱ is shifted to end at 0 and scaled to keep its first value, so brightness no longer leaks
    through the noisiest time.

    Args:
        alphas_cumprod: ᾱ, float64 [T], decreasing.

    Returns:
        ᾱ, float64 [T], the last one exactly 0.
    """
    root = alphas_cumprod.sqrt()
    first, last = root[0], root[-1]
    return ((root - last) * first / (first - last)).square()


def scaled_linear(start: float, end: float, length: int) -> Tensor:
    """ᾱ of Stable Diffusion's schedule: betas linear in their square root, float64 [length]."""
    betas = torch.linspace(start**0.5, end**0.5, length, dtype=torch.float64) ** 2
    return torch.cumprod(1.0 - betas, dim=0)
