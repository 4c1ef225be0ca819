"""The denoising loop: noise and conditioning in, latents out, one for every model family."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sample.guidance import Guidance
from sample.halves import shared_halves
from sample.solvers import Solver, build_scheduler, flow_shift
from sample.spacing import Spacing, respace
from synth.errors import UsageError
from synth.families.base import Conditioning, Family
from synth.families.packed import packed
from synth.seeding import torch_generator


@dataclass(frozen=True)
class Source:
    """What to start from instead of noise: image-to-image, and inpainting with a mask.

    Attributes:
        latents: clean and scaled, float32 [B, C, h, w].
        strength: part of the steps to make, 0 (the source itself) to 1 (from pure noise).
        mask: float32 [B, 1, h, w], 1 where to make anew, 0 where the source stays.
            None: anew everywhere.
    """

    latents: Tensor
    strength: float
    mask: Tensor | None = None


@torch.no_grad()
def solve(
    family: Family,
    cond: Conditioning,
    *,
    seeds: Sequence[int],
    size: int,
    steps: int,
    guidance: float | Guidance,
    solver: str,
    spacing: Spacing = "model",
    null: Conditioning | None = None,
    source: Source | None = None,
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
        guidance: its weight, 1 is off and skips the unconditional pass; or all of its settings.
        solver: a name that ``sample.solvers`` knows.
        spacing: ``auto`` ends a flow's grid, and the ancestral Euler's, small enough to keep fine
            texture; ``model`` leaves them as the stock pipeline has them.
        null: one row of ``family.null_conditioning``, where it is at hand.
        source: an image to start from.

    Returns:
        float32 latents [B, c, h, w] on the denoiser's device, scaled as ``decode_latents`` takes
        them.

    Raises:
        UsageError: guidance or steps are below 1, strength is outside of [0, 1], or seeds, weights
            and conditioning differ in number.
    """
    guide = guidance if isinstance(guidance, Guidance) else Guidance(guidance)
    _check(cond, seeds=seeds, steps=steps, guide=guide, source=source)
    device = cond.tokens.device
    solving = _prepare(family, solver, steps=steps, seeds=seeds, device=device, spacing=spacing)
    times = solving.relative_times()
    noise = initial_noise(family, seeds, size=size).to(device)
    begin = 0 if source is None else solving.begin(steps, source.strength)
    latents = solving.start(noise)
    if source is not None and begin:
        latents = solving.noised(source.latents, noise, begin)
    asked = _Asked(cond)
    if any(guide.acts(time) for time in times[begin:]):
        null = family.null_conditioning(1) if null is None else null
        asked = _Asked(cond, null.to(device, cond.tokens.dtype).index([0] * len(seeds)))
    with _evaluating(family.denoiser), packed(family.denoiser):
        for index in range(begin, len(times)):
            timestep = solving.timesteps[index]
            mixing = guide if guide.acts(times[index]) else None
            output = _predict(family, solving, latents, timestep, asked, mixing)
            latents = solving.step(output, timestep, latents)
            if source is not None and source.mask is not None and solving.completes(index):
                kept = solving.noised(source.latents, noise, index + 1)
                latents = source.mask * latents + (1.0 - source.mask) * kept
    return latents


class _Asked:
    """What the denoiser is asked about a batch, with and without its texts.

    Args:
        cond: the texts.
        null: as many rows of no text, where guidance needs them.
    """

    def __init__(self, cond: Conditioning, null: Conditioning | None = None) -> None:
        self.cond, self.null = cond, null
        self.both: Conditioning | None = None
        if null is not None and cond.tokens.device.type == "cpu" and cond.like(null):
            # 8 to 20 % faster on two cores; a GPU has no memory to spare for twice the batch
            self.both = Conditioning.cat([null, cond])  # in the stock pipeline's order


def _predict(
    family: Family,
    solving: Solver,
    latents: Tensor,
    timestep: Tensor,
    asked: _Asked,
    guide: Guidance | None,
) -> Tensor:
    """The network's output at a step, float32, guided where ``guide`` is given."""
    noisy, times = solving.model_input(latents, timestep), solving.times(timestep, len(latents))
    if guide is None or asked.null is None:
        return family.denoise(noisy, times, asked.cond).float()
    if asked.both is not None:
        with shared_halves(family.denoiser):
            output = family.denoise(noisy.repeat(2, 1, 1, 1), times.repeat(2), asked.both).float()
        without, given = output.chunk(2)
        return guide.mix(given, without)
    output = family.denoise(noisy, times, asked.cond).float()
    return guide.mix(output, family.denoise(noisy, times, asked.null).float())


def initial_noise(family: Family, seeds: Sequence[int], *, size: int) -> Tensor:
    """Unit noise, float32 [B, c, h, w] on the CPU: row i is a function of ``seeds[i]`` alone."""
    shape = family.latent_shape(size)
    return torch.stack([torch.randn(shape, generator=torch_generator("noise", s)) for s in seeds])


def _prepare(
    family: Family,
    solver: str,
    *,
    steps: int,
    seeds: Sequence[int],
    device: torch.device,
    spacing: Spacing,
) -> Solver:
    scheduler = build_scheduler(solver, family.scheduler_config)
    scheduler.set_timesteps(steps, device=device)
    if spacing == "auto":
        respace(scheduler, steps, shift=flow_shift(family.scheduler_config))
    generators = tuple(torch_generator("step", seed) for seed in seeds)
    return Solver(scheduler, generators, continuous=family.process.length is None)


def _check(
    cond: Conditioning,
    *,
    seeds: Sequence[int],
    steps: int,
    guide: Guidance,
    source: Source | None,
) -> None:
    if len(seeds) != len(cond.tokens):
        raise UsageError(
            "one seed is needed for every prompt",
            got=f"{len(seeds)} seeds",
            expected=f"{len(cond.tokens)} seeds",
        )
    if steps < 1:
        raise UsageError("too few solver steps", where="sample.steps", got=steps, expected=">= 1")
    guide.require_rows(len(seeds))
    if source is not None and not 0.0 <= source.strength <= 1.0:
        raise UsageError(
            "strength is the part of the steps to make",
            got=source.strength,
            expected="0 (the source itself) to 1 (from pure noise)",
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
