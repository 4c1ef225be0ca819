"""Models whose answer is known, so that the sampler can be judged without a trained one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from synth.config.schema import Config
from synth.diffusion.process import Process, scaled_linear
from synth.families.base import Conditioning
from synth.seeding import seed_from

SCHEDULER = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
}


class ExactFamily:
    """The exact denoiser of N(mean, std²) pixels, where the mean is named by the prompt.

    Latents are the pixels themselves. A prompt's mean is a function of its text; the null prompt's
    mean is 0.
    """

    channels = 1
    size = 16
    weights_sha256 = "a" * 64

    def __init__(
        self, std: float = 0.1, *, flow: bool = False, shift: float = 1.0, v: bool = False
    ) -> None:
        self.std = std
        self.denoiser = nn.Dropout(0.5)
        self.encoded: list[str] = []
        self.passes = 0  # of the network
        self.rows = 0  # samples in them
        self.scheduler_config: dict[str, object] = dict(SCHEDULER)
        self.process = Process("epsilon", scaled_linear(0.00085, 0.012, 1000))
        if v:
            self.process = Process("v_prediction", scaled_linear(0.00085, 0.012, 1000))
            self.scheduler_config["prediction_type"] = "v_prediction"
        if flow:
            self.process = Process("flow")
            self.scheduler_config = {
                "_class_name": "FlowMatchEulerDiscreteScheduler",
                "num_train_timesteps": 1000,
                "shift": shift,
            }

    def latent_shape(self, size: int) -> tuple[int, int, int]:
        return self.channels, size, size

    def decode_latents(self, latents: Tensor) -> Tensor:
        return latents

    def encode_prompts(self, prompts: list[str]) -> Conditioning:
        self.encoded += prompts
        means = [seed_from("mean", prompt) % 1000 / 1000 - 0.5 for prompt in prompts]
        return Conditioning(tokens=torch.tensor(means).view(-1, 1, 1), mask=None, pooled=None)

    def truncated(self, prompts: list[str]) -> list[int]:
        return [max(0, len(prompt.split()) - 20) for prompt in prompts]

    def null_conditioning(self, n: int) -> Conditioning:
        return Conditioning(tokens=torch.zeros(n, 1, 1), mask=None, pooled=None)

    def denoise(self, latents: Tensor, times: Tensor, cond: Conditioning) -> Tensor:
        """E[target | x_t], from E[ε | x_t] = s·(x_t − a·mean) / (a²·std² + s²)."""
        assert not self.denoiser.training
        self.passes += 1
        self.rows += len(latents)
        a, s = (value.view(-1, 1, 1, 1).to(latents) for value in self._amplitudes(times))
        mean = cond.tokens[..., None]
        excess = (latents - a * mean) / (a**2 * self.std**2 + s**2)
        noise, clean = s * excess, mean + a * self.std**2 * excess
        return {
            "epsilon": noise,
            "v_prediction": a * noise - s * clean,
            "flow": noise - clean,
        }[self.process.prediction]

    def _amplitudes(self, times: Tensor) -> tuple[Tensor, Tensor]:
        """(a, s), between the trained times by interpolating log σ, as diffusers does."""
        if self.process.length is None:
            return self.process.path(times)
        low = times.double().floor().clamp(0, 998)
        weight = times.double() - low
        sigmas = [s / a for a, s in (self.process.path(low), self.process.path(low + 1))]
        sigma = (sigmas[0].log() * (1 - weight) + sigmas[1].log() * weight).exp()
        a = (1 + sigma**2).rsqrt()
        return a, sigma * a


@pytest.fixture
def exact_family() -> type[ExactFamily]:
    return ExactFamily


@pytest.fixture
def config(tiny_dataset: Path, tmp_path: Path) -> Config:
    return Config.model_validate(
        {
            "run": {"out": tmp_path / "run", "seed": 3},
            "data": {"dataset": tiny_dataset},
            "sample": {"count": 22, "batch": 8, "steps": 4, "guidance": 2.0, "previews": 5},
        }
    )


@pytest.fixture
def family() -> ExactFamily:
    return ExactFamily()
