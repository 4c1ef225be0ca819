"""Prompts and seeds in, finished images out, in batches of one fixed shape."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sample.solve import solve
from synth.config.schema import SampleSection
from synth.errors import SynthError, UsageError
from synth.families.base import Conditioning, Family
from synth.images import to_image_u8

PROMPTS_KEPT = 512  # distinct prompt embeddings held in memory
DECODE_PIXELS = 8 * 512 * 512  # decoded at a time: activations of a decoder dwarf its output
MIN_CONTRAST = 1.0  # grey levels of standard deviation below which an image shows nothing


@dataclass(frozen=True)
class Batch:
    """Finished images of consecutive prompts.

    Attributes:
        start: index of the first prompt.
        image_u8: uint8 [n, 1, H, W] on the CPU; zeros where not finite.
        finite: one flag an image, false where the model gave NaN or infinity.
        contrast: standard deviation of each image, in grey levels.
    """

    start: int
    image_u8: Tensor
    finite: tuple[bool, ...]
    contrast: tuple[float, ...]

    @property
    def constant(self) -> tuple[bool, ...]:
        """One flag an image: black, white, or one grey all over."""
        return tuple(contrast < MIN_CONTRAST for contrast in self.contrast)


def generate_images(
    family: Family,
    prompts: Sequence[str],
    *,
    seeds: Sequence[int],
    settings: SampleSection,
    size: int | None = None,
) -> Iterator[Tensor]:
    """Make one image a prompt, in order.

    Args:
        family: the model, on the device to use.
        prompts: the texts that condition the images.
        seeds: one integer an image.
        settings: batch, steps, guidance and solver.
        size: side in pixels; None is the model's native size.

    Yields:
        uint8 [n, 1, H, W] on the CPU, n at most ``settings.batch``.

    Raises:
        SynthError: an image is not finite, so that nothing of it can be kept.
        UsageError: prompts and seeds differ in number.
    """
    for batch in generate_batches(family, prompts, seeds=seeds, settings=settings, size=size):
        require_finite(batch)
        yield batch.image_u8


def generate_batches(
    family: Family,
    prompts: Sequence[str],
    *,
    seeds: Sequence[int],
    settings: SampleSection,
    size: int | None = None,
    wanted: Callable[[range], bool] = lambda indices: True,
    facts: Sequence[tuple[int, ...]] = (),
) -> Iterator[Batch]:
    """The batches behind ``generate_images``, with the facts a filter needs.

    Batches are cut at multiples of ``settings.batch`` and the last one is filled up by repetition,
    so an image meets the same shapes and the same neighbours whenever it is made.

    Args:
        family: the model, on the device to use.
        prompts: the texts that condition the images.
        seeds: one integer an image.
        settings: batch, steps, guidance and solver.
        size: side in pixels; None is the model's native size.
        wanted: asked with the indices of a batch before it is made; false skips it.
        facts: the categories of each image, for a model that has conditions; none by default.

    Raises:
        UsageError: prompts and seeds differ in number.
    """
    if len(prompts) != len(seeds):
        raise UsageError(
            "one seed is needed for every prompt",
            got=f"{len(seeds)} seeds",
            expected=f"{len(prompts)} seeds",
        )
    encode = _PromptEncoder(family)
    for start in range(0, len(prompts), settings.batch):
        indices = range(start, min(start + settings.batch, len(prompts)))
        if wanted(indices):
            filled = [indices[i % len(indices)] for i in range(settings.batch)]
            cond = encode([prompts[i] for i in filled])
            if facts and facts[0]:
                codes = torch.tensor([facts[i] for i in filled], device=cond.tokens.device)
                cond = replace(cond, facts=codes)
            pixels = _make(
                family,
                cond,
                seeds=[seeds[i] for i in filled],
                settings=settings,
                size=size or family.size,
            )
            yield _finish(start, pixels[: len(indices)])


def require_finite(batch: Batch) -> None:
    """Refuse a batch in which the model gave NaN or infinity.

    Raises:
        SynthError: naming the first such image.
    """
    if not all(batch.finite):
        raise SynthError(
            "the model gave an image that is not finite",
            where=f"image {batch.start + batch.finite.index(False)}",
            got=f"{batch.finite.count(False)} of {len(batch.finite)} images with NaN or infinity",
            fix="Sample with sample.precision=fp32; if it remains, the weights are damaged.",
        )


class _PromptEncoder:
    """Prompts to conditioning rows, each distinct text once while it is among the last ones used.

    One text at a time: padding and kernels then never let a neighbour change an embedding, and a
    resumed run meets the embeddings of an undisturbed one.
    """

    def __init__(self, family: Family) -> None:
        self._family = family
        self._rows: OrderedDict[str, Conditioning] = OrderedDict()

    @torch.no_grad()
    def __call__(self, prompts: Sequence[str]) -> Conditioning:
        rows = [self._row(prompt) for prompt in prompts]
        while len(self._rows) > PROMPTS_KEPT:
            self._rows.popitem(last=False)
        return Conditioning.cat(rows)

    def _row(self, prompt: str) -> Conditioning:
        if prompt not in self._rows:
            self._rows[prompt] = self._family.encode_prompts([prompt])
        self._rows.move_to_end(prompt)
        return self._rows[prompt]


@torch.no_grad()
def _make(
    family: Family,
    cond: Conditioning,
    *,
    seeds: Sequence[int],
    settings: SampleSection,
    size: int,
) -> Tensor:
    latents = solve(
        family,
        cond,
        seeds=seeds,
        size=size,
        steps=settings.steps,
        guidance=settings.guidance,
        solver=settings.solver,
    )
    chunk = max(1, DECODE_PIXELS // size**2)
    return torch.cat([family.decode_latents(part).float().cpu() for part in latents.split(chunk)])


def _finish(start: int, pixels: Tensor) -> Batch:
    finite = pixels.flatten(1).isfinite().all(dim=1)
    image_u8 = to_image_u8(torch.where(finite.view(-1, 1, 1, 1), pixels, -1.0))
    contrast = image_u8.flatten(1).float().std(dim=1)
    return Batch(start, image_u8, tuple(finite.tolist()), tuple(contrast.tolist()))
