"""Attention that never holds the whole matrix of scores, of plain operations on any device.

For devices and shapes that torch has no fused kernel for. Scores are made a slice of rows at a
time, at most ``SLICE`` numbers, and made again in the backward pass, so that what training keeps
grows with the tokens and not with their square. The softmax runs over all keys of a row: slicing
rows is exact (Rabe & Staats 2021, section 2, without their slicing of keys).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode
from torch.utils.checkpoint import checkpoint

from synth.errors import UsageError

SLICE = 2**24  # scores held at a time: 64 MiB in float32


class Slicing(TorchFunctionMode):
    """Within the block every ``scaled_dot_product_attention`` is ``sliced_attention``."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func is scaled_dot_product_attention:
            return sliced_attention(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def sliced_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(QKᵀ·scale + mask)·V, slice by slice.

    Args:
        query: [B, H, Lq, D].
        key: [B, H, Lk, D].
        value: [B, H, Lk, E].
        attn_mask: bool (true is kept) or added, broadcast to [B, H, Lq, Lk].
        dropout_p: must be 0.
        is_causal: must be false.
        scale: D^-0.5 by default.
        enable_gqa: must be false.

    Returns:
        [B, H, Lq, E].

    Raises:
        UsageError: dropout, a causal mask or grouped queries are asked for.
    """
    if dropout_p or is_causal or enable_gqa:
        raise UsageError("sliced attention has no dropout, causal mask or grouped queries")
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    mask = None if attn_mask is None else _added(attn_mask, query.dtype)
    output = query.new_empty(*query.shape[:3], value.shape[-1])
    parts = []
    for where in _slices(query.shape[0], query.shape[1], query.shape[2], key.shape[2]):
        batch, heads, _ = where
        arguments = (query[where], key[batch, heads], value[batch, heads], _part(mask, where))
        if torch.is_grad_enabled():
            part = checkpoint(
                _attend, *arguments, scale, use_reentrant=False, preserve_rng_state=False
            )
            parts.append((where, part))
        else:
            output[where] = _attend(*arguments, scale)
    for where, part in parts:
        output[where] = part
    return output


def _attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    scores = query * scale @ key.transpose(-2, -1)
    if mask is not None:
        scores = scores + mask
    return scores.softmax(dim=-1).to(value.dtype) @ value


def _slices(batch: int, heads: int, rows: int, keys: int) -> Iterator[tuple[slice, slice, slice]]:
    """Blocks of [B, H, Lq] with at most ``SLICE`` scores, or one row's where that is more."""
    step_rows = min(rows, max(1, SLICE // keys))
    step_heads = min(heads, max(1, SLICE // (keys * rows)))
    step_batch = min(batch, max(1, SLICE // (keys * rows * heads)))
    for b in range(0, batch, step_batch):
        for h in range(0, heads, step_heads):
            for r in range(0, rows, step_rows):
                yield slice(b, b + step_batch), slice(h, h + step_heads), slice(r, r + step_rows)


def _added(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """A mask to add, with four axes."""
    if mask.dtype == torch.bool:
        mask = torch.zeros_like(mask, dtype=dtype).masked_fill(~mask, float("-inf"))
    return mask.reshape((1,) * (4 - mask.ndim) + mask.shape)


def _part(mask: Tensor | None, where: tuple[slice, slice, slice]) -> Tensor | None:
    """A mask's slice; an axis of one is broadcast."""
    if mask is None:
        return None
    whole = slice(None)
    pairs = zip(mask.shape[:3], where, strict=True)
    return mask[tuple(whole if n == 1 else s for n, s in pairs)]
