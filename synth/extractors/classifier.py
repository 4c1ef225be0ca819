"""A small convolutional judge of findings, fitted in seconds, a function of data and seed.

It scores label fidelity and downstream utility where no external classifier is given, and its
embedding is a feature extractor that knows the findings. Three choices matter for small data, each
measured on held-out phantoms: average *and* maximum pooling (a nodule is a few pixels, a heart is
half the image), a second input channel of local contrast, and batch normalization, which learns in
a third of the steps that group normalization takes. Images are never flipped: laterality is
information.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn import functional as F

from synth.errors import SynthError
from synth.extractors.base import grey_input, in_batches
from synth.extractors.best_look import BestLook
from synth.extractors.jitter import jitter
from synth.extractors.seeded import seeded
from synth.manifest import write_bytes
from synth.seeding import numpy_rng, torch_generator

WIDTHS = (16, 32, 64, 96)
EMBEDDING = 32
_LEARNING_RATE = 4e-3
_WEIGHT_DECAY = 1e-2
_KEY = "classifier"
_SLICE = 128  # images a forward pass
_LEAST_SCHEDULE = 8  # steps; a one-cycle schedule of four divides by zero


class FindingNet(nn.Module):
    """Four strided convolutions, average and maximum pooling, an embedding, one logit a finding."""

    def __init__(self, findings: int) -> None:
        super().__init__()
        widths = (2, *WIDTHS)  # grey and its local contrast
        kernels = (5, 3, 3, 3)
        self.stages = nn.ModuleList(
            nn.Conv2d(a, b, kernel, stride=2, padding=kernel // 2)
            for a, b, kernel in zip(widths, WIDTHS, kernels, strict=False)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in WIDTHS)
        self.mix = nn.Conv2d(WIDTHS[-1], WIDTHS[-1], 3, padding=1)
        self.mix_norm = nn.BatchNorm2d(WIDTHS[-1])
        self.embed = nn.Linear(2 * WIDTHS[-1], EMBEDDING)
        self.head = nn.Linear(EMBEDDING, findings)
        self.register_buffer("centre", torch.zeros(EMBEDDING))
        self.register_buffer("spread", torch.ones(()))

    def features(self, grey: Tensor) -> Tensor:
        """float32 [N, 1, S, S] in [-1, 1] -> embedding float32 [N, 32]."""
        state = torch.cat([grey, local_contrast(grey)], dim=1)
        for convolve, norm in zip(self.stages, self.norms, strict=True):
            state = F.relu(norm(convolve(state)))
        state = state + F.relu(self.mix_norm(self.mix(state)))
        pooled = torch.cat([state.mean(dim=(2, 3)), state.amax(dim=(2, 3))], dim=1)
        embedded: Tensor = self.embed(pooled)
        return embedded

    def standard_features(self, grey: Tensor) -> Tensor:
        """The embedding in units of its own spread: distances then mean the same in every fit.

        One number scales all features, so that nearest neighbours stay what they are.
        """
        return (self.features(grey) - self.get_buffer("centre")) / self.get_buffer("spread")

    def forward(self, grey: Tensor) -> Tensor:
        """float32 [N, 1, S, S] in [-1, 1] -> logits float32 [N, findings]."""
        logits: Tensor = self.head(F.relu(self.features(grey)))
        return logits


@dataclass(frozen=True)
class Classifier:
    """A fitted judge; also an ``Extractor``: calling it gives the standardized embedding.

    Attributes:
        network: the fitted network, in evaluation mode.
        findings: what each probability is of, in order.
        image_size: side of the network's input in pixels.
        weights_sha256: hash of the weights as safetensors.
    """

    network: FindingNet
    findings: tuple[str, ...]
    image_size: int
    weights_sha256: str

    name = "classifier"
    dim = EMBEDDING

    @property
    def id(self) -> str:
        """``classifier-<hash>@80``."""
        return f"classifier-{self.weights_sha256[:12]}@{self.image_size}"

    @property
    def preprocessing(self) -> str:
        """Antialiased bilinear resize and range."""
        return f"mean of channels, antialiased bilinear to {self.image_size} px, [-1, 1]"

    @torch.no_grad()
    def __call__(self, image_u8: Tensor) -> Tensor:
        """uint8 [N, C, H, W] in 0..255 -> float32 [N, 32], unit mean variance while fitting."""
        return self.network.standard_features(self._grey(image_u8))

    def features(self, image_u8: Tensor) -> NDArray[np.float32]:
        """uint8 [N, C, H, W] -> embedding float32 [N, 32], in batches."""
        return np.asarray(in_batches(self, image_u8).numpy(), dtype=np.float32)

    @torch.no_grad()
    def probabilities(self, image_u8: Tensor) -> NDArray[np.float32]:
        """uint8 [N, C, H, W] -> float32 [N, findings] in [0, 1], in the order of ``findings``.

        Good for ranking, not calibrated: rare findings are over-represented while fitting.
        """
        logits = torch.cat([self.network(self._grey(part)) for part in image_u8.split(_SLICE)])
        return np.asarray(torch.sigmoid(logits).cpu().numpy(), dtype=np.float32)

    def _grey(self, image_u8: Tensor) -> Tensor:
        device = next(self.network.parameters()).device
        return grey_input(image_u8.to(device), self.image_size)

    def save(self, path: Path) -> None:
        """Write safetensors with findings and image size as metadata."""
        write_bytes(path, _serialized(self.network, self.findings, self.image_size))


def load_classifier(path: Path) -> Classifier:
    """Read what ``Classifier.save`` wrote.

    Raises:
        SynthError: the file is missing or not such a classifier.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            facts = json.loads((file.metadata() or {})[_KEY])
        findings, size = tuple(map(str, facts["findings"])), int(facts["image_size"])
        network = _build(len(findings), 0)
        network.load_state_dict(load_file(path))
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise SynthError("not a saved classifier", where=path, got=error) from None
    return _fitted(network, findings, size)


