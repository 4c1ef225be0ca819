"""Solver names and the diffusers schedulers behind them: the one place that maps the two.

The network's training fixes the noise schedule; a solver only decides where to evaluate it. Spacing
is a choice about texture: the last step returns a posterior mean, so a grid that ends at a large σ
erases every detail smaller than it. With an exact denoiser of N(0, 0.1²) data and 20 steps
DPM-Solver++(2M) keeps 41 % of the standard deviation with the default spacing and 97 % with the
Karras spacing (Karras et al. 2022, eq. 5, ρ = 7), hence Karras wherever the scheduler offers it;
``sample.spacing`` sees to the others.

    solver            steps by default   kept of σ = 1, 0.5, 0.1
    dpm++2m           20                 1.01  1.01  0.96
    unipc             20                 1.00  1.01  0.97
    heun              15 (29 passes)     1.02  1.03  1.00
    ddim              150                0.99  0.99  0.97
    euler             200                0.99  0.99  0.95
    ddpm              500                1.01  1.00  1.01
    euler_ancestral   none               300 steps keep 0.948 of σ = 0.1

A flow, at shifts of 1, 3 and 6: ``dpm++2m`` and ``unipc`` keep 0.96 to 1.01 at 20 steps, ``euler``
(the same as ``ddim`` there) 0.95 at 50.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import diffusers
import torch
from torch import Tensor

from synth.errors import UsageError

# Keys of a scheduler configuration that describe the noise the network was trained on.
_VP_KEYS = (
    "num_train_timesteps",
    "beta_start",
    "beta_end",
    "beta_schedule",
    "trained_betas",
    "prediction_type",
)

_VP: dict[str, tuple[str, dict[str, Any]]] = {
    "dpm++2m": (
        "DPMSolverMultistepScheduler",
        {"algorithm_type": "dpmsolver++", "solver_order": 2, "use_karras_sigmas": True},
    ),
    "ddim": ("DDIMScheduler", {"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1}),
    "euler": ("EulerDiscreteScheduler", {"use_karras_sigmas": True}),
    "unipc": ("UniPCMultistepScheduler", {"use_karras_sigmas": True}),
    "heun": ("HeunDiscreteScheduler", {"use_karras_sigmas": True}),
    "euler_ancestral": ("EulerAncestralDiscreteScheduler", {}),
    # σ² = β: the posterior variance of unit data (Ho et al. 2020, section 3.2); the other choice,
    # that of a point, shrinks texture.
    "ddpm": ("DDPMScheduler", {"clip_sample": False, "variance_type": "fixed_large"}),
}

# On the straight path x_t = (1 − t)·x0 + t·ε the DDIM step is the Euler step.
_FLOW_MULTISTEP = {"prediction_type": "flow_prediction", "use_flow_sigmas": True}
_FLOW: dict[str, tuple[str, dict[str, Any]]] = {
    "dpm++2m": (
        "DPMSolverMultistepScheduler",
        {"algorithm_type": "dpmsolver++", "solver_order": 2, **_FLOW_MULTISTEP},
    ),
    "ddim": ("FlowMatchEulerDiscreteScheduler", {}),
    "euler": ("FlowMatchEulerDiscreteScheduler", {}),
    "unipc": ("UniPCMultistepScheduler", _FLOW_MULTISTEP),
}


def build_scheduler(solver: str, config: Mapping[str, Any]) -> Any:
    """A fresh diffusers scheduler for a solver on a base model's noise schedule.

    Args:
        solver: a name of the tables above.
        config: the base model's ``scheduler/scheduler_config.json`` as a mapping. What concerns
            the noise process is taken from it; what concerns its own solver is not.

    Raises:
        UsageError: no solver has that name, or it cannot follow this noise schedule.
    """
    flow = is_flow(config)
    table = _FLOW if flow else _VP
    if flow and solver in _VP and solver not in _FLOW:
        raise UsageError(
            "this solver is not for rectified flows",
            where="sample.solver",
            got=solver,
            expected=", ".join(_FLOW),
        )
    if solver not in table:
        close = get_close_matches(solver, table, n=1)
        raise UsageError(
            "no such solver",
            where="sample.solver",
            got=solver,
            expected=", ".join(table),
            fix=f"Did you mean `{close[0]}`?" if close else "",
        )
    name, options = table[solver]
    kind = getattr(diffusers, name)
    if name.startswith("FlowMatch"):
        return _flow_euler(config)
    process = _flow_options(config) if flow else _vp_options(config)
    if process.keys() - inspect.signature(kind.__init__).parameters:
        raise UsageError(
            "this solver cannot start from pure noise, as the model was trained to",
            where="sample.solver",
            got=solver,
            expected="one for zero terminal signal-to-noise ratio, such as dpm++2m",
        )
    return kind(**process, **options)


def is_flow(config: Mapping[str, Any]) -> bool:
    """Whether a scheduler configuration describes a rectified flow."""
    return (
        str(config.get("_class_name", "")).startswith("FlowMatch")
        or config.get("prediction_type") == "flow_prediction"
        or bool(config.get("use_flow_sigmas", False))
    )


def _vp_options(config: Mapping[str, Any]) -> dict[str, Any]:
    options = {key: config[key] for key in _VP_KEYS if key in config}
    if config.get("rescale_betas_zero_snr"):
        # The noisiest time must be on the grid, or brightness leaks (Lin et al. 2024, section 3.3).
        options |= {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    return options


def flow_shift(config: Mapping[str, Any]) -> float | None:
    """The shift of a rectified flow's times (Esser et al. 2024, eq. 23); None for other models."""
    if not is_flow(config):
        return None
    return float(config.get("shift", config.get("flow_shift", 1.0)))


