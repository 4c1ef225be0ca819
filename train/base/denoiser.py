"""Train the base denoiser and its text encoder together, on latents of the phantoms."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from synth.diffusion.process import Process, scaled_linear
from synth.images import to_pixels
from synth.progress import Progress
from synth.seeding import numpy_rng, seed_from
from train.base.images import BaseImages
from train.base.language import LENGTH, WIDTH
from train.base.state import load_state, save_state
from train.base.words import UnknownWords

SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "num_train_timesteps": 1000}
DROPOUT = 0.1
# From here on a fifth of the prompts carry a sentence of words that no image explains, and the text
# encoder must keep all words apart. Without it, it maps every unknown word to one state: a
# fine-tune with the encoder frozen could then not teach a new one.
WORDS_FROM = 3300
WORD_SHARE = 0.2
WORD_WEIGHT = 0.02
EMA_DECAY = 0.9985


@dataclass(frozen=True)
class Denoiser:
    """What is trained, and its running average."""

    unet: UNet2DConditionModel
    text_encoder: CLIPTextModel
    ema: nn.ModuleDict


def new_unet() -> UNet2DConditionModel:
    """16×16×4 latents, three levels, cross-attention to the text at the two finer ones."""
    torch.manual_seed(seed_from("base", "unet"))
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        block_out_channels=(64, 96, 112),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=(2, 3, 4),  # diffusers' name for the number of heads
        norm_num_groups=16,
    )


@torch.no_grad()
def encode_all(vae: AutoencoderKL, data: BaseImages, work: Path) -> tuple[Tensor, Tensor]:
    """Scaled posterior means and standard deviations of all images, [N, 4, 16, 16] each."""
    path = work / f"latents-{_digest(vae)}.npz"  # another autoencoder, other latents
    if not path.is_file():
        parts = [
            vae.encode(to_pixels(torch.from_numpy(part)[:, None])).latent_dist
            for part in np.array_split(data.images, max(1, len(data.images) // 32))
        ]
        scale = vae.config.scaling_factor
        mean = torch.cat([part.mean for part in parts]).numpy() * scale
        std = torch.cat([part.std for part in parts]).numpy() * scale
        work.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp.npz")
        np.savez(temporary, mean=mean, std=std)
        temporary.replace(path)
    stored = np.load(path)
    return torch.from_numpy(stored["mean"]), torch.from_numpy(stored["std"])


def train_denoiser(
    data: BaseImages,
    moments: tuple[Tensor, Tensor],
    tokenizer: CLIPTokenizer,
    text_encoder: CLIPTextModel,
    work: Path,
    *,
    steps: int,
    progress: Progress,
    batch: int = 32,
    rate: float = 1e-3,
    save_every: int = 100,
) -> Denoiser:
    """v-prediction on Stable Diffusion's schedule with caption dropout; resumable."""
    process = Process("v_prediction", scaled_linear(0.00085, 0.012, 1000))
    unet = new_unet()
    model = nn.ModuleDict({"unet": unet, "text": text_encoder})
    ema = nn.ModuleDict({"unet": new_unet(), "text": CLIPTextModel(text_encoder.config)})
    ema.load_state_dict(model.state_dict())
    optimizer = torch.optim.AdamW(model.parameters(), rate, betas=(0.9, 0.99), weight_decay=1e-3)
    path = work / "denoiser.safetensors"
    start = load_state(path, {"model": model, "ema": ema}, optimizer)
    tokens, empty = _tokenize(tokenizer, data.prompts), _tokenize(tokenizer, [""])
    words = UnknownWords.of(tokenizer, tokens, share=WORD_SHARE)
    pools = _pools(data)
    average = 0.0
    for step in range(start, steps):
        chosen = torch.from_numpy(_order(pools, len(data.images), step, batch))
        loss = _loss(model, process, moments, tokens, empty, words, chosen, step)
        for group in optimizer.param_groups:
            group["lr"] = rate * _schedule(step, steps)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        _average(ema, model, min(EMA_DECAY, (step + 1) / (step + 10)))
        average += (float(loss.detach()) - average) / min(step - start + 1, 100)
        if (step + 1) % save_every == 0 or step + 1 == steps:
            save_state(path, {"model": model, "ema": ema}, optimizer, step + 1)
            progress.update(step + 1, steps, f"denoiser loss {average:.4f}")
    return Denoiser(ema["unet"].eval(), ema["text"].eval(), ema)


def _digest(vae: AutoencoderKL) -> str:
    digest = hashlib.sha256()
    for tensor in vae.state_dict().values():
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def _schedule(step: int, steps: int) -> float:
    """Linear warm-up, a plateau, and a cosine decay over the last half."""
    warm = min((step + 1) / 200, 1.0)
    late = max(0.0, (step / steps - 0.5) / 0.5)
    return warm * (0.02 + 0.98 * (0.5 + 0.5 * math.cos(math.pi * late)))


def _loss(
    model: nn.ModuleDict,
    process: Process,
    moments: tuple[Tensor, Tensor],
    tokens: Tensor,
    empty: Tensor,
    words: UnknownWords,
    chosen: Tensor,
    step: int,
) -> Tensor:
    generator = torch.Generator().manual_seed(seed_from("base", "denoiser", step))
    mean, std = moments[0][chosen], moments[1][chosen]
    latents = mean + std * torch.randn(mean.shape, generator=generator)
    noise = torch.randn(mean.shape, generator=generator)
    # Stratified times: one in each of B equal bins, so that every batch covers the whole path.
    bins = torch.randperm(len(chosen), generator=generator)
    uniform = (bins + torch.rand(len(chosen), generator=generator)) / len(chosen)
    times = process.sample_times(uniform)
    dropped = torch.rand(len(chosen), generator=generator) < DROPOUT
    ids = torch.where(dropped[:, None], empty, tokens[chosen])
    if step >= WORDS_FROM:
        ids = words.scattered(ids, step)
    context = model["text"](ids).last_hidden_state
    noisy = process.add_noise(latents, noise, times)
    output = model["unet"](noisy, times, context).sample
    error: Tensor = output - process.target(latents, noise, times)
    loss = error.square().mean()
    if step < WORDS_FROM:
        return loss
    return loss + WORD_WEIGHT * words.confusion(model["text"], ids, context)


def _tokenize(tokenizer: CLIPTokenizer, prompts: list[str] | tuple[str, ...]) -> Tensor:
    encoded = tokenizer(
        list(prompts), padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt"
    )
    ids: Tensor = encoded.input_ids
    return ids


def _pools(data: BaseImages) -> list[np.ndarray]:
    names = sorted({name for findings in data.findings for name in findings})
    return [np.flatnonzero([name in findings for findings in data.findings]) for name in names]


def _order(pools: list[np.ndarray], count: int, step: int, batch: int) -> np.ndarray:
    """Half natural frequencies, half every finding equally often."""
    rng = numpy_rng("base", "order", step)
    natural = rng.integers(count, size=batch - batch // 2)
    drawn = [pools[int(index)] for index in rng.integers(len(pools), size=batch // 2)]
    balanced = [int(pool[rng.integers(len(pool))]) for pool in drawn]
    return np.concatenate([natural, np.array(balanced, dtype=np.int64)])


@torch.no_grad()
def _average(ema: nn.Module, model: nn.Module, decay: float) -> None:
    for kept, fresh in zip(ema.parameters(), model.parameters(), strict=True):
        kept.lerp_(fresh, 1 - decay)
