"""Exponential moving average of the trainable parameters, by name, over images seen.

The half-life is a fraction of the training so far (Karras et al. 2024, section 3.1, motivate a
profile that grows with training time), so a short fine-tune forgets its start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from synth.config.schema import EmaSection
from synth.errors import SynthError
from train.optim import Named


def effective_decay(images_seen: int, batch: int, settings: EmaSection) -> float:
    """Weight kept of the average at a step: 0.5^(batch / half-life), at most ``settings.decay``.

    Args:
        images_seen: after the step.
        batch: images in the step.
        settings: half-life as a fraction of ``images_seen``, and the upper bound.
    """
    return float(min(settings.decay, 0.5 ** (batch / (settings.half_life * images_seen))))


def flatten(ema: Ema, profiles: Mapping[float, Ema]) -> dict[str, Tensor]:
    """All averages in one mapping; those of a profile are named ``<width>@<parameter>``."""
    named = {f"{w:g}@{n}": t for w, average in profiles.items() for n, t in average.tensors.items()}
    return {**ema.tensors, **named}


def unflatten(
    tensors: Mapping[str, Tensor], widths: Sequence[float]
) -> tuple[dict[str, Tensor], dict[float, dict[str, Tensor]]]:
    """What ``flatten`` joined: the average and the profiles of these widths."""
    average = {name: tensor for name, tensor in tensors.items() if "@" not in name}
    split = [(*name.partition("@"), tensor) for name, tensor in tensors.items() if "@" in name]
    profiles = {
        width: {name: tensor for key, _, name, tensor in split if key == f"{width:g}"}
        for width in widths
    }
    return average, profiles


class Ema:
    """The averages, float32, on the parameters' device.

    Args:
        trainable: named parameters; the average begins as a copy of them.
    """

    def __init__(self, trainable: Named) -> None:
        self._trainable = trainable
        self.tensors: dict[str, Tensor] = {n: p.detach().clone() for n, p in trainable}

    @torch.no_grad()
    def update(self, decay: float) -> None:
        """Average ← decay·average + (1 − decay)·parameter."""
        averages = list(self.tensors.values())
        torch._foreach_lerp_(averages, [p.detach() for _, p in self._trainable], 1.0 - decay)

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Within the block the model has the averages as its parameters."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Replace the averages.

        Raises:
            SynthError: the names differ from the trainable parameters'.
        """
        if tensors.keys() != self.tensors.keys():
            raise SynthError("the averaged weights are of another model")
        for name, tensor in tensors.items():
            self.tensors[name].copy_(tensor)

    @torch.no_grad()
    def _swap(self) -> None:
        for name, parameter in self._trainable:
            average = self.tensors[name]
            held = parameter.detach().clone()
            parameter.copy_(average)
            average.copy_(held)
