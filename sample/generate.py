"""Prompts and seeds in, finished images out, in batches of one fixed shape."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from sample.guidance import Guidance
from sample.memory import keep_freed_memory
from sample.solve import Source, solve
from synth.config.schema import SampleSection
from synth.errors import SynthError, UsageError
from synth.families.base import Conditioning, Family
from synth.images import to_image_u8

EMBEDDING_BYTES = 2**30  # of prompt embeddings held in memory: 9,000 texts of SD 1.5
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
    weights: Sequence[float | None] = (),
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
        weights: the guidance of each image; None, and by default, that of ``settings``.

    Raises:
        UsageError: prompts and seeds differ in number.
    """
    if len(prompts) != len(seeds):
        raise UsageError(
            "one seed is needed for every prompt",
            got=f"{len(seeds)} seeds",
            expected=f"{len(prompts)} seeds",
        )
    asked = [
        Asked(prompt, seed, facts[i] if facts else (), weights[i] if weights else None)
        for i, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True))
    ]
    make = BatchMaker(family, settings, size=size)
    for start in range(0, len(asked), settings.batch):
        indices = range(start, min(start + settings.batch, len(asked)))
        if wanted(indices):
            yield make([asked[i] for i in indices], start=start)


@dataclass(frozen=True)
class Asked:
    """One image to make.

    Attributes:
        prompt: the text that conditions it.
        seed: of its noise.
        facts: its categories, for a model that has conditions.
        weight: its guidance; None: that of the settings.
    """

    prompt: str
    seed: int
    facts: tuple[int, ...] = ()
    weight: float | None = None


class BatchMaker:
    """Makes batches of one fixed shape, encoding each distinct text once.

    Args:
        family: the model, on the device to use.
        settings: batch, steps, guidance and solver.
        size: side in pixels; None is the model's native size.
    """

    def __init__(self, family: Family, settings: SampleSection, *, size: int | None = None) -> None:
        self._family, self._settings, self._size = family, settings, size or family.size
        keep_freed_memory()
        self._encode = PromptEncoder(family)

    def __call__(self, asked: Sequence[Asked], *, start: int = 0) -> Batch:
        """At most ``settings.batch`` images; the batch is filled up by repeating them.

        Args:
            asked: the images.
            start: what ``Batch.start`` shall be.
        """
        rows = [asked[i % len(asked)] for i in range(self._settings.batch)]
        pixels = make_pixels(
            self._family,
            self._encode([row.prompt for row in rows], [row.facts for row in rows]),
            seeds=[row.seed for row in rows],
            settings=self._settings,
            size=self._size,
            guidance=guidance_of(self._settings, [row.weight for row in rows]),
            null=self._encode.null,
        )
        return finish(start, pixels[: len(asked)])


def guidance_of(settings: SampleSection, weights: Sequence[float | None] = ()) -> Guidance:
    """The settings' guidance, with the weight of each image where it has its own."""
    default = settings.guidance
    own = tuple(default if weight is None else weight for weight in weights)
    return Guidance(
        own if any(weight != default for weight in own) else default,
        interval=settings.guidance_interval,
        rescale=settings.guidance_rescale,
    )


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


class PromptEncoder:
    """Prompts to conditioning rows, each distinct text once.

    Only past ``EMBEDDING_BYTES`` is the text used longest ago forgotten, and encoded again if need
    be.

    One text at a time: padding and kernels then never let a neighbour change an embedding, and a
    resumed run meets the embeddings of an undisturbed one.
    """

    def __init__(self, family: Family) -> None:
        self._family = family
        self._rows: OrderedDict[str, Conditioning] = OrderedDict()
        self._bytes = 0

    @cached_property
    @torch.no_grad()
    def null(self) -> Conditioning:
        """One row of what "no prompt" is, encoded once."""
        return self._family.null_conditioning(1)

    @torch.no_grad()
    def __call__(
        self, prompts: Sequence[str], facts: Sequence[tuple[int, ...]] = ()
    ) -> Conditioning:
        """One row a prompt, with its categories for a model that has conditions."""
        rows = [self._row(prompt) for prompt in prompts]
        while self._bytes > EMBEDDING_BYTES and len(self._rows) > 1:
            self._bytes -= _bytes(self._rows.popitem(last=False)[1])
        cond = Conditioning.cat(rows)
        if facts and facts[0]:
            cond = replace(cond, facts=torch.tensor(list(facts), device=cond.tokens.device))
        return cond

    def _row(self, prompt: str) -> Conditioning:
        if prompt not in self._rows:
            self._rows[prompt] = self._family.encode_prompts([prompt])
            self._bytes += _bytes(self._rows[prompt])
        self._rows.move_to_end(prompt)
        return self._rows[prompt]


def _bytes(cond: Conditioning) -> int:
    parts = (cond.tokens, cond.mask, cond.pooled, cond.facts)
    return sum(part.numel() * part.element_size() for part in parts if part is not None)


@torch.no_grad()
def make_pixels(
    family: Family,
    cond: Conditioning,
    *,
    seeds: Sequence[int],
    settings: SampleSection,
    size: int,
    guidance: Guidance,
    null: Conditioning | None = None,
    source: Source | None = None,
) -> Tensor:
    """Solve and decode one batch: float32 [B, 1, size, size] about [-1, 1] on the CPU.

    The arguments are those of ``sample.solve.solve``.
    """
    latents = solve(
        family,
        cond,
        seeds=seeds,
        size=size,
        steps=settings.steps,
        guidance=guidance,
        solver=settings.solver,
        spacing=settings.spacing,
        null=null,
        source=source,
    )
    chunk = max(1, DECODE_PIXELS // size**2)
    return torch.cat([family.decode_latents(part).float().cpu() for part in latents.split(chunk)])


def finish(start: int, pixels: Tensor) -> Batch:
    """Pixels to grey levels, with the facts that a filter needs."""
    finite = pixels.flatten(1).isfinite().all(dim=1)
    image_u8 = to_image_u8(torch.where(finite.view(-1, 1, 1, 1), pixels, -1.0))
    contrast = image_u8.flatten(1).float().std(dim=1)
    return Batch(start, image_u8, tuple(finite.tolist()), tuple(contrast.tolist()))
