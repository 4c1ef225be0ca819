"""The parts of a diffusers pipeline folder, one by one: load, check, freeze, merge for export.

A pipeline object is not needed to train or sample, and components that do not fit together are
refused here, before an hour is lost: a text encoder of another width is never silently replaced.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers.utils import logging as diffusers_log
from torch import nn
from transformers.utils import logging as transformers_log

from synth.config.schema import ModelSection
from synth.diffusion.process import Prediction, Process
from synth.errors import SynthError, UsageError
from synth.families.weights import INDEX

_PREDICTIONS: dict[str, Prediction] = {
    "epsilon": "epsilon",
    "v_prediction": "v_prediction",
    "sample": "sample",
}


def load_part(kind: Any, folder: Path, part: str, **options: Any) -> Any:
    """One component with ``from_pretrained``; networks from safetensors alone, never a pickle.

    Args:
        kind: a diffusers or transformers class.
        folder: the pipeline.
        part: its sub-folder.
        options: for ``from_pretrained``, such as a dtype.

    Raises:
        SynthError: it is missing, damaged or of another kind.
    """
    if issubclass(kind, nn.Module):
        options["use_safetensors"] = True
    try:
        with quiet():
            return kind.from_pretrained(folder, subfolder=part, local_files_only=True, **options)
    except (OSError, ValueError, RuntimeError, TypeError, KeyError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SynthError(
            f"cannot load the {part} of the pipeline",
            where=folder / part,
            got=reason,
            expected=f"a {kind.__name__}",
        ) from None


def index_value(folder: Path, key: str, *, default: Any) -> Any:
    """A setting of the pipeline itself, from its index file."""
    return json.loads((folder / INDEX).read_text("utf-8")).get(key, default)


def freeze(*parts: nn.Module) -> None:
    """Evaluation mode and no gradients: dropout would draw from hidden state."""
    for part in parts:
        part.eval().requires_grad_(False)


def check_width(part: str, got: int, expected: int, folder: Path) -> None:
    """Refuse an encoder whose output the denoiser was not made for.

    Raises:
        SynthError: the widths differ.
    """
    if got != expected:
        raise SynthError(
            f"the {part} does not fit the denoiser",
            where=folder / part,
            got=f"vectors of {got}",
            expected=f"vectors of {expected}, the width the denoiser was trained with",
            fix="Use the encoder the base model came with, or train a base with the new one.",
        )


def refuse_text_training(model: ModelSection, reason: str) -> None:
    """Say why a family does not train its text encoders.

    Raises:
        UsageError: the configuration asks for it.
    """
    if model.train_text_encoder:
        raise UsageError(
            "this family's text encoders do not train",
            where="model.train_text_encoder",
            got="true",
            expected=f"false: {reason}",
        )


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the libraries' progress bars out of the output while loading and saving."""
    on = [log for log in (diffusers_log, transformers_log) if log.is_progress_bar_enabled()]
    for log in on:
        log.disable_progress_bar()
    try:
        yield
    finally:
        for log in on:
            log.enable_progress_bar()


def load_scheduler(folder: Path, model: ModelSection) -> Any:
    """The pipeline's scheduler, with another prediction type or terminal SNR where asked for.

    What is trained under it is exported with it, so the stock pipeline samples as we do.

    Raises:
        UsageError: the base is a rectified flow, which has neither.
    """
    config = diffusers.DDPMScheduler.load_config(folder, subfolder="scheduler")
    kind = getattr(diffusers, str(config.get("_class_name", "")), diffusers.DDIMScheduler)
    scheduler = load_part(kind, folder, "scheduler")
    changed: dict[str, Any] = {}
    if model.prediction is not None:
        changed["prediction_type"] = model.prediction
    if model.zero_terminal_snr:
        # the noisiest time must be on the solver's grid (Lin et al. 2024, section 3.3)
        changed |= {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    if not changed:
        return scheduler
    if is_flow(scheduler):
        raise UsageError(
            "a rectified flow has no other prediction type and ends in pure noise already",
            where="model." + ("prediction" if model.prediction else "zero_terminal_snr"),
        )
    takes = inspect.signature(type(scheduler).__init__).parameters
    kind = type(scheduler) if changed.keys() <= takes.keys() else diffusers.DDIMScheduler
    return kind.from_config(dict(scheduler.config), **changed)


def is_flow(scheduler: Any) -> bool:
    """Whether a scheduler describes a rectified flow."""
    config = scheduler.config
    return (
        type(scheduler).__name__.startswith("FlowMatch")
        or config.get("prediction_type") == "flow_prediction"
        or bool(config.get("use_flow_sigmas", False))
    )


def process_of(scheduler: Any) -> Process:
    """The process a scheduler describes; ᾱ comes from diffusers itself.

    Raises:
        SynthError: the prediction type is unknown.
        UsageError: it cannot be inverted on this schedule.
    """
    if is_flow(scheduler):
        return Process("flow")
    config = scheduler.config
    prediction = str(config.get("prediction_type", "epsilon"))
    if prediction not in _PREDICTIONS:
        raise SynthError(
            "unknown prediction type in the scheduler's configuration",
            where="model.weights",
            got=prediction,
            expected=", ".join(_PREDICTIONS),
        )
    reference = diffusers.DDPMScheduler(
        num_train_timesteps=config.num_train_timesteps,
        beta_start=config.beta_start,
        beta_end=config.beta_end,
        beta_schedule=config.beta_schedule,
        trained_betas=config.get("trained_betas"),
        rescale_betas_zero_snr=bool(config.get("rescale_betas_zero_snr", False)),
    )
    return Process(_PREDICTIONS[prediction], reference.alphas_cumprod.double())


def device_of(module: nn.Module) -> torch.device:
    """Where a module is."""
    return next(module.parameters()).device


def side(sample_size: int | Sequence[int]) -> int:
    """A configured sample size, a number or a pair, as one number."""
    return sample_size if isinstance(sample_size, int) else sample_size[0]
