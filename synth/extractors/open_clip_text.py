"""The text side of an open_clip model, at the length that the model was trained with.

An open_clip tokenizer is asked for its own context length by name: BiomedCLIP reads 256 tokens,
and older versions cut at 77 whatever the model. Whether a text was cut shows by tokenizing it again
with more room, whatever kind of tokenizer it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from synth.errors import SynthError
from synth.extractors.extra import optional
from synth.extractors.text_side import NetworkTextSide, Tokens

_PROBES = ("", "the quick brown fox jumps over a lazy dog", "There is no pleural effusion.")


def open_texts(
    name: str, model: Any, *, short: str, weights_sha256: str, dim: int, device: str
) -> NetworkTextSide:
    """The text side of a loaded model; text features have length 1, as those of images.

    Args:
        name: of the model, as open_clip knows it.
        model: loaded, in evaluation.
        short: its name, for the id.
        weights_sha256: of its weights.
        dim: length of its image features.
        device: where the model lies.

    Raises:
        Unavailable: open_clip is not installed.
        SynthError: no tokenizer, or one that does not say how many tokens the model reads.
    """
    open_clip = optional("open_clip", "open-clip", "an open_clip extractor")
    try:
        tokenizer = open_clip.get_tokenizer(name)
    except (RuntimeError, OSError, KeyError, ValueError, AttributeError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SynthError("open_clip gives no tokenizer", where=name, got=first) from None
    limit = getattr(tokenizer, "context_length", None)
    if not isinstance(limit, int) or limit < 2:
        raise SynthError(
            "the tokenizer does not say how many tokens the model reads",
            where=name,
            got=limit,
            fix="Install a newer open_clip_torch, 2.24 at least.",
        )
    room = limit

    def run(texts: Sequence[Tokens]) -> Tensor:
        ids = torch.tensor([text.ids for text in texts], dtype=torch.long, device=device)
        return torch.nn.functional.normalize(model.encode_text(ids).float(), dim=1)

    return NetworkTextSide(
        id=f"open-clip-{short}-{weights_sha256[:12]}-text-unit@{room}-{_digest(tokenizer, room)}",
        limit=room,
        dim=dim,
        tokenize=lambda text: cut(tokenizer, text, room),
        run=run,
    )


def cut(tokenizer: Any, text: str, limit: int) -> Tokens:
    """The tokens of a text, ``limit`` of them with padding, and whether it was cut.

    Args:
        tokenizer: an open_clip tokenizer.
        text: any text.
        limit: tokens that the model reads.

    Raises:
        SynthError: the text was cut at random places, or its end token with it.
    """
    ids, longer = _row(tokenizer, text, limit), _row(tokenizer, text, 2 * limit)
    empty = _row(tokenizer, "", 2 * limit)
    padding = empty[-1]
    truncated = ids != longer[:limit] or any(token != padding for token in longer[limit:])
    if truncated and getattr(tokenizer, "reduction_fn", None) is not None:
        raise SynthError(
            "this model's tokenizer leaves words out at random, so its features are random too",
            where="open_clip tokenizer",
            got=f"a text of more than {limit} tokens",
            fix="Give another model, or shorter texts.",
        )
    last = next((token for token in reversed(empty) if token != padding), padding)
    end = getattr(tokenizer, "eot_token_id", last)  # padding may be the end token itself
    stripped = bool(getattr(tokenizer, "strip_sep_token", False))  # trained without an end token
    if truncated and not stripped and ids[-1] != end:
        raise SynthError(
            "a text that was cut lost its end token, from which its features are read",
            where="open_clip tokenizer",
            got=f"{ids[-1]} at place {limit}",
            expected=end,
            fix="Use another version of open_clip_torch, or shorter texts.",
        )
    return Tokens(tuple(ids), truncated)


def _row(tokenizer: Any, text: str, length: int) -> list[int]:
    ids: list[int] = tokenizer([text], context_length=length)[0].tolist()
    return ids


def _digest(tokenizer: Any, limit: int) -> str:
    """By what it does: tokenizers of this package cannot be written out alike."""
    rows = repr([_row(tokenizer, text, limit) for text in _PROBES])
    return hashlib.sha256(rows.encode()).hexdigest()[:8]
