"""Both sides of an open_clip model (extra ``open-clip``): BiomedCLIP and its like.

``open_clip:hf-hub:microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224``, or
``open_clip:local-dir:FOLDER``; ``open_clip:ViT-B-32=laion2b_s34b_b79k`` names model and weights.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from synth.errors import SynthError
from synth.extractors.extra import optional
from synth.extractors.network import NetworkExtractor, network_extractor, weights_hash
from synth.extractors.open_clip_text import open_texts
from synth.extractors.preprocess import Preprocess


def load(where: str, *, device: str = "cpu") -> NetworkExtractor:
    """Open a model; its image embeddings are scaled to length 1, as CLIP compares them.

    Raises:
        Unavailable: open_clip is not installed.
        SynthError: no such model, or weights that cannot be had.
    """
    open_clip = optional("open_clip", "open-clip", "an open_clip extractor")
    name, _, weights = where.partition("=")
    if not weights and not name.startswith(("hf-hub:", "local-dir:")):
        raise SynthError(
            "an open_clip model without weights would be random",
            got=where,
            expected="hf-hub:…, local-dir:… or MODEL=WEIGHTS",
        )
    try:
        made = open_clip.create_model_and_transforms(name, pretrained=weights or None)
    except (RuntimeError, OSError, KeyError, ValueError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SynthError("open_clip does not give this model", where=where, got=first) from None
    model: Any = made[0]
    model.to(device).eval().requires_grad_(False)
    config = getattr(model.visual, "preprocess_cfg", {})
    size = config.get("size", getattr(model.visual, "image_size", 224))
    short = name.rsplit("/", 1)[-1].removeprefix("hf-hub:").removeprefix("local-dir:")
    preprocess = Preprocess(
        size=int(size[0] if isinstance(size, list | tuple) else size),
        resize="bilinear" if config.get("interpolation") == "bilinear" else "bicubic",
        mean=tuple(config.get("mean") or open_clip.OPENAI_DATASET_MEAN),
        std=tuple(config.get("std") or open_clip.OPENAI_DATASET_STD),
    )
    found = network_extractor(
        "open-clip",
        f"open-clip-{short}",
        lambda pixels: model.encode_image(pixels),
        weights_sha256=weights_hash(model),
        preprocess=preprocess,
        output="image",
        unit_length=True,
        device=device,
    )
    sha256, dim = found.weights_sha256, found.dim
    texts = partial(
        open_texts, name, model, short=short, weights_sha256=sha256, dim=dim, device=device
    )
    return replace(found, open_texts=texts)
