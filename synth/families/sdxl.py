"""Stable Diffusion XL: two CLIP text encoders, pooled text and image sizes beside the time.

The UNet attends to the penultimate states of both encoders and is told, through its time embedding,
the pooled text of the second and six numbers: original size, crop corner and target size
(Podell et al. 2023, section 2.2). Prepared images are whole, so the crop is always 0, 0 and both
sizes are that of the image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, StableDiffusionXLPipeline, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from synth.config.schema import ModelSection
from synth.errors import UsageError
from synth.families import adapters, autoencoder, clip, parts
from synth.families.attention import use_attention
from synth.families.base import Conditioning, Moments
from synth.families.conditions import FOLDER, make_conditions
from synth.families.weights import folder_sha256, resolve_weights

TEXTS = ("text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2")
PARTS = ("scheduler", *TEXTS, "unet", "vae", FOLDER)


class StableDiffusionXL:
    """See ``synth.families.base.Family``; made by ``load``."""

    def __init__(self, model: ModelSection, folder: Path, *, dtype: torch.dtype) -> None:
        self._model = model
        fp32 = torch.float32
        self._vae = parts.load_part(AutoencoderKL, folder, "vae", torch_dtype=fp32)
        self._texts: tuple[Any, Any] = (
            parts.load_part(CLIPTextModel, folder, "text_encoder", dtype=fp32),
            parts.load_part(CLIPTextModelWithProjection, folder, "text_encoder_2", dtype=fp32),
        )
        self._tokenizers = tuple(
            parts.load_part(CLIPTokenizer, folder, name) for name in ("tokenizer", "tokenizer_2")
        )
        self._scheduler = parts.load_scheduler(folder, model)
        self._trainable: list[tuple[str, nn.Parameter]] | None = None
        self.denoiser: Any = parts.load_part(
            UNet2DConditionModel, folder, "unet", torch_dtype=dtype
        )
        _check_widths(self.denoiser, self._texts, folder)
        self._zero_null = parts.index_value(folder, "force_zeros_for_empty_prompt", default=True)
        parts.freeze(self._vae, *self._texts, self.denoiser)
        self._conditions = make_conditions(
            model.conditions, folder, width=int(self._texts[1].config.projection_dim), slot="pooled"
        )
        self.scheduler_config: Mapping[str, Any] = dict(self._scheduler.config)
        self.process = parts.process_of(self._scheduler)
        self.channels = int(self._vae.config.in_channels)
        self.text_trains = model.train_text_encoder
        self._factor = 2 ** (len(self._vae.config.block_out_channels) - 1)
        self.size = parts.side(self.denoiser.config.sample_size) * self._factor
        self.weights_sha256 = folder_sha256(folder, PARTS)
        self.image_encoder_sha256 = folder_sha256(folder, ("vae",))
        self.text_encoder_sha256 = folder_sha256(folder, TEXTS)
        self.kernel = ""
        if model.gradient_checkpointing:
            self.denoiser.enable_gradient_checkpointing()

    def to(self, device: torch.device) -> StableDiffusionXL:
        """Move every component; probes and sets the attention kernel there."""
        for part in (self._vae, *self._texts, self.denoiser):
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
        """See ``Family``; float32, as the half-precision autoencoder of SDXL overflows."""
        return autoencoder.encode(self._vae, pixels)

    def decode_latents(self, latents: Tensor) -> Tensor:
        """See ``Family``."""
        return autoencoder.decode(self._vae, latents)

    def encode_prompts(self, prompts: Sequence[str]) -> Conditioning:
        """States of both encoders side by side, every 77-token window; pooled text of the first.

        One window equals the stock pipeline. Differentiable where the text encoders train.
        """
        with torch.set_grad_enabled(self.text_trains and torch.is_grad_enabled()):
            return Conditioning.cat([self._encode(prompt) for prompt in prompts])

    def _encode(self, prompt: str) -> Conditioning:
        count = max(len(clip.window_ids(tokenizer, prompt)) for tokenizer in self._tokenizers)
        states: list[Tensor] = []
        pooled = torch.empty(0)
        for tokenizer, encoder in zip(self._tokenizers, self._texts, strict=True):
            groups = [clip.window_ids(tokenizer, prompt, at_least=count)]
            output = encoder(
                clip.flat_ids(groups, parts.device_of(encoder)), output_hidden_states=True
            )
            states.append(output.hidden_states[-2].float())
            pooled = output[0].float()  # of the second encoder, the last one: its projection
        return Conditioning(torch.cat(states, dim=-1).flatten(0, 1)[None], None, pooled[:1])

    def truncated(self, prompts: Sequence[str]) -> list[int]:
        """Tokens of each prompt beyond the last window."""
        return [max(clip.truncated(t, prompt) for t in self._tokenizers) for prompt in prompts]

    def null_conditioning(self, n: int) -> Conditioning:
        """Zeros where the pipeline says so, as the published base does; else the empty prompt."""
        null = self.encode_prompts([""])
        if self._zero_null:
            pooled = None if null.pooled is None else torch.zeros_like(null.pooled)
            null = Conditioning(torch.zeros_like(null.tokens), None, pooled)
        return null.index([0] * n)

    def denoise(self, latents: Tensor, times: Tensor, cond: Conditioning) -> Tensor:
        """The UNet's output as float32; ``times`` are timesteps, fractions allowed."""
        cond = cond if self._conditions is None else self._conditions.attach(cond)
        dtype = next(self.denoiser.parameters()).dtype
        pooled = cond.pooled
        if pooled is None:
            raise UsageError("SDXL needs the pooled text", where="cond.pooled")
        side = float(latents.shape[-1] * self._factor)
        sizes = torch.tensor([side, side, 0.0, 0.0, side, side], device=latents.device)
        output: Tensor = self.denoiser(
            latents.to(dtype),
            times,
            encoder_hidden_states=cond.tokens.to(dtype),
            encoder_attention_mask=cond.mask,
            added_cond_kwargs={
                "text_embeds": pooled.to(dtype),
                "time_ids": sizes.to(dtype).expand(len(latents), -1),
            },
            return_dict=False,
        )[0]
        return output.float()

    def trainable(self) -> list[tuple[str, nn.Parameter]]:
        """See ``Family``."""
        if self._trainable is None:
            texts = dict(zip(TEXTS[:2], self._texts, strict=True)) if self.text_trains else {}
            self._trainable = adapters.make_trainable(self._model, self.denoiser, texts)
            self._trainable += [] if self._conditions is None else self._conditions.named()
        return self._trainable

    def export(self, folder: Path) -> str:
        """See ``Family``: a ``StableDiffusionXLPipeline``; LoRA is merged, and written beside."""
        pipeline = StableDiffusionXLPipeline(
            vae=self._vae,
            text_encoder=adapters.merged(self._texts[0]),
            text_encoder_2=adapters.merged(self._texts[1]),
            tokenizer=self._tokenizers[0],
            tokenizer_2=self._tokenizers[1],
            unet=adapters.merged(self.denoiser),
            scheduler=self._scheduler,
            force_zeros_for_empty_prompt=self._zero_null,
            add_watermarker=False,
        )
        with parts.quiet():
            pipeline.save_pretrained(folder, safe_serialization=True)
        if adapters.has_lora(self.denoiser):
            modules = {"unet": self.denoiser, **dict(zip(TEXTS[:2], self._texts, strict=True))}
            adapters.save_lora(modules, folder, StableDiffusionXLPipeline)
        if self._conditions is not None:
            self._conditions.save(folder)
        return folder_sha256(folder, PARTS)


def load(model: ModelSection, *, device: torch.device, dtype: torch.dtype) -> StableDiffusionXL:
    """Load a Stable Diffusion XL pipeline folder; see ``synth.families.load_family``."""
    return StableDiffusionXL(model, resolve_weights(model.weights), dtype=dtype).to(device)


def _check_widths(unet: Any, texts: tuple[Any, Any], folder: Path) -> None:
    """The states of both encoders, and the pooled text with six sizes, must fit the UNet."""
    width = sum(int(text.config.hidden_size) for text in texts)
    parts.check_width("text_encoder", width, int(unet.config.cross_attention_dim), folder)
    pooled = int(texts[1].config.projection_dim)
    sizes = 6 * int(unet.config.addition_time_embed_dim)
    needed = int(unet.add_embedding.linear_1.in_features) - sizes
    parts.check_width("text_encoder_2", pooled, needed, folder)
