"""The denoising loop: noise and conditioning in, latents out, one for every model family."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from sample.solvers import Solver, build_scheduler
from synth.errors import UsageError
from synth.families.base import Conditioning, Family
from synth.seeding import torch_generator


@torch.no_grad()
def solve(
    family: Family,
    cond: Conditioning,
    *,
    seeds: Sequence[int],
    size: int,
    steps: int,
    guidance: float,
    solver: str,
) -> Tensor:
    """Denoise one batch.

    Every sample draws from generators keyed by its own seed, so neither its neighbours nor its
    place in the batch change its noise. The same batch shape on the same hardware gives the same
    bits; another batch size gives the same image up to float rounding.

    Args:
        family: the model; its denoiser runs in evaluation mode and is put back as it was.
        cond: one conditioning row a sample.
        seeds: one integer a sample.
        size: side of the images in pixels.
        steps: solver steps, at least 1.
        guidance: w in ``uncond + w·(cond − uncond)`` (Ho & Salimans 2022, eq. 6 with w = 1 + w');
            1 is off and skips the unconditional pass.
        solver: a name that ``sample.solvers`` knows.

    Returns:
        float32 latents [B, c, h, w] on the denoiser's device, scaled as ``decode_latents`` takes
        them.

    Raises:
        UsageError: guidance is below 1, steps below 1, or seeds and conditioning differ in number.
    """
    _check(cond, seeds=seeds, steps=steps, guidance=guidance)
    device = cond.tokens.device
    solving = _prepare(family, solver, steps=steps, seeds=seeds, device=device)
    latents = solving.start(initial_noise(family, seeds, size=size).to(device))
    null = family.null_conditioning(len(seeds)).to(device, cond.tokens.dtype)
    with _evaluating(family.denoiser):
        for timestep in solving.timesteps:
            noisy = solving.model_input(latents, timestep)
            times = solving.times(timestep, len(seeds))
            output = family.denoise(noisy, times, cond).float()
            if guidance > 1.0:  # a second pass: as fast as one twice as large, half the memory
                uncond = family.denoise(noisy, times, null).float()
                output = uncond + guidance * (output - uncond)
            latents = solving.step(output, timestep, latents)
    return latents


def initial_noise(family: Family, seeds: Sequence[int], *, size: int) -> Tensor:
    """Unit noise, float32 [B, c, h, w] on the CPU: row i is a function of ``seeds[i]`` alone."""
    shape = family.latent_shape(size)
    return torch.stack([torch.randn(shape, generator=torch_generator("noise", s)) for s in seeds])


def _prepare(
    family: Family, solver: str, *, steps: int, seeds: Sequence[int], device: torch.device
) -> Solver:
    scheduler = build_scheduler(solver, family.scheduler_config)
    scheduler.set_timesteps(steps, device=device)
    generators = tuple(torch_generator("step", seed) for seed in seeds)
    return Solver(scheduler, generators, continuous=family.process.length is None)


def _check(cond: Conditioning, *, seeds: Sequence[int], steps: int, guidance: float) -> None:
    if len(seeds) != len(cond.tokens):
        raise UsageError(
            "one seed is needed for every prompt",
            got=f"{len(seeds)} seeds",
            expected=f"{len(cond.tokens)} seeds",
        )
    if steps < 1:
        raise UsageError("too few solver steps", where="sample.steps", got=steps, expected=">= 1")
    if guidance < 1.0:
        raise UsageError(
            "guidance below 1 steers away from the prompt",
            where="sample.guidance",
            got=guidance,
            expected=">= 1, where 1 is off",
        )


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Dropout off while sampling, then back as it was: previews run in the middle of training."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
