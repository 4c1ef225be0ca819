"""Stable Diffusion 1.x and 2.x, and anything saved with the same pipeline class.

The only place that knows the latent scale, CLIP windows and the UNet's call. Components load one by
one with ``from_pretrained(subfolder=…)``: a pipeline object is not needed to train or sample.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.utils import logging as diffusers_log
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer
from transformers.utils import logging as transformers_log

from synth.config.schema import ModelSection
from synth.diffusion.process import Prediction, Process
from synth.errors import SynthError, UsageError
from synth.families import adapters
from synth.families.attention import use_attention
from synth.families.base import Conditioning, Moments
from synth.families.weights import folder_sha256, resolve_weights

MAX_WINDOWS = 4  # 300 tokens: longer than almost every impression, 4 times the attention keys
PARTS = ("scheduler", "text_encoder", "tokenizer", "unet", "vae")
_PREDICTIONS: dict[str, Prediction] = {
    "epsilon": "epsilon",
    "v_prediction": "v_prediction",
    "sample": "sample",
}


class StableDiffusion:
    """See ``synth.families.base.Family``; made by ``load``."""

    def __init__(self, model: ModelSection, folder: Path, *, dtype: torch.dtype) -> None:
        self._model = model
        self._vae = _load(AutoencoderKL, folder, "vae", torch_dtype=torch.float32)
        self._text_encoder = _load(CLIPTextModel, folder, "text_encoder", dtype=torch.float32)
        self._tokenizer = _load(CLIPTokenizer, folder, "tokenizer")
        self._scheduler = _adjusted(_load_scheduler(folder), model)
        self._trainable: list[tuple[str, nn.Parameter]] | None = None
        self.denoiser: Any = _load(UNet2DConditionModel, folder, "unet", torch_dtype=dtype)
        for part in (self._vae, self._text_encoder, self.denoiser):
            part.eval().requires_grad_(False)
        self.scheduler_config: Mapping[str, Any] = dict(self._scheduler.config)
        self.process = _process(self._scheduler)
        self.channels = int(self._vae.config.in_channels)
        self._factor = 2 ** (len(self._vae.config.block_out_channels) - 1)
        self.size = _side(self.denoiser.config.sample_size) * self._factor
        self.weights_sha256 = folder_sha256(folder, PARTS)
        self.image_encoder_sha256 = folder_sha256(folder, ("vae",))
        self.text_encoder_sha256 = folder_sha256(folder, ("text_encoder", "tokenizer"))
        self.kernel = ""
        if model.gradient_checkpointing:
            self.denoiser.enable_gradient_checkpointing()

    @property
    def device(self) -> torch.device:
        """Where the components are."""
        return next(self._vae.parameters()).device  # type: ignore[no-any-return]

    def to(self, device: torch.device) -> StableDiffusion:
        """Move every component; probes and sets the attention kernel there."""
        for part in (self._vae, self._text_encoder, self.denoiser):
            part.to(device)
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

    @torch.no_grad()
    def encode_images(self, pixels: Tensor) -> Moments:
        """See ``Family``; deterministic: the posterior, not a draw from it."""
        pixels = pixels.to(self.device, torch.float32)
        if pixels.shape[1] == 1:
            pixels = pixels.expand(-1, self.channels, -1, -1)
        posterior = self._vae.encode(pixels).latent_dist
        scale, shift = self._scale()
        return Moments((posterior.mean - shift) * scale, posterior.std * scale)

    @torch.no_grad()
    def decode_latents(self, latents: Tensor) -> Tensor:
        """See ``Family``; float32 throughout, as half precision overflows in some autoencoders."""
        scale, shift = self._scale()
        latents = latents.to(self.device, torch.float32) / scale + shift
        pixels: Tensor = self._vae.decode(latents).sample
        return pixels.mean(dim=1, keepdim=True)

    @torch.no_grad()
    def encode_prompts(self, prompts: Sequence[str]) -> Conditioning:
        """Hidden states of every 77-token window, joined; one window equals the stock pipeline.

        The text encoder gets no attention mask, as in the stock pipeline: Stable Diffusion was
        trained to attend to padding.
        """
        windows = [self._windows(prompt) for prompt in prompts]
        ids = torch.tensor([window for group in windows for window in group], device=self.device)
        states = self._text_encoder(ids)[0].float()
        rows = states.split([len(group) for group in windows])
        return Conditioning.cat([Conditioning(row.flatten(0, 1)[None]) for row in rows])

    def truncated(self, prompts: Sequence[str]) -> list[int]:
        """Tokens of each prompt beyond ``MAX_WINDOWS`` windows."""
        room = MAX_WINDOWS * self._room
        return [max(0, len(self._token_ids(prompt)) - room) for prompt in prompts]

    def null_conditioning(self, n: int) -> Conditioning:
        """The encoding of the empty prompt, as guidance in the stock pipeline uses."""
        return self.encode_prompts([""]).index([0] * n)

    def denoise(self, latents: Tensor, times: Tensor, cond: Conditioning) -> Tensor:
        """The UNet's output as float32; ``times`` are timesteps, fractions allowed."""
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
            if self._model.adapter == "lora":
                rank, alpha = self._model.rank, self._model.alpha
                self._trainable = adapters.add_lora(self.denoiser, rank=rank, alpha=alpha)
            else:
                self._trainable = adapters.train_all(self.denoiser)
        return self._trainable

    def export(self, folder: Path) -> str:
        """See ``Family``: a ``StableDiffusionPipeline``; LoRA is merged, and written beside too."""
        pipeline = StableDiffusionPipeline(
            vae=self._vae,
            text_encoder=self._text_encoder,
            tokenizer=self._tokenizer,
            unet=adapters.merged(self.denoiser),
            scheduler=self._scheduler,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        with _no_bars():
            pipeline.save_pretrained(folder, safe_serialization=True)
        if adapters.has_lora(self.denoiser):
            adapters.save_lora(self.denoiser, folder)
        return folder_sha256(folder, PARTS)

    def _scale(self) -> tuple[float, float]:
        config = self._vae.config
        return float(config.scaling_factor), float(config.get("shift_factor") or 0.0)

    @property
    def _room(self) -> int:
        """Tokens of a window between its start and end tokens."""
        return int(self._tokenizer.model_max_length) - 2

    def _token_ids(self, prompt: str) -> list[int]:
        ids: list[int] = self._tokenizer(prompt, add_special_tokens=False, verbose=False).input_ids
        return ids

    def _windows(self, prompt: str) -> list[list[int]]:
        """Token ids of each window: start, content, end, padding to the model's length."""
        ids = self._token_ids(prompt)[: MAX_WINDOWS * self._room]
        tokenizer = self._tokenizer
        windows = []
        for start in range(0, max(1, len(ids)), self._room):
            content = ids[start : start + self._room]
            window = [tokenizer.bos_token_id, *content, tokenizer.eos_token_id]
            windows.append(window + [tokenizer.pad_token_id] * (self._room + 2 - len(window)))
        return windows


def load(model: ModelSection, *, device: torch.device, dtype: torch.dtype) -> StableDiffusion:
    """Load a Stable Diffusion pipeline folder; see ``synth.families.load_family``."""
    return StableDiffusion(model, resolve_weights(model.weights), dtype=dtype).to(device)


def _load(kind: Any, folder: Path, part: str, **options: Any) -> Any:
    try:
        with _no_bars():
            return kind.from_pretrained(folder, subfolder=part, local_files_only=True, **options)
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SynthError(
            f"cannot load the {part} of a Stable Diffusion pipeline",
            where=folder / part,
            got=reason,
            expected=f"a {kind.__name__}",
        ) from None


@contextmanager
def _no_bars() -> Iterator[None]:
    """Keep the libraries' progress bars out of the output while loading and saving."""
    on = [log for log in (diffusers_log, transformers_log) if log.is_progress_bar_enabled()]
    for log in on:
        log.disable_progress_bar()
    try:
        yield
    finally:
        for log in on:
            log.enable_progress_bar()


def _load_scheduler(folder: Path) -> Any:
    config = diffusers.DDPMScheduler.load_config(folder, subfolder="scheduler")
    kind = getattr(diffusers, str(config.get("_class_name", "")), diffusers.DDIMScheduler)
    return _load(kind, folder, "scheduler")


def _adjusted(scheduler: Any, model: ModelSection) -> Any:
    """The scheduler with another prediction type or a zero terminal SNR, where asked for.

    What is trained under it is exported with it, so the stock pipeline samples as we do.
    """
    changed: dict[str, Any] = {}
    if model.prediction is not None:
        changed["prediction_type"] = model.prediction
    if model.zero_terminal_snr:
        # the noisiest time must be on the solver's grid (Lin et al. 2024, section 3.3)
        changed |= {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    if not changed:
        return scheduler
    takes = inspect.signature(type(scheduler).__init__).parameters
    kind = type(scheduler) if changed.keys() <= takes.keys() else diffusers.DDIMScheduler
    return kind.from_config(dict(scheduler.config), **changed)


def _process(scheduler: Any) -> Process:
    """The process a scheduler configuration describes; its ᾱ comes from diffusers itself."""
    config = scheduler.config
    prediction = str(config.get("prediction_type", "epsilon"))
    if prediction not in _PREDICTIONS:
        raise SynthError(
            "unknown prediction type in the scheduler's configuration",
            where="model.weights",
            got=prediction,
            expected=", ".join(_PREDICTIONS),
        )
    reference = diffusers.DDPMScheduler(
        num_train_timesteps=config.num_train_timesteps,
        beta_start=config.beta_start,
        beta_end=config.beta_end,
        beta_schedule=config.beta_schedule,
        trained_betas=config.get("trained_betas"),
        rescale_betas_zero_snr=bool(config.get("rescale_betas_zero_snr", False)),
    )
    return Process(_PREDICTIONS[prediction], reference.alphas_cumprod.double())


def _side(sample_size: int | Sequence[int]) -> int:
    return sample_size if isinstance(sample_size, int) else sample_size[0]