def fit_classifier(
    image_u8: Tensor,
    labels: NDArray[np.floating],
    *,
    findings: Sequence[str],
    steps: int = 1000,
    batch: int = 32,
    seed: int = 0,
    image_size: int = 80,
    device: str = "cpu",
    learning_rate: float | None = None,
    start: Classifier | None = None,
    judged: Callable[[FindingNet], float] | None = None,
) -> Classifier:
    """Fit a judge by masked binary cross-entropy on batches in which rare findings are raised.

    Args:
        image_u8: uint8 [N, C, H, W].
        labels: [N, findings], 1 present and 0 absent; anything else (-1, NaN) is left out of the
            loss.
        findings: the columns' names.
        steps: optimiser updates; one-cycle learning rate.
        batch: images an update.
        seed: initial weights, order and augmentation all follow from it.
        image_size: side of the network's input in pixels.
        device: a torch device name.
        learning_rate: of the peak; None: the one that suits this network.
        start: a classifier of the same findings to go on from, in place of initial weights.
        judged: scores the network, higher is better, several times on the way; the weights with
            the highest score are kept, the later ones of equals. None keeps the last.

    Raises:
        SynthError: shapes disagree, or no finding has both a positive and a negative image.
    """
    truth, known = _targets(image_u8, labels, findings)
    images = _resized(image_u8, image_size)
    network = _build(len(findings), seed).to(device)
    if start is not None:
        network.load_state_dict(start.network.state_dict())
    rate = learning_rate or _LEARNING_RATE
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=_WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=max(steps, _LEAST_SCHEDULE), pct_start=0.25
    )
    best = BestLook(judged, steps)
    order = _balanced_order(truth.numpy(), known.numpy(), batch=batch, seed=seed)
    network.train()
    for step in range(steps):
        rows = torch.from_numpy(next(order))
        grey = _augmented(images[rows], seed, step).to(device)
        loss = F.binary_cross_entropy_with_logits(
            network(grey), truth[rows].to(device), weight=known[rows].to(device), reduction="sum"
        ) / known[rows].sum().clamp(min=1).to(device)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        best.look(network, step + 1)
    best.restore(network)
    _standardize(network, images)
    return _fitted(network, tuple(findings), image_size)


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread: sums then have one order, whatever the machine's core count."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _targets(
    image_u8: Tensor, labels: NDArray[np.floating], findings: Sequence[str]
) -> tuple[Tensor, Tensor]:
    matrix = np.asarray(labels, dtype=np.float64)
    if matrix.shape != (len(image_u8), len(findings)):
        raise SynthError(
            "labels do not fit the images",
            where="fit_classifier",
            got=matrix.shape,
            expected=(len(image_u8), len(findings)),
        )
    positive, negative = matrix == 1, matrix == 0
    if not (positive.any(axis=0) & negative.any(axis=0)).any():
        raise SynthError(
            "no finding has both a positive and a negative training image",
            where="fit_classifier",
            fix="Give more labelled images.",
        )
    return torch.from_numpy(positive).float(), torch.from_numpy(positive | negative).float()


