"""PixArt-Σ: a diffusion transformer on T5 text, ε-prediction, latents of the SDXL autoencoder.

T5 reads 300 tokens natively and its padding is masked, so embeddings are kept without it (Chen et
al. 2024). The transformer also predicts a variance, which training for images leaves alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, PixArtSigmaPipeline, PixArtTransformer2DModel
from torch import Tensor, nn
from transformers import AutoTokenizer, T5EncoderModel

from synth.config.schema import ModelSection
from synth.errors import UsageError
from synth.families import adapters, autoencoder, fused, parts
from synth.families.base import Conditioning, Moments
from synth.families.conditions import FOLDER, make_conditions
from synth.families.weights import folder_sha256, resolve_weights

TOKENS = 300
TEXTS = ("text_encoder", "tokenizer")
PARTS = ("scheduler", *TEXTS, "transformer", "vae", FOLDER)


class PixArtSigma:
    """See ``synth.families.base.Family``; made by ``load``."""

    def __init__(self, model: ModelSection, folder: Path, *, dtype: torch.dtype) -> None:
        parts.refuse_text_training(model, "PixArt was trained with a frozen T5")
        self._model = model
        fp32 = torch.float32
        self._vae = parts.load_part(AutoencoderKL, folder, "vae", torch_dtype=fp32)
        self._text_encoder = parts.load_part(T5EncoderModel, folder, "text_encoder", dtype=fp32)
        self._tokenizer = parts.load_part(AutoTokenizer, folder, "tokenizer")
        self._scheduler = parts.load_scheduler(folder, model)
        self._trainable: list[tuple[str, nn.Parameter]] | None = None
        self.denoiser: Any = parts.load_part(
            PixArtTransformer2DModel, folder, "transformer", torch_dtype=dtype
        )
        width = int(self._text_encoder.config.d_model)
        needed = int(self.denoiser.config.caption_channels)
        parts.check_width("text_encoder", width, needed, folder)
        parts.freeze(self._vae, self._text_encoder, self.denoiser)
        self._conditions = make_conditions(
            model.conditions, folder, width=int(self.denoiser.config.caption_channels), slot="token"
        )
        self.scheduler_config: Mapping[str, Any] = dict(self._scheduler.config)
        self.process = parts.process_of(self._scheduler)
        self.channels = int(self._vae.config.in_channels)
        self.text_trains = False
        self._factor = 2 ** (len(self._vae.config.block_out_channels) - 1)
        self.size = parts.side(self.denoiser.config.sample_size) * self._factor
        self.weights_sha256 = folder_sha256(folder, PARTS)
        self.image_encoder_sha256 = folder_sha256(folder, ("vae",))
        self.text_encoder_sha256 = folder_sha256(folder, TEXTS)
        self.kernel = ""
        if model.gradient_checkpointing:
            self.denoiser.enable_gradient_checkpointing()

    def to(self, device: torch.device) -> PixArtSigma:
        """Move every component; probes and sets the attention kernel there."""
        for part in (self._vae, self._text_encoder, self.denoiser):
            part.to(device)
        if self._conditions is not None:
            self._conditions.to(device)
        kernel = fused.use_fused(self.denoiser, self._model.attention, device=device)
        self.kernel = kernel.ran
        return self

    def latent_shape(self, size: int) -> tuple[int, int, int]:
        """(C, h, w) of the latents of a square image.

        Raises:
            UsageError: not whole patches.
        """
        multiple = self._factor * int(self.denoiser.config.patch_size)
        if size % multiple:
            raise UsageError(
                "the model cannot make images of this size",
                where="data.size",
                got=size,
                expected=f"a multiple of {multiple}",
            )
        side = size // self._factor
        return int(self.denoiser.config.in_channels), side, side

    def encode_images(self, pixels: Tensor) -> Moments:
        """See ``Family``."""
        return autoencoder.encode(self._vae, pixels)

    def decode_latents(self, latents: Tensor) -> Tensor:
        """See ``Family``."""
        return autoencoder.decode(self._vae, latents)

    @torch.no_grad()
    def encode_prompts(self, prompts: Sequence[str]) -> Conditioning:
        """T5 states of each prompt's own tokens, in lower case as the stock pipeline has it."""
        rows = []
        for prompt in prompts:
            tokens = self._tokenizer(
                _clean(prompt), max_length=TOKENS, truncation=True, return_tensors="pt"
            )
            tokens = tokens.to(parts.device_of(self._text_encoder))
            states = self._text_encoder(tokens.input_ids, attention_mask=tokens.attention_mask)[0]
            rows.append(Conditioning(states.float()))
        return Conditioning.cat(rows)

    def truncated(self, prompts: Sequence[str]) -> list[int]:
        """Tokens of each prompt beyond ``TOKENS``."""
        lengths = [len(self._tokenizer(_clean(p), verbose=False).input_ids) for p in prompts]
        return [max(0, length - TOKENS) for length in lengths]

    def null_conditioning(self, n: int) -> Conditioning:
        """The encoding of the empty prompt, as guidance in the stock pipeline uses."""
        return self.encode_prompts([""]).index([0] * n)

    def denoise(self, latents: Tensor, times: Tensor, cond: Conditioning) -> Tensor:
        """The predicted noise as float32, without the variance; ``times`` are timesteps."""
        cond = cond if self._conditions is None else self._conditions.attach(cond)
        dtype = next(self.denoiser.parameters()).dtype
        count, channels = latents.shape[:2]
        mask = cond.mask
        if mask is None:
            mask = torch.ones(cond.tokens.shape[:2], dtype=torch.bool, device=latents.device)
        output: Tensor = self.denoiser(
            latents.to(dtype),
            encoder_hidden_states=cond.tokens.to(dtype),
            encoder_attention_mask=mask,
            timestep=times.expand(count),
            added_cond_kwargs=self._sizes(latents),
            return_dict=False,
        )[0]
        return output[:, :channels].float()

    def _sizes(self, latents: Tensor) -> dict[str, Tensor | None]:
        """Side and aspect ratio for PixArt-α at 1024 pixels, which asks for them; else nothing."""
        if not self.denoiser.use_additional_conditions:
            return {"resolution": None, "aspect_ratio": None}
        count, side = len(latents), float(latents.shape[-1] * self._factor)
        return {
            "resolution": torch.full((count, 2), side, device=latents.device),
            "aspect_ratio": torch.ones(count, 1, device=latents.device),
        }

    def trainable(self) -> list[tuple[str, nn.Parameter]]:
        """See ``Family``."""
        if self._trainable is None:
            self._trainable = adapters.make_trainable(self._model, self.denoiser, {})
            self._trainable += [] if self._conditions is None else self._conditions.named()
        return self._trainable

    def export(self, folder: Path) -> str:
        """See ``Family``: a ``PixArtSigmaPipeline``; LoRA is merged, and written beside too.

        The stock pipeline loads no LoRA files: ``lora/`` is what ``peft`` loads.
        """
        pipeline = PixArtSigmaPipeline(
            vae=self._vae,
            text_encoder=self._text_encoder,
            tokenizer=self._tokenizer,
            transformer=adapters.merged(self.denoiser),
            scheduler=self._scheduler,
        )
        with parts.quiet():
            pipeline.save_pretrained(folder, safe_serialization=True)
        if adapters.has_lora(self.denoiser):
            adapters.save_peft(self.denoiser, folder)
        if self._conditions is not None:
            self._conditions.save(folder)
        return folder_sha256(folder, PARTS)


def load(model: ModelSection, *, device: torch.device, dtype: torch.dtype) -> PixArtSigma:
    """Load a PixArt-Σ pipeline folder; see ``synth.families.load_family``."""
    return PixArtSigma(model, resolve_weights(model.weights), dtype=dtype).to(device)


def _clean(prompt: str) -> str:
    return prompt.lower().strip()
