"""The latent space of a diffusers autoencoder: one scale, one shift, or one of each a channel."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from synth.families.base import Moments
from synth.families.packed import packed


@torch.no_grad()
def encode(vae: Any, pixels: Tensor) -> Moments:
    """Pixels, float32 [N, 1 or C, H, W] in [-1, 1], to scaled moments; no draw is made.

    Grey images are repeated for an RGB autoencoder. An autoencoder without a posterior (DC-AE) has
    a standard deviation of zero.
    """
    pixels = pixels.to(vae.device, torch.float32)
    if pixels.shape[1] == 1:
        pixels = pixels.expand(-1, int(vae.config.in_channels), -1, -1)
    encoded = vae.encode(pixels)
    scale, shift = _scale(vae)
    if hasattr(encoded, "latent_dist"):
        posterior = encoded.latent_dist
        return Moments((posterior.mean - shift) * scale, posterior.std * scale)
    mean = (encoded.latent - shift) * scale
    return Moments(mean, torch.zeros_like(mean))


@torch.no_grad()
def decode(vae: Any, latents: Tensor) -> Tensor:
    """Scaled latents to grey pixels, float32 [N, 1, H, W] about [-1, 1].

    float32 throughout: half precision overflows in some autoencoders.
    """
    scale, shift = _scale(vae)
    latents = latents.to(vae.device, torch.float32) / scale + shift
    if latents.device.type == "cpu":  # oneDNN then reorders nothing between two convolutions
        latents = latents.contiguous(memory_format=torch.channels_last)
    with packed(vae.decoder):
        pixels: Tensor = vae.decode(latents).sample
    return pixels.mean(dim=1, keepdim=True)


def _scale(vae: Any) -> tuple[Any, Any]:
    """(factor, shift): numbers, or tensors [1, C, 1, 1] where the configuration has statistics."""
    config = vae.config
    mean, std = config.get("latents_mean"), config.get("latents_std")
    factor = float(config.scaling_factor)
    if mean is None or std is None:
        return factor, float(config.get("shift_factor") or 0.0)
    shape = (1, -1, 1, 1)
    means = torch.tensor(mean, device=vae.device).reshape(shape)
    stds = torch.tensor(std, device=vae.device).reshape(shape)
    return factor / stds, means
