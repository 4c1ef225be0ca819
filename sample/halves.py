"""Guidance in one pass without computing twice what both halves of the batch share.

Classifier-free guidance (Ho and Salimans 2021, equation 6) asks the denoiser about the same latents
with and without the text. In a U-Net of Stable Diffusion the text comes in at the first
cross-attention; all before it is the same for both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import get_ident
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.unets.unet_2d_blocks import CrossAttnDownBlock2D
from torch import Tensor, nn


@contextmanager
def shared_halves(denoiser: nn.Module) -> Iterator[None]:
    """Within the block, the layers before the first text see half of the batch, once.

    The caller vouches that both halves have the same latents and times, and that nothing but the
    tokens of the text tells them apart. Denoisers of another build are left as they are. Passes of
    other threads, inside a block of their own or outside of any, are not touched.

    Args:
        denoiser: changed within the block only.
    """
    wrapped = {part: _Once(part) for part in _before_the_text(denoiser)}
    try:
        for part, once in wrapped.items():
            part.__dict__["forward"] = once
        yield
    finally:
        for part, once in wrapped.items():
            once.leave(part)


class _Once:
    """A forward pass over the first half of the batch, its output repeated for the second.

    Only in the thread that made it, and until that leaves: another thread may have put its own
    around this one meanwhile, and then finds the plain pass in it.
    """

    def __init__(self, part: nn.Module) -> None:
        self._thread: int | None = get_ident()
        self._own = part.__dict__.get("forward")
        self._forward: Callable[..., Tensor] = part.forward

    def leave(self, part: nn.Module) -> None:
        """Give a part its own forward pass back, unless another one is around this."""
        self._thread = None
        if part.__dict__.get("forward") is self:
            own = self._own
            while isinstance(own, _Once) and own._thread is None:
                own = own._own
            if own is None:
                del part.__dict__["forward"]
            else:
                part.__dict__["forward"] = own

    def __call__(self, x: Tensor, *args: Any, **options: Any) -> Tensor:
        if self._thread != get_ident():
            return self._forward(x, *args, **options)
        half = len(x) // 2
        rest = [_first(value, half) for value in args]
        named = {name: _first(value, half) for name, value in options.items()}
        once = self._forward(x[:half], *rest, **named)
        return torch.cat([once, once])


def _first(value: Any, rows: int) -> Any:
    return value[:rows] if isinstance(value, Tensor) else value


def _before_the_text(denoiser: Any) -> list[nn.Module]:
    """The layers that run before the first cross-attention, where the build is known; else none."""
    if type(denoiser) is not UNet2DConditionModel or denoiser.config.addition_embed_type:
        return []  # an embedding of the text that is added to the times reaches every layer
    block = denoiser.down_blocks[0]
    if type(block) is not CrossAttnDownBlock2D:
        return [denoiser.conv_in]
    first = block.attentions[0]
    if type(first) is not Transformer2DModel or not first.is_input_continuous:
        return [denoiser.conv_in, block.resnets[0]]
    parts = [denoiser.conv_in, block.resnets[0], first.norm, first.proj_in]
    inner = first.transformer_blocks[0]
    if type(inner) is not BasicTransformerBlock or inner.norm_type != "layer_norm":
        return parts
    return parts if inner.only_cross_attention else [*parts, inner.norm1, inner.attn1]
