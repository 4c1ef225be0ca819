"""A small image-text model, trained by contrast, a function of data and seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from metrics.arrays import Floats
from metrics.retrieval_ranks import Gallery, gallery_of, reciprocal
from metrics.utility_loop import optimise
from metrics.utility_pairs import Pairs, Vocabulary
from synth.extractors.base import grey_input
from synth.extractors.classifier import FindingNet
from synth.extractors.jitter import jitter
from synth.extractors.seeded import seeded
from synth.seeding import numpy_rng, torch_generator

_DIM = 64  # of the space that both share
_SLICE = 128  # images a forward pass
_TEMPERATURE = 0.07  # at the start (Radford et al. 2021)
_SHARPEST = math.log(100.0)  # of the logits' scale, as there


class PairNet(nn.Module):
    """The convolutions of the embedded classifier, and a bag of words and of pairs of words."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.image = FindingNet(_DIM)
        self.words = nn.Embedding(words + 1, _DIM)  # 0 is no word
        self.text = nn.Sequential(nn.Linear(_DIM, _DIM), nn.ReLU(), nn.Linear(_DIM, _DIM))
        self.log_scale = nn.Parameter(torch.empty(()))

    def of_images(self, grey: Tensor) -> Tensor:
        """float32 [N, 1, S, S] in [-1, 1] -> unit vectors float32 [N, 64]."""
        return F.normalize(self.image(grey), dim=1)

    def of_texts(self, numbers: Tensor) -> Tensor:
        """int64 [N, L], 0 is no word -> unit vectors float32 [N, 64]."""
        known = (numbers > 0).float()[..., None]
        mean = (self.words(numbers) * known).sum(dim=1) / known.sum(dim=1).clamp(min=1)
        return F.normalize(self.text(mean), dim=1)

    @property
    def scale(self) -> Tensor:
        """What similarities are multiplied by in the loss."""
        return self.log_scale.clamp(max=_SHARPEST).exp()


@dataclass(frozen=True)
class Retriever:
    """A fitted model.

    Attributes:
        network: in evaluation mode.
        vocabulary: of the reports it was trained on.
        image_size: side of the network's input in pixels.
    """

    network: PairNet
    vocabulary: Vocabulary
    image_size: int

    def similarity(self, image_u8: Tensor, gallery: Gallery) -> Floats:
        """Cosine of each image and distinct report: float64 [N, M]."""
        device = self.network.log_scale.device
        grey = [grey_input(part, self.image_size) for part in image_u8.split(_SLICE)]
        return _similarity(self.network, grey, self.vocabulary.encode(gallery.texts), device)


@torch.no_grad()
def _similarity(
    network: PairNet, grey: list[Tensor], numbers: Tensor, device: torch.device
) -> Floats:
    shown = torch.cat([network.of_images(part.to(device)).cpu() for part in grey])
    read = network.of_texts(numbers.to(device)).cpu()
    return np.asarray((shown.double() @ read.double().T).numpy(), dtype=np.float64)


def fit_retriever(
    data: Pairs,
    *,
    vocabulary: Vocabulary,
    steps: int,
    batch: int,
    learning_rate: float,
    image_size: int,
    seed: int,
    device: str = "cpu",
    validation: Pairs | None = None,
    start: Retriever | None = None,
) -> Retriever:
    """Fit by contrast within batches; images are shifted, zoomed and varied, never flipped.

    Args:
        data: images and reports.
        vocabulary: the words the text side knows, of training reports alone.
        steps: optimiser updates.
        batch: pairs an update.
        learning_rate: of the peak.
        image_size: side of the network's input in pixels.
        seed: of initial weights, order and augmentation.
        device: a torch device name.
        validation: the weights with the highest mean reciprocal rank on it, among several looks,
            are kept; None keeps the last.
        start: a model of the same vocabulary to go on from.
    """
    network = _network(len(vocabulary), seed)
    if start is not None:
        network.load_state_dict(start.network.state_dict())
    network = network.to(device)
    grey = torch.cat([grey_input(part, image_size) for part in data.images.split(_SLICE)])
    numbers = vocabulary.encode(data.texts)
    text = torch.from_numpy(gallery_of(data.texts).of_image)
    order = _order(len(data), batch=batch, seed=seed)

    def loss_at(step: int) -> Tensor:
        rows = torch.from_numpy(next(order))
        change = jitter(batch, torch_generator("metrics", "retrieval", "augment", seed, step))
        shown = network.of_images(change.image(grey[rows]).to(device))
        read = network.of_texts(numbers[rows].to(device))
        same = text[rows][:, None] == text[rows][None]
        return info_nce(network.scale * shown @ read.T, same.to(device))

    judged = None if validation is None else _judge(validation, vocabulary, image_size)
    optimise(network, loss_at, steps=steps, learning_rate=learning_rate, judged=judged)
    return Retriever(network, vocabulary, image_size)


def info_nce(logits: Tensor, same: Tensor) -> Tensor:
    """Symmetric InfoNCE (Radford et al. 2021, figure 3), duplicates of a text left out.

    Args:
        logits: float32 [B, B], scaled similarities, images by texts; the diagonal is right.
        same: bool [B, B], where two pairs have one text: they are no negatives of each other.
    """
    twins = same & ~torch.eye(len(same), dtype=torch.bool, device=same.device)
    logits = logits.masked_fill(twins, -torch.inf)
    right = torch.arange(len(logits), device=logits.device)
    return 0.5 * (F.cross_entropy(logits, right) + F.cross_entropy(logits.T, right))


def _network(words: int, seed: int) -> PairNet:
    generator = torch_generator("metrics", "retrieval", "weights", seed)
    network = seeded(lambda: PairNet(words), generator)
    with torch.no_grad():
        network.log_scale.fill_(-math.log(_TEMPERATURE))
    return network


def _judge(
    validation: Pairs, vocabulary: Vocabulary, image_size: int
) -> Callable[[PairNet], float]:
    gallery = gallery_of(validation.texts)
    grey = [grey_input(part, image_size) for part in validation.images.split(_SLICE)]
    numbers = vocabulary.encode(gallery.texts)

    def judged(network: PairNet) -> float:
        found = _similarity(network, grey, numbers, network.log_scale.device)
        return reciprocal(found, gallery)

    return judged


def _order(count: int, *, batch: int, seed: int) -> Iterator[NDArray[np.intp]]:
    """Endless batches: every pair once before any again."""
    rng = numpy_rng("metrics", "retrieval", "order", seed)
    waiting = np.empty(0, dtype=np.intp)
    while True:
        while len(waiting) < batch:
            waiting = np.concatenate([waiting, rng.permutation(count)])
        yield waiting[:batch]
        waiting = waiting[batch:]
