"""A transformers image model as a ``Trainer``: all its weights are tuned, with a new output layer.

The folder says how its images are scaled, as for extractors (``synth.extractors.hf_vision``).
Images are padded, never squashed, and jittered as those of the embedded network are, never flipped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from metrics.arrays import Floats
from metrics.utility_arms import Fitted
from metrics.utility_loop import optimise
from metrics.utility_trainer import validation_auroc
from synth.errors import SynthError
from synth.extractors.hf_vision import load
from synth.extractors.jitter import jitter
from synth.extractors.preprocess import Preprocess
from synth.seeding import numpy_rng, seed_from, torch_generator

LEARNING_RATE = 1e-4  # of the peak, where none is given: weights are tuned, not learnt anew
_SLICE = 32  # images a forward pass


@dataclass(frozen=True)
class TunedNetwork:
    """A tuned model.

    Attributes:
        model: in evaluation mode; its logits are one a finding.
        preprocess: the folder's own.
        device: where it computes.
    """

    model: nn.Module
    preprocess: Preprocess
    device: torch.device

    def probabilities(self, image_u8: Tensor) -> NDArray[np.float32]:
        """As ``Fitted``."""
        units = [self.preprocess.fit_u8(part) for part in image_u8.split(_SLICE)]
        return np.asarray(torch.sigmoid(self.logits(units)).numpy(), dtype=np.float32)

    @torch.no_grad()
    def logits(self, units: Sequence[Tensor]) -> Tensor:
        """Float32 [n, 1, S, S] in [0, 1], some a part -> float32 [N, findings] on the CPU."""
        parts = [self.preprocess.network_input(part).to(self.device) for part in units]
        return torch.cat([_logits(self.model, part).float().cpu() for part in parts])


@dataclass(frozen=True)
class NetworkTrainer:
    """Tunes copies of the model in a folder.

    Attributes:
        folder: of a transformers image model.
        preprocess: its own.
        device: where it trains.
    """

    folder: str
    preprocess: Preprocess
    device: torch.device

    def fit(
        self,
        images_u8: Tensor,
        labels: Floats,
        *,
        validation: tuple[Tensor, Floats] | None,
        findings: Sequence[str],
        steps: int,
        batch: int,
        learning_rate: float | None,
        seed: int,
        start: object | None = None,
    ) -> Fitted:
        """As ``Trainer``.

        Raises:
            SynthError: ``start`` is of another trainer, or the folder lacks weights.
        """
        if start is not None and not isinstance(start, TunedNetwork):
            raise SynthError("not a network of this trainer", where="start", got=type(start))
        with _seeded(self.device, "metrics", "utility-network", seed):
            model = _classifier(self.folder, len(findings)).to(self.device)
            if start is not None:
                model.load_state_dict(start.model.state_dict())
            units = torch.cat([self.preprocess.fit_u8(part) for part in images_u8.split(_SLICE)])
            order = _order(len(units), batch=batch, seed=seed)
            truth = torch.from_numpy(np.nan_to_num(labels)).float()
            known = torch.from_numpy(np.isfinite(labels)).float()

            def loss_at(step: int) -> Tensor:
                rows = torch.from_numpy(next(order))
                change = jitter(batch, torch_generator("metrics", "utility-jitter", seed, step))
                moved = change.image(units[rows] * 2 - 1).clamp(-1, 1) / 2 + 0.5
                logits = _logits(model, self.preprocess.network_input(moved).to(self.device))
                counted = known[rows].to(self.device)
                total = F.binary_cross_entropy_with_logits(
                    logits, truth[rows].to(self.device), weight=counted, reduction="sum"
                )
                return total / counted.sum().clamp(min=1)

            optimise(
                model,
                loss_at,
                steps=steps,
                learning_rate=learning_rate or LEARNING_RATE,
                judged=None if validation is None else self._judge(*validation),
            )
        return TunedNetwork(model, self.preprocess, self.device)

    def _judge(self, image_u8: Tensor, labels: Floats) -> Callable[[nn.Module], float]:
        units = [self.preprocess.fit_u8(part) for part in image_u8.split(_SLICE)]

        def judged(model: nn.Module) -> float:
            shown = TunedNetwork(model, self.preprocess, self.device).logits(units)
            return validation_auroc(shown.numpy(), labels)

        return judged


def open_trainer(network: str, device: torch.device) -> NetworkTrainer:
    """The model in a folder.

    Raises:
        SynthError: the folder holds no image model, or weights are missing from it.
    """
    return NetworkTrainer(network, load(network).preprocess, device)


def _classifier(folder: str, findings: int) -> Any:
    """The model with a new output layer, drawn from torch's seeded state."""
    from transformers import AutoModelForImageClassification

    try:
        with _without_load_report():
            model, info = AutoModelForImageClassification.from_pretrained(
                folder,
                num_labels=findings,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                trust_remote_code=False,
                dtype=torch.float32,
            )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SynthError(
            "not a network that classifies images",
            where=folder,
            got=first,
            fix="Give the folder of a ResNet, ConvNeXt, ViT, Swin or the like, or `builtin`.",
        ) from None
    lacking = sorted(key for key in info["missing_keys"] if "classifier" not in key)
    if lacking:
        raise SynthError(
            "weights are missing from the network",
            where=folder,
            got=f"{len(lacking)} missing, first {lacking[0]}",
        )
    return model


@contextmanager
def _without_load_report() -> Iterator[None]:
    """The new output layer is meant to be new: no table of it for every network."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _logits(model: nn.Module, pixels: Tensor) -> Tensor:
    logits: Tensor = model(pixel_values=pixels).logits
    return logits


def _order(count: int, *, batch: int, seed: int) -> Iterator[NDArray[np.intp]]:
    """Endless batches: every image once before any again."""
    rng = numpy_rng("metrics", "utility-network", "order", seed)
    waiting = np.empty(0, dtype=np.intp)
    while True:
        while len(waiting) < batch:
            waiting = np.concatenate([waiting, rng.permutation(count)])
        yield waiting[:batch]
        waiting = waiting[batch:]


@contextmanager
def _seeded(device: torch.device, *parts: int | str) -> Iterator[None]:
    """Seed what draws new layers and dropout, and leave torch's own state as it was."""
    gpus = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=gpus):
        torch.manual_seed(seed_from(*parts))
        yield
