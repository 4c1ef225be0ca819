"""Is an extractor fit to be believed? Checked on the user's own images before any number is made.

Features must not depend on what else is in the batch, must be finite and alive, and the distance
from the images to damaged copies of them must grow with the damage: blur, noise, lost contrast. An
extractor that does not see blur cannot rank generators that differ in sharpness.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from metrics.extract import features_of
from metrics.frechet import frechet_distance
from metrics.ingest import ImageSet, native_size, open_images, take
from synth.data.images_in import DECLARED_BY_FILES, Reading
from synth.errors import SynthError
from synth.extractors.base import Extractor, in_batches
from synth.extractors.network import NetworkExtractor
from synth.extractors.open import open_extractor
from synth.families.device import select_device
from synth.progress import Progress, Silent
from synth.seeding import torch_generator

State = Literal["passes", "fails", "note"]
LEAST = 20  # images
SEVERITIES = 5  # 0 to 4
_SAME = 1e-3  # relative difference of features by batch size that is still rounding
_DEAD = 0.5  # share of constant features from which on an extractor is suspect


@dataclass(frozen=True)
class Finding:
    """One check.

    Attributes:
        check: its name.
        state: whether it passes; ``note`` is not a verdict.
        found: what was measured.
    """

    check: str
    state: State
    found: str


def check_extractor(
    description: str,
    images: Path,
    *,
    reading: Reading = DECLARED_BY_FILES,
    most: int = 128,
    progress: Progress | None = None,
) -> list[Finding]:
    """Run every check.

    Args:
        description: of the extractor, as ``synth.extractors.open`` takes it.
        images: what it will be used on.
        reading: how files become grey levels.
        most: images at most, evenly spaced through the set.
        progress: told of the checks.

    Raises:
        SynthError: fewer than twenty images, or no such extractor.
    """
    progress = progress or Silent()
    extractor = open_extractor(description, device=select_device("auto").type)
    found = open_images(images, native_size(images), reading=reading)
    if len(found) < LEAST:
        raise SynthError("too few images for a check", where=images, got=len(found), expected=LEAST)
    rows = np.linspace(0, len(found) - 1, min(len(found), most)).round().astype(int)
    chosen = take(found, rows.tolist())
    progress.stage(f"checking {extractor.id}")
    return checked(extractor, chosen)


def checked(extractor: Extractor, images: ImageSet) -> list[Finding]:
    """The checks of an extractor on images in memory."""
    squares = images.image_u8
    features = in_batches(extractor, squares, batch=len(squares)).numpy().astype(np.float64)
    return [
        _range(images),
        _finite(features),
        _batches(extractor, squares, features),
        _depth(extractor, images, features),
        *(_grows(extractor, squares, features, name) for name in DAMAGES),
    ]


def _range(images: ImageSet) -> Finding:
    low, high = int(images.image_u8.min()), int(images.image_u8.max())
    used = len(images.image_u8.unique())
    text = f"grey levels {low} to {high}, {used} in use"
    narrow = high - low < 64
    hint = "; declare the level that is white with --white" if narrow else ""
    return Finding("range of the images", "fails" if narrow else "passes", text + hint)


def _finite(features: NDArray[np.float64]) -> Finding:
    if not np.isfinite(features).all():
        return Finding("features", "fails", "not finite")
    constant = float((features.std(axis=0) <= 1e-8).mean())
    text = f"{features.shape[1]} features, {constant:.0%} constant over these images"
    return Finding("features", "fails" if constant > _DEAD else "passes", text)


def _batches(extractor: Extractor, squares: Tensor, whole: NDArray[np.float64]) -> Finding:
    """The same image in batches of one, of seven and of all."""
    scale = max(float(np.abs(whole).max()), 1e-12)
    count = min(len(squares), 16)
    worst = max(
        float(
            np.abs(
                in_batches(extractor, squares[:count], batch=batch).numpy() - whole[:count]
            ).max()
        )
        for batch in (1, 7)
    )
    text = f"largest difference {worst / scale:.1e} of the largest feature"
    state: State = "passes" if worst <= _SAME * scale else "fails"
    return Finding("batch size does not matter", state, text)


def _depth(extractor: Extractor, images: ImageSet, squares: NDArray[np.float64]) -> Finding:
    """How much the 8-bit squares lose against the files, where the extractor reads files."""
    name = "reads files at their own depth"
    if not isinstance(extractor, NetworkExtractor) or not images.pictures:
        return Finding(name, "note", "no: 8-bit squares")
    few = take(images, range(min(len(images), 16)))
    files = features_of(extractor, few).values
    gap = np.abs(files - squares[: len(few)]).max() / max(np.abs(files).max(), 1e-12)
    return Finding(name, "note", f"yes; 8-bit squares would differ by {gap:.1e}")


def _grows(extractor: Extractor, squares: Tensor, clean: NDArray[np.float64], name: str) -> Finding:
    """Fréchet distance to the same images, damaged more and more."""
    distances = []
    for severity in range(1, SEVERITIES):
        damaged = DAMAGES[name](squares, severity)
        features = in_batches(extractor, damaged).numpy().astype(np.float64)
        distances.append(frechet_distance(real=clean, synthetic=features))
    rises = all(np.diff([0.0, *distances]) > 0)
    text = "distance " + ", ".join(f"{value:.3g}" for value in distances)
    return Finding(f"sees {name}", "passes" if rises else "fails", text)


def _blurred(squares: Tensor, severity: int) -> Tensor:
    """A Gaussian of ``severity`` / 128 of the side."""
    sigma = severity * squares.shape[-1] / 128.0
    reach = min(max(round(3 * sigma), 1), squares.shape[-1] - 1)
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = kernel / kernel.sum()
    padded = F.pad(squares.float(), (reach,) * 4, mode="reflect")
    rows = F.conv2d(padded, kernel.reshape(1, 1, 1, -1))
    return _bytes(F.conv2d(rows, kernel.reshape(1, 1, -1, 1)))


def _noisy(squares: Tensor, severity: int) -> Tensor:
    noise = torch.randn(squares.shape, generator=torch_generator("extractor-check", "noise"))
    return _bytes(squares.float() + 8.0 * severity * noise)


def _flattened(squares: Tensor, severity: int) -> Tensor:
    """Contrast about each image's mean, down to a third."""
    mean = squares.float().mean(dim=(1, 2, 3), keepdim=True)
    return _bytes(mean + (squares.float() - mean) * (1.0 - severity / 6.0))


def _bytes(values: Tensor) -> Tensor:
    return values.round().clamp(0, 255).to(torch.uint8)


DAMAGES: Mapping[str, Callable[[Tensor, int], Tensor]] = {
    "blur": _blurred,
    "noise": _noisy,
    "lost contrast": _flattened,
}
