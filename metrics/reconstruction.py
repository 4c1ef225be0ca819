"""How well the autoencoder keeps an image: the ceiling on everything the denoiser can make."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from metrics.arrays import Floats, Groups
from metrics.intervals import percentile_interval, resampling_weights
from metrics.records import Estimate
from synth.families.base import Family
from synth.images import to_image_u8, to_pixels


def psnr(image_u8: Tensor, other_u8: Tensor) -> Floats:
    """Peak signal-to-noise ratio of each pair in dB, peak 255, float64 [N]; 100 dB when equal.

    Args:
        image_u8: uint8 [N, C, H, W].
        other_u8: uint8 of the same shape.
    """
    error = (image_u8.double() - other_u8.double()).square().flatten(1).mean(dim=1)
    return np.asarray((10.0 * torch.log10(255.0**2 / error.clamp_min(255.0**2 * 1e-10))).numpy())


@torch.no_grad()
def reconstructed(family: Family, image_u8: Tensor, *, batch: int = 16) -> Tensor:
    """Images through the autoencoder and back: uint8 [N, 1, S, S] in and out.

    A model of three channels gets grey repeated; the mean of what it gives back is taken.
    """
    device = next(family.denoiser.parameters()).device
    parts = []
    for part in image_u8.split(batch):
        pixels = to_pixels(part.repeat(1, family.channels, 1, 1).to(device))
        decoded = family.decode_latents(family.encode_images(pixels).mean)
        parts.append(to_image_u8(decoded.float().mean(dim=1, keepdim=True)).cpu())
    return torch.cat(parts)


def reconstruction_psnr(
    family: Family, image_u8: Tensor, *, groups: Groups, resamples: int, seed: int
) -> Estimate:
    """Mean PSNR of images the autoencoder has not seen, with an interval over patients."""
    values = psnr(image_u8, reconstructed(family, image_u8))
    weights = resampling_weights(len(values), groups, resamples=resamples, seed=seed)
    draws = (weights * values).sum(axis=1) / weights.sum(axis=1)
    return Estimate(
        float(values.mean()),
        float(draws.std(ddof=1)),
        percentile_interval(draws),
        "mean PSNR in dB, patient bootstrap",
    )
