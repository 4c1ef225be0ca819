"""How well the autoencoder keeps an image: the ceiling on everything the denoiser can make."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from metrics.arrays import Floats, Groups, group_names
from metrics.intervals import jackknife
from metrics.records import Estimate
from synth.families.base import Family
from synth.images import to_image_u8, to_pixels

_LEAST = 5  # patients below which nothing is said of how much they differ


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


def reconstruction_psnr(family: Family, image_u8: Tensor, *, groups: Groups) -> Estimate:
    """Mean PSNR of images the autoencoder has not seen, with an interval over patients."""
    return mean_over_patients(psnr(image_u8, reconstructed(family, image_u8)), groups)


def mean_over_patients(values: Floats, groups: Groups) -> Estimate:
    """Mean over images with the interval of leaving patients out, one at a time.

    Args:
        values: [N].
        groups: the patient of each; None: every image stands alone.
    """
    how = "mean PSNR in dB, jackknife over patients"
    _, patient = np.unique(group_names(len(values), groups, side="real"), return_inverse=True)
    sums, sizes = np.bincount(patient, weights=values), np.bincount(patient)
    value = float(values.mean())
    if len(sizes) < _LEAST:
        return Estimate(value, None, None, how, "interval withheld: too few patients")
    without = (sums.sum() - sums) / (sizes.sum() - sizes)
    found = jackknife(value, without, bias_reduced=False)
    return Estimate(value, found.se, found.ci, how)
