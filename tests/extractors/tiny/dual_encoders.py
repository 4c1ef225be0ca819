"""Tiny random dual encoders with a tokenizer of words, written as users have them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

WORDS = (
    *("chest", "radiograph", "no", "acute", "finding", "there", "is", "a", "an", "and", "the"),
    *("small", "large", "left", "right", "quick", "brown", "fox", "jumps", "over", "lazy", "dog"),
    *("possible", "cardiomegaly", "hernia", "nodule", "pleural", "effusion", "edema", "spot"),
)
LIMIT = 16  # tokens
_VISION = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "image_size": 32,
    "patch_size": 8,
}


def long_text(words: int) -> str:
    """A text of so many tokens, without the special ones."""
    return " ".join(WORDS[index % 4] for index in range(words))


def clip_folder(
    folder: Path,
    *,
    kind: str = "clip",
    tokenizer: bool = True,
    words: tuple[str, ...] = (),
    vocabulary: int | None = None,
    seed: int = 7,
) -> Path:
    """A saved dual encoder of 32-pixel images and texts of 16 tokens.

    Args:
        folder: to write.
        kind: ``clip``, ``siglip``, or ``roberta``: any vision and any text network, projected.
        tokenizer: whether it comes with one.
        words: that the tokenizer knows beyond ``WORDS``.
        vocabulary: tokens of the text network, where they are not the tokenizer's.
        seed: of the weights.
    """
    made = _tokenizer(words)
    count = len(made)
    text = {
        "vocab_size": vocabulary or count,
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "max_position_embeddings": LIMIT,
        "bos_token_id": count - 2,
        "eos_token_id": count - 1,
        "pad_token_id": 0,
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        _model(kind, text).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps({"size": 32}))
    if tokenizer:
        made.save_pretrained(folder)
    return folder


def _model(kind: str, text: dict[str, Any]) -> Any:
    import transformers as t

    if kind == "clip":
        return t.CLIPModel(t.CLIPConfig(text_config=text, vision_config=_VISION, projection_dim=12))
    if kind == "siglip":
        return t.SiglipModel(t.SiglipConfig(text_config=text, vision_config=_VISION))
    config = t.VisionTextDualEncoderConfig.from_vision_text_configs(
        t.ViTConfig(**_VISION), t.RobertaConfig(**text), projection_dim=12
    )
    return t.VisionTextDualEncoderModel(config)


def _tokenizer(words: tuple[str, ...]) -> Any:
    """Words and letters, lower case, between a start and an end token."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    known = dict.fromkeys(["<pad>", "<unk>", *map(chr, range(33, 127)), *WORDS, *words])
    vocabulary = {word: index for index, word in enumerate([*known, "<start>", "<end>"])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(
        single="<start> $A <end>",
        special_tokens=[(name, vocabulary[name]) for name in ("<start>", "<end>")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<start>",
        eos_token="<end>",
        pad_token="<pad>",
        unk_token="<unk>",
        model_max_length=LIMIT,
    )
