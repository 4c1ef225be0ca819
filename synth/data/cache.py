"""What is encoded once and read every step: latent moments and text embeddings, by content hash.

A key hashes everything that an entry depends on and nothing else: a changed image, size, encoder
or text is another entry, two equal texts are one, and a learning rate changes nothing.

Bytes an entry, as float32; half that with ``fp16``. Texts are kept without padding, unless
the model attends to it.

    latent moments   SD, SDXL, PixArt at 512 pixels   2 x  4 x 64 x 64       128 KiB
                     SD3 at 512 pixels                2 x 16 x 64 x 64       512 KiB
                     Sana at 512 pixels               2 x 32 x 16 x 16        64 KiB
    text             SD 1.x, a window of 77 tokens    77 x 768               231 KiB
                     SD 2.x                           77 x 1024              308 KiB
                     SDXL                             77 x 2048 and 1280     621 KiB
                     Sana, 60 tokens                  60 x 2304              540 KiB
                     PixArt, 60 tokens                60 x 4096              960 KiB
                     SD3, padded to 77 and 256        333 x 4096 and 2048    5.2 MiB
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from synth.data.cache_fill import BATCH, Filling, fill
from synth.data.cache_shard import Entry
from synth.data.cache_store import TensorCache
from synth.errors import SynthError
from synth.images import load_images_u8, to_pixels
from synth.manifest import Dataset, Row, sha256_file, sha256_text
from synth.progress import Progress, Silent

Dtype = Literal["fp32", "fp16"]
_ENCODE_PIXELS = 4 * 512 * 512  # the activations of an autoencoder take 2 KiB a pixel and more


def encoded_at_once(size: int) -> int:
    """Images of this side that an autoencoder takes at a time, so that its memory is bounded."""
    return max(1, min(BATCH, _ENCODE_PIXELS // size**2))


def latent_key(image_sha256: str, encoder_sha256: str, size: int, dtype: Dtype = "fp32") -> str:
    """Key of an image's latent moments."""
    parts = (_kind("latent", dtype), image_sha256, encoder_sha256, str(size))
    return sha256_text("\n".join(parts))[:32]


def text_key(text: str, encoder_sha256: str, dtype: Dtype = "fp32") -> str:
    """Key of a text's embedding."""
    return sha256_text("\n".join((_kind("text", dtype), encoder_sha256, text)))[:32]


def image_sha256(dataset: Dataset, row: Row) -> str:
    """Hash of an image's file: what the table says, or else what is read."""
    return row.sha256 or sha256_file(dataset.path(row))


def cache_latents(
    cache: TensorCache,
    dataset: Dataset,
    rows: Sequence[Row],
    *,
    size: int,
    encoder_sha256: str,
    encode: Callable[[Tensor], Entry],
    dtype: Dtype = "fp32",
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
        dtype: of what is kept.
        progress: told how far it is.

    Raises:
        SynthError: an image cannot be read, is not the one in the table, or does not fit in
            ``dtype``; or the disk is too small.
    """
    keys = [latent_key(image_sha256(dataset, row), encoder_sha256, size, dtype) for row in rows]
    by_key = dict(zip(keys, rows, strict=True))

    def load(key: str) -> Tensor:
        return load_image_u8(dataset, by_key[key], size)

    def encode_images(images: Sequence[Tensor]) -> list[Entry]:
        fields = encode(to_pixels(torch.cat(list(images))))
        kept = {name: _kept(tensor, dtype) for name, tensor in fields.items()}
        return [{name: t[i] for name, t in kept.items()} for i in range(len(images))]

    how = Filling(load, encode_images, "encoding images", batch=encoded_at_once(size))
    fill(cache, keys, how, progress or Silent())
    return keys


def cache_texts(
    cache: TensorCache,
    texts: Sequence[str],
    *,
    encoder_sha256: str,
    encode: Callable[[str], Entry],
    dtype: Dtype = "fp32",
    reserve: int = 0,
    progress: Progress | None = None,
) -> list[str]:
    """Encode the distinct texts that are not in the cache; returns the key of every text.

    Texts are encoded one at a time: nothing is padded to a neighbour's length, and an embedding
    never depends on its company.

    Args:
        cache: where to.
        texts: in any order, repeated or not.
        encoder_sha256: what the encoder's files hash to.
        encode: a text to its fields.
        dtype: of what is kept.
        reserve: bytes that the disk must still have afterwards.
        progress: told how far it is.

    Raises:
        SynthError: an embedding does not fit in ``dtype``, or the disk is too small.
    """
    keys = [text_key(text, encoder_sha256, dtype) for text in texts]
    by_key = dict(zip(keys, texts, strict=True))

    def encode_texts(batch: Sequence[str]) -> list[Entry]:
        return [{n: _kept(t, dtype) for n, t in encode(text).items()} for text in batch]

    how = Filling(by_key.__getitem__, encode_texts, "encoding texts", reserve)
    fill(cache, keys, how, progress or Silent())
    return keys


def load_image_u8(dataset: Dataset, row: Row, size: int) -> Tensor:
    """An image as uint8 [1, 1, size, size], made sure to be the one that the table names.

    Raises:
        SynthError: it is another, or cannot be read.
    """
    path = dataset.path(row)
    image = load_images_u8([path], size)
    if row.sha256 and sha256_file(path) != row.sha256:
        raise SynthError(
            "the image is not the one in metadata.jsonl",
            where=path,
            fix="Restore it, or prepare the dataset again; `synth verify` lists all such images.",
        )
    return image


def _kind(name: str, dtype: Dtype) -> str:
    return name if dtype == "fp32" else f"{name} {dtype}"


def _kept(tensor: Tensor, dtype: Dtype) -> Tensor:
    """As it is stored.

    Raises:
        SynthError: a number is too large for half precision.
    """
    if dtype == "fp32":
        return tensor
    half = tensor.half()
    if tensor.isfinite().all() and not half.isfinite().all():
        raise SynthError(
            "an embedding does not fit in half precision",
            where="train.cache_dtype",
            got=float(tensor.abs().max()),
            expected="at most 65504",
            fix="Set train.cache_dtype=fp32.",
        )
    return half