def _resized(image_u8: Tensor, size: int) -> Tensor:
    return torch.cat([grey_input(part, size) for part in image_u8.split(256)])


def _build(findings: int, seed: int) -> FindingNet:
    """Initial weights from the seed alone."""
    generator = torch_generator("classifier", "weights", seed)
    network = seeded(lambda: FindingNet(findings), generator)
    network.get_buffer("spread").fill_(1.0)
    return network


@torch.no_grad()
def _standardize(network: FindingNet, images: Tensor) -> None:
    """Set centre and spread so that the embeddings of the training images have unit variance."""
    network.eval()
    device = next(network.parameters()).device
    embedded = torch.cat([network.features(part.to(device)) for part in images.split(_SLICE)])
    network.get_buffer("centre").copy_(embedded.mean(dim=0))
    deviation = embedded - network.get_buffer("centre")
    network.get_buffer("spread").copy_(deviation.square().mean().sqrt().clamp_min(1e-6))


def _balanced_order(
    truth: NDArray[np.floating], known: NDArray[np.floating], *, batch: int, seed: int
) -> Iterator[NDArray[np.int64]]:
    """Endless batches: half drawn from all images, half finding by finding from its positives."""
    rng = numpy_rng("classifier", "order", seed)
    positives = [np.flatnonzero(column) for column in (truth * known).T]
    positives = [rows for rows in positives if len(rows)]
    while True:
        rows = rng.integers(0, len(truth), size=batch)
        for place in range(batch // 2):
            of_finding = positives[int(rng.integers(len(positives)))]
            rows[place] = of_finding[int(rng.integers(len(of_finding)))]
        yield rows


def _augmented(grey: Tensor, seed: int, step: int) -> Tensor:
    """Another small change of every image in every step."""
    generator = torch_generator("classifier", "augment", seed, step)
    return jitter(len(grey), generator).image(grey)


def local_contrast(grey: Tensor) -> Tensor:
    """What is left of [N, 1, S, S] after a 9-pixel mean: small things, whatever the exposure."""
    return 4.0 * (grey - F.avg_pool2d(grey, 9, stride=1, padding=4, count_include_pad=False))


def _fitted(network: FindingNet, findings: tuple[str, ...], size: int) -> Classifier:
    network.eval().requires_grad_(False)
    digest = hashlib.sha256(_serialized(network, findings, size)).hexdigest()
    return Classifier(network, findings, size, digest)


def _serialized(network: FindingNet, findings: tuple[str, ...], size: int) -> bytes:
    # One key only: safetensors writes several in an order that changes from call to call.
    facts = {_KEY: json.dumps({"findings": findings, "image_size": size})}
    tensors = {name: value.cpu().contiguous() for name, value in network.state_dict().items()}
    content: bytes = save(tensors, metadata=facts)
    return content
