"""Base models by name. Names stand for code lazily: importing this loads no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synth.registry import Registry

if TYPE_CHECKING:
    import torch

    from synth.config.schema import ModelSection
    from synth.families.base import Family

FAMILIES = Registry("model family", {"sd": "synth.families.sd:load"})

__all__ = ["FAMILIES", "load_family"]


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
    family: Family = FAMILIES.get(model.family)(model, device=device, dtype=dtype)
    return family
