"""A small U-Net (Ronneberger et al. 2015) that fits in seconds, a function of data and seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from metrics.masks import Masked
from metrics.utility_loop import optimise
from synth.errors import SynthError
from synth.extractors.base import grey_input
from synth.extractors.classifier import local_contrast
from synth.extractors.jitter import jitter
from synth.extractors.seeded import seeded
from synth.seeding import numpy_rng, torch_generator

_WIDTHS = (12, 24, 48, 64)  # channels at full, half, quarter and eighth size
_SLICE = 64  # images a forward pass
_SMOOTH = 1.0  # pixels, in the Dice loss: a batch without any inside has a gradient too


class UNet(nn.Module):
    """Three strided steps down, three up, with what each scale saw beside what comes from below."""

    def __init__(self) -> None:
        super().__init__()
        steps = list(pairwise(_WIDTHS))
        self.enter = _block(2, _WIDTHS[0], kernel=5)  # grey and its local contrast
        self.down = nn.ModuleList(_block(fine, coarse, stride=2) for fine, coarse in steps)
        self.deepest = _block(_WIDTHS[-1], _WIDTHS[-1])
        self.up = nn.ModuleList(_block(coarse + fine, fine) for fine, coarse in reversed(steps))
        self.head = nn.Conv2d(_WIDTHS[0], 1, 1)

    def forward(self, grey: Tensor) -> Tensor:
        """float32 [N, 1, S, S] in [-1, 1] -> logits float32 [N, 1, S, S], any S."""
        seen = [self.enter(torch.cat([grey, local_contrast(grey)], dim=1))]
        for step in self.down:
            seen.append(step(seen[-1]))
        state = self.deepest(seen.pop())
        for step in self.up:
            beside = seen.pop()
            state = F.interpolate(state, size=beside.shape[-2:], mode="nearest")
            state = step(torch.cat([state, beside], dim=1))
        logits: Tensor = self.head(state)
        return logits


def _block(inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


@dataclass(frozen=True)
class Segmenter:
    """A fitted network.

    Attributes:
        network: in evaluation mode.
        image_size: side of its input in pixels.
    """

    network: UNet
    image_size: int

    @torch.no_grad()
    def masks(self, image_u8: Tensor) -> Tensor:
        """uint8 [N, 1, S, S] -> bool [N, 1, S, S]: where it holds inside for the likelier."""
        device = next(self.network.parameters()).device
        parts = []
        for part in image_u8.split(_SLICE):
            logits = self.network(grey_input(part, self.image_size).to(device)).cpu()
            if logits.shape[-2:] != part.shape[-2:]:
                size = list(part.shape[-2:])
                logits = F.interpolate(logits, size=size, mode="bilinear", align_corners=False)
            parts.append(logits > 0)
        return torch.cat(parts)


def fit_segmenter(
    data: Masked,
    *,
    steps: int,
    batch: int,
    learning_rate: float,
    image_size: int,
    seed: int,
    device: str = "cpu",
    validation: Masked | None = None,
    start: Segmenter | None = None,
) -> Segmenter:
    """Fit by the sum of soft Dice (Milletari et al. 2016, eq. 3) and binary cross-entropy.

    Half of a batch is drawn from all images, half from those with something inside, and all are
    shifted, zoomed and varied in contrast, in every arm alike.

    Args:
        data: images and masks.
        steps: optimiser updates.
        batch: images an update.
        learning_rate: of the peak.
        image_size: side of the network's input in pixels.
        seed: of initial weights, order and augmentation.
        device: a torch device name.
        validation: the weights with the highest mean Dice on its marked images, among several
            looks, are kept; None keeps the last.
        start: a fitted network to go on from.

    Raises:
        SynthError: no image has anything inside.
    """
    marked = np.flatnonzero(data.marked)
    if not len(marked):
        raise SynthError("every mask is empty: there is nothing to learn", where="fit_segmenter")
    network = seeded(UNet, torch_generator("metrics", "segmentation", "weights", seed))
    if start is not None:
        network.load_state_dict(start.network.state_dict())
    network = network.to(device)
    grey = torch.cat([grey_input(part, image_size) for part in data.images.split(_SLICE)])
    target = _shares(data.masks, image_size)
    order = _order(len(data), marked, batch=batch, seed=seed)

    def loss_at(step: int) -> Tensor:
        rows = torch.from_numpy(next(order))
        change = jitter(batch, torch_generator("metrics", "segmentation", "augment", seed, step))
        shown, wanted = change.image(grey[rows]), change.mask(target[rows])
        return dice_and_entropy(network(shown.to(device)), wanted.to(device))

    judged = None if validation is None else _judge(validation, image_size)
    optimise(network, loss_at, steps=steps, learning_rate=learning_rate, judged=judged)
    return Segmenter(network, image_size)


def dice_and_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """One minus the soft Dice of the batch, plus the mean binary cross-entropy.

    Args:
        logits: float32 [N, 1, S, S].
        target: float32 [N, 1, S, S] in [0, 1], the share of each pixel that is inside.
    """
    shown = torch.sigmoid(logits)
    both = 2.0 * (shown * target).sum() + _SMOOTH
    dice = both / (shown.square().sum() + target.square().sum() + _SMOOTH)
    return 1.0 - dice + F.binary_cross_entropy_with_logits(logits, target)


def _shares(masks: Tensor, size: int) -> Tensor:
    """Bool [N, 1, S, S] -> float32 [N, 1, size, size], the share of each pixel that is inside."""
    parts = []
    for part in masks.split(_SLICE):
        part = part.float()
        if part.shape[-1] != size:
            part = F.interpolate(
                part, size=(size, size), mode="bilinear", align_corners=False, antialias=True
            )
        parts.append(part.clamp(0, 1))
    return torch.cat(parts)


def _judge(validation: Masked, image_size: int) -> Callable[[UNet], float]:
    """Mean Dice over the validation images that have anything inside."""
    held = validation.rows(np.flatnonzero(validation.marked))
    truth = held.masks.flatten(1)

    def judged(network: UNet) -> float:
        shown = Segmenter(network, image_size).masks(held.images).flatten(1)
        both = (shown & truth).sum(dim=1)
        return float((2.0 * both / (shown.sum(dim=1) + truth.sum(dim=1))).mean())

    return judged


def _order(
    count: int, marked: NDArray[np.intp], *, batch: int, seed: int
) -> Iterator[NDArray[np.intp]]:
    """Endless batches: half drawn from all images, half from the marked ones."""
    rng = numpy_rng("metrics", "segmentation", "order", seed)
    while True:
        rows = rng.integers(0, count, size=batch)
        rows[: batch // 2] = marked[rng.integers(0, len(marked), size=batch // 2)]
        yield rows
