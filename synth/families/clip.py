"""Long prompts for CLIP text encoders: windows of 77 tokens, encoded one by one.

CLIP has 77 positions. A report is cut into windows of 75 tokens, each with its own start and end
token, as CLIP saw them; the states are joined. One window equals the stock pipeline's encoding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

MAX_WINDOWS = 4  # 300 tokens: longer than almost every impression, 4 times the attention keys


def window_ids(tokenizer: Any, prompt: str, *, at_least: int = 1) -> list[list[int]]:
    """Token ids of each window: start, content, end, padding to the model's length.

    Args:
        tokenizer: a CLIP tokenizer.
        prompt: any text; what does not fit in ``MAX_WINDOWS`` windows is cut.
        at_least: windows to make; those without content are empty prompts.
    """
    room = _room(tokenizer)
    ids = _token_ids(tokenizer, prompt)[: MAX_WINDOWS * room]
    count = max(at_least, -(-len(ids) // room), 1)
    windows = []
    for start in range(0, count * room, room):
        content = ids[start : start + room]
        window = [tokenizer.bos_token_id, *content, tokenizer.eos_token_id]
        windows.append(window + [tokenizer.pad_token_id] * (room + 2 - len(window)))
    return windows


def truncated(tokenizer: Any, prompt: str) -> int:
    """Tokens of a prompt beyond the last window."""
    return max(0, len(_token_ids(tokenizer, prompt)) - MAX_WINDOWS * _room(tokenizer))


def beyond_first(tokenizer: Any, prompt: str) -> int:
    """Tokens of a prompt beyond the first window, where only that is read."""
    return max(0, len(_token_ids(tokenizer, prompt)) - _room(tokenizer))


def flat_ids(groups: Sequence[Sequence[Sequence[int]]], device: torch.device) -> Tensor:
    """The windows of several prompts as one batch of ids, int64 [sum of windows, 77]."""
    return torch.tensor([window for group in groups for window in group], device=device)


def _room(tokenizer: Any) -> int:
    """Tokens of a window between its start and end tokens."""
    return int(tokenizer.model_max_length) - 2


def _token_ids(tokenizer: Any, prompt: str) -> list[int]:
    ids: list[int] = tokenizer(prompt, add_special_tokens=False, verbose=False).input_ids
    return ids
