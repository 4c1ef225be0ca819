"""What is encoded once and read every step: latent moments and text embeddings, by content hash.

A cache is a folder of safetensors shards, memory-mapped when read. A tensor's name is
``<key>/<field>``; a key hashes everything the tensor depends on, so a changed image, size or
encoder is a different entry and two equal texts are one. Shards appear whole or not at all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from synth.errors import SynthError
from synth.images import load_images_u8, to_pixels
from synth.manifest import Dataset, Row, sha256_file, sha256_text
from synth.progress import Progress, Silent

SHARD = 512  # entries a file; a multiple of every batch size below
BATCH = 16
Entry = Mapping[str, Tensor]


class TensorCache:
    """Named groups of tensors in shards: written once, then read at random.

    Args:
        folder: where the shards lie; made when first written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._where: dict[str, tuple[Path, list[str]]] = {}
        self._open: dict[Path, Any] = {}
        for path in sorted(folder.glob("*.safetensors")):
            self._index(path)

    def __contains__(self, key: str) -> bool:
        return key in self._where

    def __len__(self) -> int:
        return len(self._where)

    def read(self, key: str) -> dict[str, Tensor]:
        """The tensors of an entry, by field; views of the mapped file."""
        path, fields = self._where[key]
        shard = self._open[path]
        return {field: shard.get_tensor(f"{key}/{field}") for field in fields}

    def write(self, entries: Mapping[str, Entry]) -> None:
        """Commit entries as one new shard."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{len(self._open):05d}-{next(iter(entries))[:12]}.safetensors"
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        tensors = {
            f"{key}/{field}": tensor.detach().cpu().contiguous().clone()
            for key, entry in entries.items()
            for field, tensor in entry.items()
        }
        save_file(tensors, temporary)
        temporary.replace(path)
        self._index(path)

    def _index(self, path: Path) -> None:
        try:
            shard = safe_open(path, framework="pt")
        except (SafetensorError, OSError) as error:
            raise SynthError(
                "damaged cache file", where=path, got=error, fix="Delete it; it is made again."
            ) from None
        self._open[path] = shard
        for name in shard.keys():  # type: ignore[no-untyped-call] # noqa: SIM118 - not a mapping
            key, _, field = name.partition("/")
            _, fields = self._where.setdefault(key, (path, []))
            fields.append(field)


def latent_key(image_sha256: str, encoder_sha256: str, size: int) -> str:
    """Key of an image's latent moments."""
    return sha256_text(f"latent\n{image_sha256}\n{encoder_sha256}\n{size}")[:32]


def text_key(text: str, encoder_sha256: str) -> str:
    """Key of a text's embedding."""
    return sha256_text(f"text\n{encoder_sha256}\n{text}")[:32]


def cache_latents(
    cache: TensorCache,
    dataset: Dataset,
    rows: Sequence[Row],
    *,
    size: int,
    encoder_sha256: str,
    encode: Callable[[Tensor], Entry],
    progress: Progress | None = None,
) -> list[str]:
    """Encode the images that are not in the cache; returns the key of every row.

    Args:
        cache: where to.
        dataset: where the images lie.
        rows: the images.
        size: side in pixels.
        encoder_sha256: what the encoder's files hash to.
        encode: pixels float32 [N, 1, size, size] in [-1, 1] to fields of N rows each.
        progress: told how far it is.
    """
    hashes = [row.sha256 or sha256_file(dataset.path(row)) for row in rows]
    keys = [latent_key(digest, encoder_sha256, size) for digest in hashes]
    paths = {key: dataset.path(row) for key, row in zip(keys, rows, strict=True)}
    missing = [key for key in paths if key not in cache]

    def encode_keys(batch: Sequence[str]) -> list[Entry]:
        image_u8 = load_images_u8([paths[key] for key in batch], size)
        fields = encode(to_pixels(image_u8))
        return [{name: t[i] for name, t in fields.items()} for i in range(len(batch))]

    _fill(cache, missing, encode_keys, progress or Silent(), "encoding images")
    return keys


def cache_texts(
    cache: TensorCache,
    texts: Sequence[str],
    *,
    encoder_sha256: str,
    encode: Callable[[str], Entry],
    progress: Progress | None = None,
) -> list[str]:
    """Encode the distinct texts that are not in the cache; returns the key of every text.

    Texts are encoded one at a time: nothing is padded to a neighbour's length, and an embedding
    never depends on its company.
    """
    keys = [text_key(text, encoder_sha256) for text in texts]
    by_key = dict(zip(keys, texts, strict=True))
    missing = [key for key in by_key if key not in cache]

    def encode_keys(batch: Sequence[str]) -> list[Entry]:
        return [encode(by_key[key]) for key in batch]

    _fill(cache, missing, encode_keys, progress or Silent(), "encoding texts")
    return keys


@torch.no_grad()
def _fill(
    cache: TensorCache,
    missing: Sequence[str],
    encode: Callable[[Sequence[str]], list[Entry]],
    progress: Progress,
    stage: str,
) -> None:
    """Encode in batches and commit in shards, so that a killed run keeps what it finished."""
    if missing:
        progress.stage(stage)
    for first in range(0, len(missing), SHARD):
        shard = missing[first : first + SHARD]
        entries: dict[str, Entry] = {}
        for start in range(0, len(shard), BATCH):
            batch = shard[start : start + BATCH]
            entries.update(zip(batch, encode(batch), strict=True))
            progress.update(first + start + len(batch), len(missing))
        cache.write(entries)
