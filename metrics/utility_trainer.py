"""The embedded small network as a ``Trainer``, and which trainer a name means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metrics.arrays import Floats
from metrics.intervals import auroc
from metrics.utility_arms import Fitted, Trainer
from synth.errors import SynthError
from synth.extractors.base import grey_input
from synth.extractors.classifier import Classifier, FindingNet, fit_classifier

BUILTIN = "builtin"
_SLICE = 256  # validation images a forward pass


@dataclass(frozen=True)
class EmbeddedTrainer:
    """The network of ``synth.extractors.classifier``.

    It balances rare findings, and shifts, zooms and varies contrast while training, in every arm
    alike. It never mirrors.

    Attributes:
        image_size: side of its input in pixels.
        device: a torch device name.
    """

    image_size: int
    device: str = "cpu"

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
        """As ``Trainer``."""
        if start is not None and not isinstance(start, Classifier):
            raise SynthError("not a classifier of this trainer", where="start", got=type(start))
        return fit_classifier(
            images_u8,
            labels,
            findings=findings,
            steps=steps,
            batch=batch,
            seed=seed,
            image_size=self.image_size,
            device=self.device,
            learning_rate=learning_rate,
            start=start,
            judged=None if validation is None else self._judge(*validation),
        )

    def _judge(self, image_u8: Tensor, labels: Floats) -> Callable[[FindingNet], float]:
        parts = [grey_input(part, self.image_size) for part in image_u8.split(_SLICE)]
        grey = [part.to(self.device) for part in parts]

        def judged(network: FindingNet) -> float:
            logits = torch.cat([network(part).cpu() for part in grey]).numpy()
            return validation_auroc(logits, labels)

        return judged


def open_trainer(network: str, *, image_size: int, device: str) -> Trainer:
    """The embedded network, or a transformers image model from a folder.

    Raises:
        SynthError: the folder holds no image model.
    """
    if network == BUILTIN:
        return EmbeddedTrainer(image_size, device)
    from metrics.utility_networks import open_trainer as open_network  # loads transformers

    return open_network(network, torch.device(device))


def validation_auroc(scores: NDArray[np.floating], labels: Floats) -> float:
    """Mean AUROC over the findings that are seen present and absent; 0.5 where none is."""
    areas = []
    for column in judged_columns(labels):
        known = np.isfinite(labels[:, column])
        areas.append(auroc(labels[known, column], scores[known, column]))
    return float(np.mean(areas)) if areas else 0.5


def judged_columns(labels: Floats) -> list[int]:
    """Columns that hold both values."""
    return [
        column
        for column in range(labels.shape[1])
        if (labels[:, column] == 1).any() and (labels[:, column] == 0).any()
    ]