def _flow_options(config: Mapping[str, Any]) -> dict[str, Any]:
    length = config.get("num_train_timesteps", 1000)
    return {"num_train_timesteps": length, "flow_shift": flow_shift(config)}


def _flow_euler(config: Mapping[str, Any]) -> Any:
    """A scheduler that shifts once.

    Given the shift, its constructor shifts the ends of the range and ``set_timesteps`` shifts the
    whole grid again: with 3, the last time of 1000 becomes 0.009 and not 0.003.
    """
    length = config.get("num_train_timesteps", 1000)
    scheduler: Any = diffusers.FlowMatchEulerDiscreteScheduler(num_train_timesteps=length)
    scheduler.set_shift(flow_shift(config))
    return scheduler


@dataclass(frozen=True)
class Solver:
    """A scheduler prepared for one batch: it holds the multistep history, so use it once.

    Attributes:
        scheduler: a diffusers scheduler with its timesteps set.
        generators: one a sample, for the solvers that draw noise while they go.
        continuous: whether the process's times are reals in [0, 1] and not integers.
    """

    scheduler: Any
    generators: tuple[torch.Generator, ...]
    continuous: bool

    @property
    def passes(self) -> int:
        """Evaluations that one step takes: Heun's takes two, but its last one."""
        return 2 if isinstance(self.scheduler, diffusers.HeunDiscreteScheduler) else 1

    def completes(self, index: int) -> bool:
        """Whether an evaluation ends a step, so that what it gives lies on the path."""
        return (index + 1) % self.passes == 0 or index + 1 == len(self.timesteps)

    def relative_times(self) -> list[float]:
        """``timesteps`` from 1, pure noise, down to 0."""
        length = float(self.scheduler.config.num_train_timesteps)
        return [float(timestep) / length for timestep in self.timesteps.tolist()]

    def begin(self, steps: int, strength: float) -> int:
        """Index of the first evaluation when only the last part of the steps is made.

        Args:
            steps: all of them.
            strength: the part to make, 0 none, 1 all.
        """
        skipped = steps - round(steps * strength)
        index = min(skipped * self.passes, len(self.timesteps))
        if index and hasattr(self.scheduler, "set_begin_index"):
            self.scheduler.set_begin_index(index)
        return index

    def noised(self, latents: Tensor, noise: Tensor, index: int) -> Tensor:
        """Clean latents at the noise level met at ``timesteps[index]``; clean after the last."""
        signal, amount = self._level(index)
        return signal * latents + amount * noise

    def _level(self, index: int) -> tuple[float, float]:
        """Amplitudes of data and noise in what ``step`` takes and gives."""
        if index >= len(self.timesteps):
            return 1.0, 0.0
        if not hasattr(self.scheduler, "sigmas"):
            bar = float(self.scheduler.alphas_cumprod[int(self.timesteps[index])])
            return bar**0.5, (1.0 - bar) ** 0.5
        sigma = float(self.scheduler.sigmas[index])
        if self.continuous:
            return 1.0 - sigma, sigma
        if float(self.scheduler.init_noise_sigma) != 1.0:  # works in x + σ·ε, as k-diffusion does
            return 1.0, sigma
        signal = (1.0 + sigma**2) ** -0.5
        return signal, sigma * signal

    @property
    def timesteps(self) -> Tensor:
        """The scheduler's own times, noisiest first, [steps]."""
        timesteps: Tensor = self.scheduler.timesteps
        return timesteps

    def start(self, noise: Tensor) -> Tensor:
        """Scale unit noise [B, C, H, W] to the noisiest time."""
        if self._is_flow_euler:
            return noise
        scaled: Tensor = noise * self.scheduler.init_noise_sigma
        return scaled

    def model_input(self, latents: Tensor, timestep: Tensor) -> Tensor:
        """What the network sees: σ-parametrised schedulers divide by sqrt(1 + σ²)."""
        if self._is_flow_euler:
            return latents
        scaled: Tensor = self.scheduler.scale_model_input(latents, timestep)
        return scaled

    def times(self, timestep: Tensor, batch: int) -> Tensor:
        """Process times [B] for a scheduler time."""
        if self.continuous:
            timestep = timestep / self.scheduler.config.num_train_timesteps
        return timestep.expand(batch)

    def step(self, output: Tensor, timestep: Tensor, latents: Tensor) -> Tensor:
        """One step towards the data; latents keep their shape and dtype."""
        extra = {"generator": list(self.generators)} if self._draws else {}
        result: Tensor = self.scheduler.step(output, timestep, latents, **extra).prev_sample
        return result

    @property
    def _is_flow_euler(self) -> bool:
        return isinstance(self.scheduler, diffusers.FlowMatchEulerDiscreteScheduler)

    @property
    def _draws(self) -> bool:
        return "generator" in inspect.signature(self.scheduler.step).parameters
