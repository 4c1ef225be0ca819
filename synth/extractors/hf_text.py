"""The text side of a Hugging Face dual encoder: its own tokenizer, cut with the end token kept.

CLIP reads a text off its end token. A text that is cut without it is read off another place, and
its features say nothing; so the content is cut here, and the special tokens that the tokenizer puts
around it stay.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from synth.errors import SynthError
from synth.extractors.text_side import NetworkTextSide, Tokens

_PROBE = "the quick brown fox jumps over a lazy dog"
_LEAST_KINDS = 5  # different tokens in it, below which a tokenizer knows no words
_LONGEST = 10_000  # tokenizers that state no limit state an astronomical one


def has_texts(model: Any) -> bool:
    """Whether a model encodes images and texts apart, each by itself."""
    sides = ("text_config", "vision_config")
    return all(hasattr(model.config, side) for side in sides) and hasattr(
        model, "get_text_features"
    )


def open_texts(
    where: str, model: Any, *, kind: str, weights_sha256: str, dim: int, device: str
) -> NetworkTextSide:
    """The text side of a loaded model.

    Args:
        where: its folder or hub id, for the tokenizer.
        model: loaded, in evaluation.
        kind: of model, for the id: ``clip``.
        weights_sha256: of its weights.
        dim: length of its image features.
        device: where the model lies.

    Raises:
        SynthError: no tokenizer that fits the model, or texts in another space than the images.
    """
    tokenizer = _tokenizer(where, model.config.text_config)
    limit = _limit(tokenizer, model.config.text_config)
    pad = int(tokenizer.pad_token_id or 0)
    # SigLIP was trained on texts padded to its limit, and without a mask.
    padded = kind.startswith("siglip")

    def run(texts: Sequence[Tokens]) -> Tensor:
        width = limit if padded else max(len(text.ids) for text in texts)
        ids = torch.full((len(texts), width), pad, dtype=torch.long)
        mask = torch.zeros((len(texts), width), dtype=torch.long)
        for row, text in enumerate(texts):
            ids[row, : len(text.ids)] = torch.tensor(text.ids)
            mask[row, : len(text.ids)] = 1
        given = {"input_ids": ids.to(device)}
        if not padded:
            given["attention_mask"] = mask.to(device)
        found = model.get_text_features(**given)
        value: Tensor = found if isinstance(found, Tensor) else found.pooler_output
        return value

    side = NetworkTextSide(
        id=f"hf-{kind}-{weights_sha256[:12]}-text@{limit}-{_digest(tokenizer)}",
        limit=limit,
        dim=dim,
        tokenize=lambda text: cut(tokenizer, text, limit),
        run=run,
    )
    try:
        side([_PROBE])  # an error now, and not after all images
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SynthError("the model does not take texts alone", where=where, got=first) from None
    return side


def cut(tokenizer: Any, text: str, limit: int) -> Tokens:
    """The tokens of a text, its content cut so that all special tokens stay.

    Args:
        tokenizer: a Hugging Face tokenizer.
        text: any text.
        limit: tokens at most, the special ones counted.

    Raises:
        SynthError: the tokenizer does not put its special tokens around the content.
    """
    whole = _ids(tokenizer, text, special=True)
    if len(whole) <= limit:
        return Tokens(tuple(whole), truncated=False)
    content = _ids(tokenizer, text, special=False)
    special = len(whole) - len(content)
    for before in range(special + 1):
        if whole[before : before + len(content)] == content and special < limit:
            after = whole[before + len(content) :]
            kept = content[: limit - special]
            return Tokens((*whole[:before], *kept, *after), truncated=True)
    raise SynthError(
        "a text too long for the model cannot be cut: its special tokens are not around it",
        got=f"{len(whole)} tokens, {len(content)} of content",
        expected=f"at most {limit} tokens",
    )


def _ids(tokenizer: Any, text: str, *, special: bool) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=special, verbose=False).input_ids
    return ids


def _tokenizer(where: str, config: Any) -> Any:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(where, trust_remote_code=False)
        known, whole = (_ids(tokenizer, _PROBE, special=special) for special in (False, True))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise _unreadable(where, first) from None
    # Without its files, some versions make an empty tokenizer and say nothing.
    if len(set(known)) < _LEAST_KINDS:
        raise _unreadable(where, "a tokenizer that knows no words")
    words = int(getattr(config, "vocab_size", 0) or len(tokenizer))
    if max(whole) >= words:
        raise _unreadable(where, f"a tokenizer of {len(tokenizer)} tokens for {words} of the model")
    return tokenizer


def _unreadable(where: str, got: str) -> SynthError:
    return SynthError(
        "the model's texts cannot be read",
        where=where,
        got=got,
        expected="the model's own tokenizer beside its weights",
        fix="Put tokenizer.json (or vocab and merges) into the folder, or give another extractor.",
    )


def _limit(tokenizer: Any, config: Any) -> int:
    """Positions of the model, or the tokenizer's limit where it is lower."""
    positions = int(getattr(config, "max_position_embeddings", _LONGEST))
    if "roberta" in str(getattr(config, "model_type", "")):  # its first position is after padding's
        positions -= int(getattr(config, "pad_token_id", 1) or 0) + 1
    return min(positions, int(min(tokenizer.model_max_length, _LONGEST)))


def _digest(tokenizer: Any) -> str:
    """Of the whole tokenizer where it can be written out, else of its vocabulary."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        held = json.loads(backend.to_str())
        facts: Any = {**held, "truncation": None, "padding": None}  # what a caller last asked for
    else:
        facts = tokenizer.get_vocab()
    facts = {"tokenizer": facts, "pad": tokenizer.pad_token_id}
    text = json.dumps(facts, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:8]
