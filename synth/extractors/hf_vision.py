"""Any Hugging Face vision model: ViT, DINOv2, CLIP, SigLIP, RAD-DINO, ConvNeXt, ResNet.

Of a dual encoder the features are its image embeddings as they are compared with texts, projected;
its text side is ``synth.extractors.hf_text``.

The model folder says how its images are scaled (``preprocessor_config.json``); size, range, mean
and std are taken from it. Two things are not: images are padded to a square instead of squashed or
cropped, and the resize is antialiased in float. Models without a trained pooler (a classifier's
backbone) give their class token; Hugging Face would fill the pooler with random numbers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from synth.errors import SynthError
from synth.extractors.hf_text import has_texts, open_texts
from synth.extractors.network import NetworkExtractor, network_extractor, weights_hash
from synth.extractors.preprocess import Preprocess, Resize

_BICUBIC = 3  # Pillow's number
_TWO_TOWERS = "vision_config"


def load(where: str, *, device: str = "cpu") -> NetworkExtractor:
    """Open a model by folder or hub id; code from the hub is never run.

    Raises:
        SynthError: no such model, weights are missing from it, or it is no vision model.
    """
    model, absent = _model(where)
    kind = str(model.config.model_type).replace("_", "-")
    run, output = _output(model, absent)
    model.to(device).eval().requires_grad_(False)
    found = network_extractor(
        kind,
        f"hf-{kind}",
        run,
        weights_sha256=weights_hash(model, without=absent),
        preprocess=_preprocess(where, model.config),
        output=output,
        device=device,
    )
    if not has_texts(model):
        return found
    sha256, dim = found.weights_sha256, found.dim
    texts = partial(
        open_texts, where, model, kind=kind, weights_sha256=sha256, dim=dim, device=device
    )
    return replace(found, open_texts=texts)


def _model(where: str) -> tuple[Any, set[str]]:
    from transformers import AutoModel

    try:
        model, info = AutoModel.from_pretrained(
            where, output_loading_info=True, trust_remote_code=False, dtype=torch.float32
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SynthError(
            "not a Hugging Face model that can be read",
            where=where,
            got=first,
            fix="Give the folder of a downloaded model, with config.json and weights.",
        ) from None
    absent = {str(key) for key in info["missing_keys"]}
    lacking = sorted(key for key in absent if "pooler" not in key)
    if lacking:
        raise SynthError(
            "weights are missing, so features would be random",
            where=where,
            got=f"{len(lacking)} missing, first {lacking[0]}",
        )
    return model, absent


def _output(model: Any, absent: set[str]) -> tuple[Callable[[Tensor], Tensor], str]:
    if hasattr(model.config, _TWO_TOWERS):
        if not hasattr(model, "get_image_features"):
            raise SynthError("not a vision model", got=model.config.model_type)
        return (lambda pixels: _vector(model.get_image_features(pixel_values=pixels))), "image"
    pooled = not any("pooler" in key for key in absent) and _has_pooler(model)
    if pooled:
        return (lambda pixels: _pooled(model(pixel_values=pixels))), "pooler"
    return (lambda pixels: _class_token(model(pixel_values=pixels))), "cls"


def _has_pooler(model: Any) -> bool:
    """DINOv2 returns a pooled output without a module of that name."""
    return getattr(model, "pooler", True) is not None


def _vector(found: Any) -> Tensor:
    """Newer versions return a structure, older ones the tensor."""
    value: Tensor = found if isinstance(found, Tensor) else found.pooler_output
    return value


def _pooled(found: Any) -> Tensor:
    pooled = getattr(found, "pooler_output", None)
    return _class_token(found) if pooled is None else pooled.flatten(1)


def _class_token(found: Any) -> Tensor:
    state: Tensor = found.last_hidden_state
    return state[:, 0] if state.ndim == 3 else state.mean(dim=(2, 3))


def _preprocess(where: str, config: Any) -> Preprocess:
    said = _processor_config(where)
    vision = getattr(config, _TWO_TOWERS, config)
    cropped = said.get("crop_size") if said.get("do_center_crop") else None
    size = _side(cropped) or _side(said.get("size")) or _side(getattr(vision, "image_size", None))
    if size is None:
        raise SynthError("the model does not say how large its images are", where=where)
    patch = getattr(vision, "patch_size", None)
    if isinstance(patch, int) and size % patch:
        size -= size % patch  # a size that no patch crosses, as the models themselves cut it
    channels = int(getattr(vision, "num_channels", 3))
    mean, std = _statistics(said, channels)
    high = (
        255.0 * float(said.get("rescale_factor", 1 / 255))
        if said.get("do_rescale", True)
        else 255.0
    )
    low = 0.0
    if said.get("offset"):  # ViViT's and Flava's way to [-1, 1]
        low, high = -1.0, 1.0
    resize: Resize = "bicubic" if said.get("resample", _BICUBIC) == _BICUBIC else "bilinear"
    return Preprocess(
        size=size, channels=channels, resize=resize, low=low, high=high, mean=mean, std=std
    )


def _statistics(
    said: Mapping[str, Any], channels: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if not said.get("do_normalize", bool(said.get("image_mean"))):
        return (0.0,), (1.0,)
    found = []
    for name in ("image_mean", "image_std"):
        value = said.get(name, 0.5)
        values = [value] if isinstance(value, int | float) else list(value)
        found.append(tuple(float(item) for item in values[:channels]))
    return found[0], found[1]


def _side(value: Any) -> int | None:
    if isinstance(value, Mapping):
        value = value.get("shortest_edge") or value.get("height")
    if isinstance(value, list | tuple):
        value = value[0] if value else None
    return value if isinstance(value, int) and value > 0 else None


def _processor_config(where: str) -> dict[str, Any]:
    """``preprocessor_config.json``; empty where there is none.

    Raises:
        SynthError: it is not JSON.
    """
    from transformers.utils import cached_file

    path = cached_file(
        where,
        "preprocessor_config.json",
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
        _raise_exceptions_for_gated_repo=False,
    )
    if path is None:
        return {}
    try:
        said = json.loads(Path(path).read_text("utf-8"))
    except ValueError as error:
        raise SynthError("not valid JSON", where=path, got=error) from None
    return said if isinstance(said, dict) else {}
