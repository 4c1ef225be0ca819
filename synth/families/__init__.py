"""Base models by name. Names stand for code lazily: importing this loads no torch."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from synth.errors import SynthError, UsageError
from synth.registry import Registry

if TYPE_CHECKING:
    import torch

    from synth.config.schema import ModelSection
    from synth.families.base import Family

FAMILIES = Registry(
    "model family",
    {
        "sd": "synth.families.sd:load",
        "sdxl": "synth.families.sdxl:load",
        "sd3": "synth.families.sd3:load",
        "pixart": "synth.families.pixart:load",
        "sana": "synth.families.sana:load",
    },
)
_PIPELINES = {  # diffusers pipeline class -> family
    "StableDiffusionPipeline": "sd",
    "StableDiffusionXLPipeline": "sdxl",
    "StableDiffusion3Pipeline": "sd3",
    "PixArtSigmaPipeline": "pixart",
    "SanaPipeline": "sana",
}

__all__ = ["FAMILIES", "find_family", "load_family"]


def load_family(model: ModelSection, *, device: torch.device, dtype: torch.dtype) -> Family:
    """Load the base model that a configuration names.

    Args:
        model: weights, family, adapter and attention kernel.
        device: where every component goes.
        dtype: of the denoiser; encoders and the autoencoder are always float32. Train in float32
            and let autocast choose.

    Raises:
        UsageError: the family is unknown.
        SynthError: the weights are missing or not of this family.
        Unavailable: the attention kernel does not work here.
    """
    name = find_family(model)
    family: Family = FAMILIES.get(name)(model, device=device, dtype=dtype)
    return family


def find_family(model: ModelSection) -> str:
    """The family of the pipeline's class, which must be the one asked for, if any was.

    Raises:
        UsageError: another one was asked for, or one that does not exist.
        SynthError: the weights are missing, or no family knows the class.
    """
    if model.family != "auto":
        FAMILIES.get(model.family)
    from synth.families.weights import INDEX, resolve_weights

    path = resolve_weights(model.weights) / INDEX
    try:
        kind = str(json.loads(path.read_text("utf-8")).get("_class_name"))
    except (ValueError, AttributeError):
        raise SynthError("not the index of a diffusers pipeline", where=path) from None
    found = _PIPELINES.get(kind)
    if found is None:
        raise SynthError(
            "no family for this pipeline", where=path, got=kind, expected=", ".join(_PIPELINES)
        )
    if model.family not in ("auto", found):
        raise UsageError(
            "the weights are of another family",
            where="model.family",
            got=f"{model.family} for a {kind}",
            expected=f"{found}, or auto",
        )
    return found
