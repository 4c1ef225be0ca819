"""Train the base autoencoder: grey 128-pixel phantoms to 16×16×4 latents and back."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor

from metrics.reconstruction import psnr as pairwise_psnr
from synth.images import to_image_u8, to_pixels
from synth.progress import Progress
from synth.seeding import numpy_rng, seed_from
from train.base.images import BaseImages
from train.base.state import load_state, save_state

KL_WEIGHT = 1e-6
HELD_OUT = 128  # images at the end of the set, for the PSNR that is reported


def new_autoencoder() -> AutoencoderKL:
    """One grey channel, factor 8, four latent channels, 1.1 M parameters.

    No attention in the middle block: the model then behaves the same on crops and whole images.
    """
    torch.manual_seed(seed_from("base", "autoencoder"))
    return AutoencoderKL(
        in_channels=1,
        out_channels=1,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(32, 48, 64, 64),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        mid_block_add_attention=False,
        sample_size=128,
    )


def train_autoencoder(
    data: BaseImages,
    work: Path,
    *,
    steps: int,
    progress: Progress,
    rate: float = 2e-3,
    save_every: int = 100,
) -> AutoencoderKL:
    """Fit on 64-pixel crops, then on whole images for the last tenth; resumable."""
    model = new_autoencoder()
    optimizer = torch.optim.AdamW(model.parameters(), rate, betas=(0.9, 0.99), weight_decay=1e-4)
    path = work / "autoencoder.safetensors"
    start = load_state(path, {"vae": model}, optimizer)
    images = data.images[:-HELD_OUT]
    for step in range(start, steps):
        whole = step >= 0.9 * steps
        pixels = _batch(images, step, count=6 if whole else 16, side=128 if whole else 64)
        loss = _loss(model, pixels, step)
        for group in optimizer.param_groups:
            group["lr"] = rate * min((step + 1) / 50, 0.5 + 0.5 * math.cos(math.pi * step / steps))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if (step + 1) % save_every == 0 or step + 1 == steps:
            save_state(path, {"vae": model}, optimizer, step + 1)
            quality = psnr(model, data.images[-32:])
            progress.update(
                step + 1, steps, f"autoencoder loss {loss.detach():.4f} PSNR {quality:.2f} dB"
            )
    model.register_to_config(scaling_factor=_scaling(model, images[:256]))
    return model.eval()


def _loss(model: AutoencoderKL, pixels: Tensor, step: int) -> Tensor:
    posterior = model.encode(pixels).latent_dist
    generator = torch.Generator().manual_seed(seed_from("base", "posterior", step))
    noise = torch.randn(posterior.mean.shape, generator=generator)
    decoded = model.decode(posterior.mean + posterior.std * noise).sample
    error: Tensor = F.mse_loss(decoded, pixels) + 0.05 * F.l1_loss(decoded, pixels)
    kl: Tensor = 0.5 * (posterior.mean**2 + posterior.var - 1 - posterior.logvar).mean()
    return error + KL_WEIGHT * kl


def _batch(images: np.ndarray, step: int, *, count: int, side: int) -> Tensor:
    rng = numpy_rng("base", "crops", step)
    chosen = rng.integers(len(images), size=count)
    limit = images.shape[1] - side + 1
    corners = rng.integers(limit, size=(count, 2))
    crops = [
        images[index, top : top + side, left : left + side]
        for index, (top, left) in zip(chosen, corners, strict=True)
    ]
    return to_pixels(torch.from_numpy(np.stack(crops))[:, None])


@torch.no_grad()
def _scaling(model: AutoencoderKL, images: np.ndarray) -> float:
    """1 / standard deviation of the latents (Rombach et al. 2022, appendix G)."""
    latents = [
        model.encode(to_pixels(torch.from_numpy(part)[:, None])).latent_dist.mean
        for part in np.array_split(images, 8)
    ]
    return float(1 / torch.cat(latents).std())


@torch.no_grad()
def psnr(model: AutoencoderKL, images: np.ndarray) -> float:
    """Mean over images of the peak signal-to-noise ratio in dB, uint8 in, uint8 out."""
    image_u8 = torch.from_numpy(images)[:, None]
    decoded = model.decode(model.encode(to_pixels(image_u8)).latent_dist.mean).sample
    return float(pairwise_psnr(to_image_u8(decoded), image_u8).mean())
