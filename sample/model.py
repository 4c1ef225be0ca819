"""The trained model of a run, loaded to sample from."""

from __future__ import annotations

import torch

from synth.config.schema import Config, ModelSection
from synth.errors import SynthError
from synth.families import load_family
from synth.families.base import Family
from synth.families.device import select_device, select_precision

_DTYPES: dict[str, torch.dtype] = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}


def sampling_model(config: Config) -> ModelSection:
    """The model with ``sample.weights``, or with what the run has trained.

    Raises:
        SynthError: the run is not trained.
    """
    trained = config.run.out / "weights"
    if config.sample.weights is None and not trained.is_dir():
        raise SynthError(
            "the run has no trained weights",
            where=trained,
            fix="Run `synth train` first, or give sample.weights, such as builtin:tiny.",
        )
    return config.model.model_copy(
        update={
            "weights": config.sample.weights or str(trained),
            "adapter": "full",  # exported weights have a trained adapter merged in
            "gradient_checkpointing": False,
        }
    )


def open_model(config: Config, family: Family | None = None) -> tuple[Family, str]:
    """The model on its device, and the precision it runs in.

    Args:
        config: ``run.out``, ``model`` and ``sample`` are used.
        family: a model to use instead of loading one.

    Raises:
        SynthError: the run has no weights, or they are damaged.
        Unavailable: the device or attention kernel asked for is not there.
    """
    model = config.model if family else sampling_model(config)
    device = select_device(config.sample.device)
    precision = select_precision(config.sample.precision, device)
    return family or load_family(model, device=device, dtype=_DTYPES[precision]), precision
