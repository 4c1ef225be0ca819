"""Stable Diffusion 3 and 3.5: a rectified flow with three text encoders.

Two CLIP encoders give 77 tokens and the pooled text; T5 gives 256 more, so a report is read whole
by T5 and its first 75 tokens by CLIP. No mask is used: the transformer was trained to attend to
padding (Esser et al. 2024, section 4). A base without T5 has zeros in its place, as the stock
pipeline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, SD3Transformer2DModel, StableDiffusion3Pipeline
from torch import Tensor, nn
from transformers import (
    AutoTokenizer,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5EncoderModel,
)

from synth.config.schema import ModelSection
from synth.errors import UsageError
from synth.families import adapters, autoencoder, clip, fused, parts
from synth.families.base import Conditioning, Moments
from synth.families.conditions import FOLDER, make_conditions
from synth.families.weights import folder_sha256, resolve_weights

T5_TOKENS = 256
CLIPS = ("text_encoder", "text_encoder_2")
TEXTS = (*CLIPS, "text_encoder_3", "tokenizer", "tokenizer_2", "tokenizer_3")
PARTS = ("scheduler", *TEXTS, "transformer", "vae", FOLDER)


class StableDiffusion3:
    """See ``synth.families.base.Family``; made by ``load``."""

    def __init__(self, model: ModelSection, folder: Path, *, dtype: torch.dtype) -> None:
        parts.refuse_text_training(model, "SD3 was tuned with frozen text encoders")
        self._model = model
        fp32 = torch.float32
        self._vae = parts.load_part(AutoencoderKL, folder, "vae", torch_dtype=fp32)
        self._clips = tuple(
            parts.load_part(CLIPTextModelWithProjection, folder, name, dtype=fp32) for name in CLIPS
        )
        self._tokenizers = tuple(
            parts.load_part(CLIPTokenizer, folder, name) for name in ("tokenizer", "tokenizer_2")
        )
        self._t5, self._t5_tokenizer = _load_t5(folder)
        self._scheduler = parts.load_scheduler(folder, model)
        self._trainable: list[tuple[str, nn.Parameter]] | None = None
        self.denoiser: Any = parts.load_part(
            SD3Transformer2DModel, folder, "transformer", torch_dtype=dtype
        )
        _check_widths(self.denoiser, self._clips, self._t5, folder)
        parts.freeze(self._vae, *self._clips, self.denoiser)
        if self._t5 is not None:
            parts.freeze(self._t5)
        self._conditions = make_conditions(
            model.conditions,
            folder,
            width=int(self.denoiser.config.pooled_projection_dim),
            slot="pooled",
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

    def to(self, device: torch.device) -> StableDiffusion3:
        """Move every component; probes and sets the attention kernel there."""
        for part in (self._vae, *self._clips, self._t5, self.denoiser):
            if part is not None:
                part.to(device)
        if self._conditions is not None:
            self._conditions.to(device)
        kernel = fused.use_fused(self.denoiser, self._model.attention, device=device)
        self.kernel = kernel.ran
        return self

    def latent_shape(self, size: int) -> tuple[int, int, int]:
        """(C, h, w) of the latents of a square image.

        Raises:
            UsageError: not whole patches, or more of them than there are positions.
        """
        config = self.denoiser.config
        multiple = self._factor * int(config.patch_size)
        most = int(config.pos_embed_max_size) * multiple
        if size % multiple or size > most:
            raise UsageError(
                "the model cannot make images of this size",
                where="data.size",
                got=size,
                expected=f"a multiple of {multiple}, at most {most}",
            )
        side = size // self._factor
        return int(config.in_channels), side, side

    def encode_images(self, pixels: Tensor) -> Moments:
        """See ``Family``."""
        return autoencoder.encode(self._vae, pixels)

    def decode_latents(self, latents: Tensor) -> Tensor:
        """See ``Family``."""
        return autoencoder.decode(self._vae, latents)

    @torch.no_grad()
    def encode_prompts(self, prompts: Sequence[str]) -> Conditioning:
        """CLIP states padded to T5's width, then T5 states; pooled text of both CLIPs."""
        return Conditioning.cat([self._encode(prompt) for prompt in prompts])

    def _encode(self, prompt: str) -> Conditioning:
        states, pooled = [], []
        for tokenizer, encoder in zip(self._tokenizers, self._clips, strict=True):
            first = clip.window_ids(tokenizer, prompt)[:1]
            ids = clip.flat_ids([first], parts.device_of(encoder))
            output = encoder(ids, output_hidden_states=True)
            states.append(output.hidden_states[-2].float())
            pooled.append(output[0].float())
        tokens = torch.cat(states, dim=-1)
        width = int(self.denoiser.config.joint_attention_dim)
        tokens = nn.functional.pad(tokens, (0, width - tokens.shape[-1]))
        return Conditioning(
            torch.cat([tokens, self._encode_t5(prompt)], dim=1), None, torch.cat(pooled, dim=-1)
        )

    def _encode_t5(self, prompt: str) -> Tensor:
        """float32 [1, T5_TOKENS, D], padding included."""
        device = parts.device_of(self._clips[0])
        if self._t5 is None or self._t5_tokenizer is None:
            width = int(self.denoiser.config.joint_attention_dim)
            return torch.zeros(1, T5_TOKENS, width, device=device)
        ids = self._t5_tokenizer(
            [prompt],
            padding="max_length",
            max_length=T5_TOKENS,
            truncation=True,
            return_tensors="pt",
        ).input_ids
        states: Tensor = self._t5(ids.to(device))[0]
        return states.float()

    def truncated(self, prompts: Sequence[str]) -> list[int]:
        """Tokens of each prompt that no encoder reads: T5's, or those of CLIP where T5 lacks."""
        if self._t5_tokenizer is None:
            return [
                max(clip.beyond_first(t, prompt) for t in self._tokenizers) for prompt in prompts
            ]
        lengths = [len(self._t5_tokenizer(p, verbose=False).input_ids) for p in prompts]
        return [max(0, length - T5_TOKENS) for length in lengths]

    def null_conditioning(self, n: int) -> Conditioning:
        """The encoding of the empty prompt, as guidance in the stock pipeline uses."""
        return self.encode_prompts([""]).index([0] * n)

    def denoise(self, latents: Tensor, times: Tensor, cond: Conditioning) -> Tensor:
        """The transformer's velocity as float32; ``times`` are reals in [0, 1]."""
        cond = cond if self._conditions is None else self._conditions.attach(cond)
        dtype = next(self.denoiser.parameters()).dtype
        if cond.pooled is None:
            raise UsageError("SD3 needs the pooled text", where="cond.pooled")
        output: Tensor = self.denoiser(
            hidden_states=latents.to(dtype),
            timestep=times.float() * float(self._scheduler.config.num_train_timesteps),
            encoder_hidden_states=cond.tokens.to(dtype),
            pooled_projections=cond.pooled.to(dtype),
            return_dict=False,
        )[0]
        return output.float()

    def trainable(self) -> list[tuple[str, nn.Parameter]]:
        """See ``Family``."""
        if self._trainable is None:
            self._trainable = adapters.make_trainable(self._model, self.denoiser, {})
            self._trainable += [] if self._conditions is None else self._conditions.named()
        return self._trainable

    def export(self, folder: Path) -> str:
        """See ``Family``: a ``StableDiffusion3Pipeline``; LoRA is merged, and written beside."""
        pipeline = StableDiffusion3Pipeline(
            vae=self._vae,
            text_encoder=self._clips[0],
            text_encoder_2=self._clips[1],
            text_encoder_3=self._t5,
            tokenizer=self._tokenizers[0],
            tokenizer_2=self._tokenizers[1],
            tokenizer_3=self._t5_tokenizer,
            transformer=adapters.merged(self.denoiser),
            scheduler=self._scheduler,
        )
        with parts.quiet():
            pipeline.save_pretrained(folder, safe_serialization=True)
        if adapters.has_lora(self.denoiser):
            adapters.save_lora({"transformer": self.denoiser}, folder, StableDiffusion3Pipeline)
        if self._conditions is not None:
            self._conditions.save(folder)
        return folder_sha256(folder, PARTS)


def load(model: ModelSection, *, device: torch.device, dtype: torch.dtype) -> StableDiffusion3:
    """Load a Stable Diffusion 3 pipeline folder; see ``synth.families.load_family``."""
    return StableDiffusion3(model, resolve_weights(model.weights), dtype=dtype).to(device)


def _load_t5(folder: Path) -> tuple[Any, Any]:
    """T5 and its tokenizer, or nothing where the base was saved without."""
    if not (folder / "text_encoder_3").is_dir():
        return None, None
    encoder = parts.load_part(T5EncoderModel, folder, "text_encoder_3", dtype=torch.float32)
    return encoder, parts.load_part(AutoTokenizer, folder, "tokenizer_3")


def _check_widths(transformer: Any, clips: Sequence[Any], t5: Any, folder: Path) -> None:
    config = transformer.config
    pooled = sum(int(encoder.config.projection_dim) for encoder in clips)
    parts.check_width("text_encoder", pooled, int(config.pooled_projection_dim), folder)
    if t5 is not None:
        width = int(t5.config.d_model)
        parts.check_width("text_encoder_3", width, int(config.joint_attention_dim), folder)
