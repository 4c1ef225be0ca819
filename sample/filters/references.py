"""What of the real images the filters need: small copies, features and correlations, read once.

Images are read in slices, so that memory holds a few kilobytes of each and not the images.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file
from safetensors.torch import save
from torch import Tensor

from synth.errors import SynthError
from synth.extractors.base import Extractor, grey_input, in_batches
from synth.images import load_images_u8
from synth.manifest import Dataset, Row, write_bytes

Rows = NDArray[np.float32]
_SLICE = 64  # images read at a time
_PIXELS = 32  # side at which pixels are compared


@dataclass(frozen=True)
class Gallery:
    """The training images as points to measure distances to.

    Attributes:
        ids: sample ids.
        features: float32 [n, d], in units of ``spread``.
        pixels: float32 [n, 1024], each of mean 0 and length 1.
        spread: float32 [d], standard deviation of each feature over the training images.
        extractor: of the features.
    """

    ids: tuple[str, ...]
    features: Rows
    pixels: Rows
    spread: Rows
    extractor: Extractor

    def feature_distances(self, image_u8: Tensor) -> Rows:
        """[n] distances of uint8 [1, 1, H, W], in standard deviations a feature."""
        own = in_batches(self.extractor, image_u8).numpy()[0] / self.spread
        distances: Rows = np.sqrt(((self.features - own) ** 2).mean(axis=1))
        return distances

    def pixel_distances(self, image_u8: Tensor) -> Rows:
        """[n] 1 - correlation of uint8 [1, 1, H, W]: 0 is a copy, 1 unrelated."""
        own = standard_pixels(image_u8)[0]
        distances: Rows = 1.0 - self.pixels @ own
        return np.clip(distances, 0.0, 2.0)


def collect_gallery(
    path: Path, extractor: Extractor, dataset: Dataset, rows: Sequence[Row], size: int
) -> Gallery:
    """Features and pixels of the rows' images, kept in a file and read from it again.

    Args:
        path: the safetensors file to write.
        extractor: of the features.
        dataset: of the rows.
        rows: the training images.
        size: side at which they are read, in pixels.
    """
    found = [
        (in_batches(extractor, part).numpy(), standard_pixels(part))
        for _, part in slices(dataset, rows, size)
    ]
    features = np.concatenate([one for one, _ in found])
    pixels = np.concatenate([two for _, two in found])
    deviation = features.astype(np.float64).std(axis=0)
    spread = np.maximum(deviation, max(1e-3 * float(deviation.max()), 1e-9)).astype(np.float32)
    arrays = {"features": features / spread, "pixels": pixels, "spread": spread}
    tensors = {name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in arrays.items()}
    ids = json.dumps([row.sample_id for row in rows])
    tensors["ids"] = torch.frombuffer(bytearray(ids.encode()), dtype=torch.uint8)
    write_bytes(path, save(tensors))
    return load_gallery(path, extractor)


def load_gallery(path: Path, extractor: Extractor) -> Gallery:
    """A gallery from its file.

    Raises:
        SynthError: it is missing or damaged.
    """
    try:
        arrays = load_file(path)
    except (OSError, SafetensorError) as error:
        raise SynthError("not a saved gallery", where=path, got=error) from None
    ids = tuple(json.loads(arrays["ids"].tobytes()))
    return Gallery(ids, arrays["features"], arrays["pixels"], arrays["spread"], extractor)


def slices(
    dataset: Dataset, rows: Sequence[Row], size: int
) -> Iterator[tuple[Sequence[Row], Tensor]]:
    """Rows with their images, uint8 [n, 1, size, size], a slice at a time."""
    for start in range(0, len(rows), _SLICE):
        part = rows[start : start + _SLICE]
        yield part, load_images_u8([dataset.path(row) for row in part], size)


def shrunk(image_u8: Tensor, size: int) -> Tensor:
    """uint8 [N, C, H, W] -> uint8 [N, 1, size, size]: what the classifier is fitted on and sees."""
    grey = (grey_input(image_u8, size) + 1.0) * 127.5
    return grey.round().clamp(0, 255).to(torch.uint8)


def standard_pixels(image_u8: Tensor) -> Rows:
    """uint8 [N, C, H, W] -> float32 [N, 1024] of mean 0 and length 1; zeros for a constant one."""
    flat = grey_input(image_u8, _PIXELS).flatten(1).double().numpy()
    centred = flat - flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    standard: Rows = (centred / np.where(length > 1e-6, length, np.inf)).astype(np.float32)
    return standard


def labels_of(rows: Sequence[Row], findings: Sequence[str]) -> NDArray[np.float64]:
    """[n, findings]: 1 present, 0 absent, NaN uncertain or not stated."""
    values = [
        [float(label) if (label := row.labels.get(name)) in (0, 1) else np.nan for name in findings]
        for row in rows
    ]
    return np.array(values, dtype=np.float64).reshape(len(rows), len(findings))
