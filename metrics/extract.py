"""Images to features: only what a store does not hold yet is computed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from metrics.distances import ExtractorFacts, Features
from metrics.ingest import ImageSet
from synth.extractors.base import Extractor, in_batches
from synth.extractors.classifier import one_thread
from synth.extractors.network import NetworkExtractor
from synth.extractors.store import FeatureStore, StoreFacts
from synth.progress import Progress, Silent

_BATCH = 32  # float images of a network a pass
_FLUSH = 1024  # images after which what was computed is kept


def facts_of(extractor: Extractor) -> ExtractorFacts:
    """What a record says of an extractor."""
    return ExtractorFacts(
        extractor.name, extractor.id, extractor.weights_sha256, extractor.preprocessing
    )


def features_of(
    extractor: Extractor,
    images: ImageSet,
    *,
    store: Path | None = None,
    progress: Progress | None = None,
) -> Features:
    """Features of a set.

    A network reads the files in float at their own depth; the others read the 8-bit squares.

    Args:
        extractor: any.
        images: the set.
        store: folder of kept features; None keeps nothing.
        progress: told of images done.

    Raises:
        SynthError: a file went missing, or the store belongs to something else.
    """
    progress = progress or Silent()
    if isinstance(extractor, NetworkExtractor) and images.pictures:
        values = _of_files(extractor, images, store, progress)
    else:
        values = _of_squares(extractor, images, store)
    return Features(values, images.groups)


def store_of(extractor: Extractor, images: ImageSet, folder: Path) -> FeatureStore:
    """The store of an extractor's features of such a set."""
    native = isinstance(extractor, NetworkExtractor) and bool(images.pictures)
    side = images.image_u8.shape[-1]
    facts = StoreFacts(
        extractor=extractor.id,
        weights_sha256=extractor.weights_sha256,
        preprocessing=extractor.preprocessing,
        reading=images.reading.words if native else f"8-bit squares of {side} px",
        dim=extractor.dim,
    )
    return FeatureStore(folder, facts)


def _of_squares(
    extractor: Extractor, images: ImageSet, folder: Path | None
) -> NDArray[np.floating]:
    if folder is None:
        with one_thread():
            return np.asarray(in_batches(extractor, images.image_u8).numpy())
    store = store_of(extractor, images, folder)
    keys = [hashlib.sha256(image.numpy().tobytes()).hexdigest() for image in images.image_u8]
    new = _first_places(keys, store)
    for start in range(0, len(new), _FLUSH):
        part = new[start : start + _FLUSH]
        with one_thread():
            rows = in_batches(extractor, images.image_u8[torch.tensor(part)]).numpy()
        store.add({keys[at]: row for at, row in zip(part, rows, strict=True)})
    return store.rows(keys)


def _of_files(
    extractor: NetworkExtractor, images: ImageSet, folder: Path | None, progress: Progress
) -> NDArray[np.floating]:
    if folder is None:
        parts = []
        for start in range(0, len(images), _BATCH):
            parts.append(_embedded(extractor, images, range(start, start + _BATCH)))
            progress.update(min(start + _BATCH, len(images)), len(images))
        return np.concatenate(parts)
    store = store_of(extractor, images, folder)
    keys = [picture.sha256() for picture in images.pictures]
    new, waiting = _first_places(keys, store), dict[str, NDArray[np.float32]]()
    for start in range(0, len(new), _BATCH):
        part = new[start : start + _BATCH]
        rows = _embedded(extractor, images, part)
        waiting |= {keys[at]: row for at, row in zip(part, rows, strict=True)}
        progress.update(min(start + _BATCH, len(new)), len(new))
        if len(waiting) >= _FLUSH:
            store.add(waiting)
            waiting = {}
    store.add(waiting)
    return store.rows(keys)


def _embedded(
    extractor: NetworkExtractor, images: ImageSet, places: Sequence[int]
) -> NDArray[np.float32]:
    chosen = [images.pictures[at] for at in places if at < len(images)]
    units = [extractor.preprocess.fit([picture.grey(images.reading)]) for picture in chosen]
    return np.asarray(extractor.embed(torch.cat(units)).numpy(), dtype=np.float32)


def _first_places(keys: Sequence[str], store: FeatureStore) -> list[int]:
    """Where each image that the store lacks is first seen."""
    lacking, first = set(store.missing(keys)), dict[str, int]()
    for at, key in enumerate(keys):
        if key in lacking:
            first.setdefault(key, at)
    return list(first.values())
