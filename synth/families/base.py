"""What every base-model family offers: the seam between the model and everything that uses it.

A family holds all that is specific to a model (components, latent scaling, tokenisation, the
meaning of a time) and nothing mathematical; a ``Process`` holds the mathematics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from synth.diffusion.process import Process


@dataclass(frozen=True)
class Moments:
    """Posterior of the *scaled* latents, both float32 [B, C, h, w].

    Attributes:
        mean: posterior mean.
        std: posterior standard deviation; ``mean + std·ε`` is a sample.
    """

    mean: Tensor
    std: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """One draw with the given unit noise."""
        return self.mean + self.std * noise


@dataclass(frozen=True)
class Conditioning:
    """Encoded prompts.

    Attributes:
        tokens: [B, L, D], zero where padded.
        mask: bool [B, L], true on real tokens; None where every token is real.
        pooled: [B, P] for families that use one, else None.
        facts: int64 [B, K], categories of view, side, …; negative where unknown. None without.
    """

    tokens: Tensor
    mask: Tensor | None = None
    pooled: Tensor | None = None
    facts: Tensor | None = None

    def index(self, index: slice | Sequence[int]) -> Conditioning:
        """Some of the rows, in the order given."""
        rows = index if isinstance(index, slice) else list(index)
        return Conditioning(*(None if part is None else part[rows] for part in self._parts()))  # type: ignore[arg-type]

    def like(self, other: Conditioning) -> bool:
        """Whether another one has the same parts of the same shapes: joined, no row is padded."""
        mine, theirs = (
            [None if part is None else part.shape for part in cond._parts()]
            for cond in (self, other)
        )
        return mine == theirs

    def to(self, device: torch.device, dtype: torch.dtype | None = None) -> Conditioning:
        """On a device, the floating parts in a dtype; the mask stays bool."""
        mask = None if self.mask is None else self.mask.to(device)
        pooled = None if self.pooled is None else self.pooled.to(device, dtype)
        facts = None if self.facts is None else self.facts.to(device)
        return Conditioning(self.tokens.to(device, dtype), mask, pooled, facts)

    @staticmethod
    def cat(parts: Sequence[Conditioning]) -> Conditioning:
        """Join batches, padding shorter ones with masked zeros.

        Padding is masked out in the denoiser, so a row means the same in any company.
        """
        length = max(part.tokens.shape[1] for part in parts)
        ragged = any(part.mask is not None or part.tokens.shape[1] != length for part in parts)
        pooled = [part.pooled for part in parts if part.pooled is not None]
        facts = [part.facts for part in parts if part.facts is not None]
        return Conditioning(
            tokens=torch.cat([_pad(part.tokens, length) for part in parts]),
            mask=torch.cat([_pad(_mask(part), length) for part in parts]) if ragged else None,
            pooled=torch.cat(pooled) if pooled else None,
            facts=torch.cat(facts) if facts else None,
        )

    def _parts(self) -> tuple[Tensor | None, ...]:
        return self.tokens, self.mask, self.pooled, self.facts


def _mask(cond: Conditioning) -> Tensor:
    if cond.mask is not None:
        return cond.mask
    return torch.ones(cond.tokens.shape[:2], dtype=torch.bool, device=cond.tokens.device)


def _pad(x: Tensor, length: int) -> Tensor:
    """Append zeros (false) along axis 1 up to ``length``."""
    missing = length - x.shape[1]
    return x if missing == 0 else torch.cat([x, x.new_zeros(len(x), missing, *x.shape[2:])], dim=1)


class Family(Protocol):
    """A base model, loaded.

    Attributes:
        process: noising and prediction type.
        denoiser: the network that trains; it stays in evaluation mode, where dropout would draw
            from hidden state.
        channels: image channels of the autoencoder. One channel is always accepted and always
            given back: an RGB autoencoder gets grey repeated and averaged.
        size: native image side in pixels.
        weights_sha256: of all the files the model was loaded from.
        image_encoder_sha256: of the autoencoder's files; latents are cached under it.
        text_encoder_sha256: of the text encoder's and tokenizer's; embeddings are cached under it.
        scheduler_config: the base model's own scheduler configuration.
        kernel: name of the attention kernel that really runs.
        text_trains: whether a text encoder trains, so that prompts are encoded inside every step.
    """

    process: Process
    denoiser: nn.Module
    channels: int
    size: int
    weights_sha256: str
    image_encoder_sha256: str
    text_encoder_sha256: str
    scheduler_config: Mapping[str, Any]
    kernel: str
    text_trains: bool

    def latent_shape(self, size: int) -> tuple[int, int, int]:
        """(C, h, w) of the latents of a square image of ``size`` pixels."""

    def encode_images(self, pixels: Tensor) -> Moments:
        """Pixels, float32 [N, 1 or channels, H, W] in [-1, 1], to scaled latent moments."""

    def decode_latents(self, latents: Tensor) -> Tensor:
        """Scaled latents to pixels, float32 [N, 1, H, W] about [-1, 1]."""

    def encode_prompts(self, prompts: Sequence[str]) -> Conditioning:
        """Prompts to what conditions the denoiser."""

    def truncated(self, prompts: Sequence[str]) -> list[int]:
        """How many tokens of each prompt do not fit and are cut."""

    def null_conditioning(self, n: int) -> Conditioning:
        """``n`` rows of what "no prompt" is, in training and in guidance alike."""

    def denoise(self, latents: Tensor, times: Tensor, cond: Conditioning) -> Tensor:
        """The network's prediction, float32 like ``latents``, at process times [B]."""

    def trainable(self) -> list[tuple[str, nn.Parameter]]:
        """The parameters to train, float32, by stable names; the first call adds the adapter."""

    def export(self, folder: Path) -> str:
        """Write a plain diffusers pipeline folder with the present weights.

        Returns:
            The ``weights_sha256`` that the folder will have when it is loaded.
        """

    def to(self, device: torch.device) -> Family:
        """Move every component; returns itself."""
