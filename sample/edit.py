"""A real image, changed as a text says: findings added or removed, everywhere or in a region.

Image-to-image noises the image part of the way and denoises it under the text (Meng et al. 2022,
SDEdit); with a region, what lies outside is put back after every step (Lugmayr et al. 2022,
RePaint, eq. 8) and, at the end, pixel for pixel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sample.generate import Batch, PromptEncoder, finish, guidance_of, make_pixels
from sample.solve import Source
from synth.config.schema import SampleSection
from synth.errors import UsageError
from synth.families.base import Family
from synth.images import to_pixels

FEATHER = 32  # the soft edge inside a region is 1/32 of the image's side


@dataclass(frozen=True)
class Edit:
    """What to change.

    Attributes:
        image_u8: uint8 [size, size], the image.
        prompt: what it shall show.
        strength: part of the steps to make: 0 gives the autoencoder's reconstruction, 1 forgets
            the image (outside of a region it stays all the same).
        mask: bool [size, size], true where it may change; None: everywhere.
        facts: the image's categories, for a model that has conditions.
    """

    image_u8: NDArray[np.uint8]
    prompt: str
    strength: float
    mask: NDArray[np.bool_] | None = None
    facts: tuple[int, ...] = ()


def box_mask(box: Sequence[int], size: int) -> NDArray[np.bool_]:
    """The region of a box x0, y0, x1, y1 in pixels, the last column and row left out.

    Raises:
        UsageError: it is empty or leaves the image.
    """
    inside = len(box) == 4 and 0 <= box[0] < box[2] <= size and 0 <= box[1] < box[3] <= size
    if not inside:
        raise UsageError(
            "not a box inside the image",
            where="--box",
            got=",".join(map(str, box)),
            expected=f"x0,y0,x1,y1 with 0 <= x0 < x1 <= {size} and 0 <= y0 < y1 <= {size}",
        )
    mask = np.zeros((size, size), dtype=np.bool_)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return mask


def edit_batches(
    family: Family, edit: Edit, *, seeds: Sequence[int], settings: SampleSection
) -> Iterator[Batch]:
    """Variants of one edit, one a seed, in batches of one fixed shape.

    Args:
        family: the model, on the device to use.
        edit: what to change.
        seeds: one integer a variant.
        settings: batch, steps, guidance and solver; the batch is no larger than there are seeds.

    Raises:
        UsageError: the strength is outside of [0, 1].
    """
    size, shape = len(edit.image_u8), min(settings.batch, len(seeds))
    encode = PromptEncoder(family)
    cond = encode([edit.prompt] * shape, [edit.facts] * shape)
    source = _source(family, edit, shape, cond.tokens.device)
    for start in range(0, len(seeds), shape):
        own = seeds[start : start + shape]
        pixels = make_pixels(
            family,
            cond,
            seeds=[own[i % len(own)] for i in range(shape)],
            settings=settings,
            size=size,
            guidance=guidance_of(settings),
            null=encode.null,
            source=source,
        )
        made = finish(start, pixels[: len(own)])
        yield made if edit.mask is None else _put_back(made, edit.image_u8, edit.mask)


@torch.no_grad()
def _source(family: Family, edit: Edit, rows: int, device: torch.device) -> Source:
    pixels = to_pixels(torch.from_numpy(edit.image_u8)[None, None]).to(device)
    latents = family.encode_images(pixels).mean.expand(rows, -1, -1, -1)
    if edit.mask is None:
        return Source(latents, edit.strength)
    region = torch.from_numpy(edit.mask)[None, None].float().to(device)
    # a latent that touches the region changes: its pixels outside are put back at the end
    small = nn.functional.adaptive_max_pool2d(region, latents.shape[-2:])
    return Source(latents, edit.strength, small.expand(rows, -1, -1, -1))


def _put_back(made: Batch, original: NDArray[np.uint8], mask: NDArray[np.bool_]) -> Batch:
    """The original outside the region exactly, and a soft edge inside it."""
    share = soft_edge(mask, max(1, len(mask) // FEATHER))
    before = torch.from_numpy(original).float()
    mixed = before + share * (made.image_u8.float() - before)
    image_u8 = mixed.round().to(torch.uint8)
    contrast = tuple(image_u8.flatten(1).float().std(dim=1).tolist())
    return Batch(made.start, image_u8, made.finite, contrast)


def soft_edge(mask: NDArray[np.bool_], width: int) -> Tensor:
    """Share of the new image, float32 [H, W]: 0 outside, rising to 1 ``width`` pixels inside.

    The border of the image is no edge.
    """
    region = torch.from_numpy(mask).float()[None, None]
    share = region / width
    for _ in range(width - 1):
        region = -nn.functional.max_pool2d(-region, 3, stride=1, padding=1)
        share = share + region / width
    return share[0, 0]
