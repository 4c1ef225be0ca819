"""Stable Diffusion 1.x and 2.x, and anything saved with the same pipeline class.

One UNet, one CLIP text encoder, timesteps 0…999, ε or v. RoentGen (Chambon et al. 2022) trains the
UNet and the text encoder together: ``model.train_text_encoder``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from synth.config.schema import ModelSection
from synth.errors import UsageError
from synth.families import adapters, autoencoder, clip, parts
from synth.families.attention import use_attention
from synth.families.base import Conditioning, Moments
from synth.families.conditions import FOLDER, make_conditions
from synth.families.weights import folder_sha256, resolve_weights

PARTS = ("scheduler", "text_encoder", "tokenizer", "unet", "vae", FOLDER)


class StableDiffusion:
    """See ``synth.families.base.Family``; made by ``load``."""

    def __init__(self, model: ModelSection, folder: Path, *, dtype: torch.dtype) -> None:
        self._model = model
        fp32 = torch.float32
        self._vae = parts.load_part(AutoencoderKL, folder, "vae", torch_dtype=fp32)
        self._text_encoder = parts.load_part(CLIPTextModel, folder, "text_encoder", dtype=fp32)
        self._tokenizer = parts.load_part(CLIPTokenizer, folder, "tokenizer")
        self._scheduler = parts.load_scheduler(folder, model)
        self._trainable: list[tuple[str, nn.Parameter]] | None = None
        self.denoiser: Any = parts.load_part(
            UNet2DConditionModel, folder, "unet", torch_dtype=dtype
        )
        width = int(self._text_encoder.config.hidden_size)
        needed = int(self.denoiser.config.cross_attention_dim)
        parts.check_width("text_encoder", width, needed, folder)
        parts.freeze(self._vae, self._text_encoder, self.denoiser)
        self._conditions = make_conditions(
            model.conditions,
            folder,
            width=int(self.denoiser.config.cross_attention_dim),
            slot="token",
        )
        self.scheduler_config: Mapping[str, Any] = dict(self._scheduler.config)
        self.process = parts.process_of(self._scheduler)
        self.channels = int(self._vae.config.in_channels)
        self.text_trains = model.train_text_encoder
        self._factor = 2 ** (len(self._vae.config.block_out_channels) - 1)
        self.size = parts.side(self.denoiser.config.sample_size) * self._factor
        self.weights_sha256 = folder_sha256(folder, PARTS)
        self.image_encoder_sha256 = folder_sha256(folder, ("vae",))
        self.text_encoder_sha256 = folder_sha256(folder, ("text_encoder", "tokenizer"))
        self.kernel = ""
        if model.gradient_checkpointing:
            self.denoiser.enable_gradient_checkpointing()

    def to(self, device: torch.device) -> StableDiffusion:
        """Move every component; probes and sets the attention kernel there."""
        for part in (self._vae, self._text_encoder, self.denoiser):
            part.to(device)
        if self._conditions is not None:
            self._conditions.to(device)
        self.kernel = use_attention(self.denoiser, self._model.attention, device=device).ran
        return self

    def latent_shape(self, size: int) -> tuple[int, int, int]:
        """(C, h, w) of the latents of a square image.

        Raises:
            UsageError: the UNet cannot halve and double that size without loss.
        """
        multiple = self._factor * 2 ** (len(self.denoiser.config.block_out_channels) - 1)
        if size % multiple:
            raise UsageError(
                "the model cannot make images of this size",
                where="data.size",
                got=size,
                expected=f"a multiple of {multiple}",
            )
        side = size // self._factor
        return int(self._vae.config.latent_channels), side, side

    def encode_images(self, pixels: Tensor) -> Moments:
        """See ``Family``; deterministic: the posterior, not a draw from it."""
        return autoencoder.encode(self._vae, pixels)

    def decode_latents(self, latents: Tensor) -> Tensor:
        """See ``Family``."""
        return autoencoder.decode(self._vae, latents)

    def encode_prompts(self, prompts: Sequence[str]) -> Conditioning:
        """Hidden states of every 77-token window, joined; one window equals the stock pipeline.

        The text encoder gets no attention mask, as in the stock pipeline: Stable Diffusion was
        trained to attend to padding. Differentiable where the text encoder trains.
        """
        with torch.set_grad_enabled(self.text_trains and torch.is_grad_enabled()):
            groups = [clip.window_ids(self._tokenizer, prompt) for prompt in prompts]
            ids = clip.flat_ids(groups, parts.device_of(self._text_encoder))
            states = self._text_encoder(ids)[0].float()
            rows = states.split([len(group) for group in groups])
            return Conditioning.cat([Conditioning(row.flatten(0, 1)[None]) for row in rows])

    def truncated(self, prompts: Sequence[str]) -> list[int]:
        """Tokens of each prompt beyond the last window."""
        return [clip.truncated(self._tokenizer, prompt) for prompt in prompts]

    def null_conditioning(self, n: int) -> Conditioning:
        """The encoding of the empty prompt, as guidance in the stock pipeline uses."""
        return self.encode_prompts([""]).index([0] * n)

    def denoise(self, latents: Tensor, times: Tensor, cond: Conditioning) -> Tensor:
        """The UNet's output as float32; ``times`` are timesteps, fractions allowed."""
        cond = cond if self._conditions is None else self._conditions.attach(cond)
        dtype = next(self.denoiser.parameters()).dtype
        output: Tensor = self.denoiser(
            latents.to(dtype),
            times,
            encoder_hidden_states=cond.tokens.to(dtype),
            encoder_attention_mask=cond.mask,
            return_dict=False,
        )[0]
        return output.float()

    def trainable(self) -> list[tuple[str, nn.Parameter]]:
        """See ``Family``."""
        if self._trainable is None:
            texts = {"text_encoder": self._text_encoder} if self.text_trains else {}
            self._trainable = adapters.make_trainable(self._model, self.denoiser, texts)
            self._trainable += [] if self._conditions is None else self._conditions.named()
        return self._trainable

    def export(self, folder: Path) -> str:
        """See ``Family``: a ``StableDiffusionPipeline``; LoRA is merged, and written beside too."""
        pipeline = StableDiffusionPipeline(
            vae=self._vae,
            text_encoder=adapters.merged(self._text_encoder),
            tokenizer=self._tokenizer,
            unet=adapters.merged(self.denoiser),
            scheduler=self._scheduler,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        with parts.quiet():
            pipeline.save_pretrained(folder, safe_serialization=True)
        if adapters.has_lora(self.denoiser):
            modules = {"unet": self.denoiser, "text_encoder": self._text_encoder}
            adapters.save_lora(modules, folder, StableDiffusionPipeline)
        if self._conditions is not None:
            self._conditions.save(folder)
        return folder_sha256(folder, PARTS)


def load(model: ModelSection, *, device: torch.device, dtype: torch.dtype) -> StableDiffusion:
    """Load a Stable Diffusion pipeline folder; see ``synth.families.load_family``."""
    return StableDiffusion(model, resolve_weights(model.weights), dtype=dtype).to(device)
