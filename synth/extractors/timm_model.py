"""A timm model by name, with the preprocessing it was trained with (extra ``timm``).

``timm:vit_small_patch16_224`` or, with weights on disk, ``timm:vit_small_patch16_224=FILE``.
"""

from __future__ import annotations

from typing import Any

from synth.errors import SynthError
from synth.extractors.extra import optional
from synth.extractors.network import NetworkExtractor, network_extractor, weights_hash
from synth.extractors.preprocess import Preprocess


def load(where: str, *, device: str = "cpu") -> NetworkExtractor:
    """Open a model without its classification layer.

    Raises:
        Unavailable: timm is not installed.
        SynthError: no such model, or weights that cannot be had.
    """
    timm = optional("timm", "timm", "a timm extractor")
    name, _, file = where.partition("=")
    given = {"checkpoint_path": file} if file else {"pretrained": True}
    try:
        model: Any = timm.create_model(name, num_classes=0, **given)
    except (RuntimeError, OSError, KeyError, ValueError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SynthError("timm does not give this model", where=where, got=first) from None
    config = timm.data.resolve_model_data_config(model)
    model.to(device).eval().requires_grad_(False)
    channels, size, _ = config["input_size"]
    preprocess = Preprocess(
        size=int(size),
        channels=int(channels),
        resize="bilinear" if config["interpolation"] == "bilinear" else "bicubic",
        mean=tuple(map(float, config["mean"])),
        std=tuple(map(float, config["std"])),
    )
    return network_extractor(
        name,
        f"timm-{name}",
        lambda pixels: model(pixels),
        weights_sha256=weights_hash(model),
        preprocess=preprocess,
        output="pooled",
        device=device,
    )
