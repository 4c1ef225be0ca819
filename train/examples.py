"""From a prepared dataset to examples: every image and text encoded once, or inside every step."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from synth.config.schema import Config
from synth.data.cache import (
    Dtype,
    cache_latents,
    cache_texts,
    encoded_at_once,
    image_sha256,
    latent_key,
    text_key,
)
from synth.data.cache_fill import require_space
from synth.data.cache_store import TensorCache
from synth.diffusion.times import TimeDensity
from synth.errors import SynthError
from synth.families.base import Conditioning, Family, Moments
from synth.families.facts import facts_of
from synth.images import load_images_u8
from synth.manifest import Dataset, Row
from synth.progress import Progress
from train.batches import (
    BatchMaker,
    Example,
    LiveImages,
    LivePrompts,
    conditioning_entry,
    entry_conditioning,
    moments_entry,
)
from train.captions import variants
from train.example_table import ExampleTable

_CPU_PIXELS = 3 * 128 * 128  # larger activations are mapped and cleared anew, layer by layer


@dataclass(frozen=True)
class Examples:
    """The images a run trains and validates on.

    Attributes:
        train: of the training split, in file order.
        val: of the validation split.
        batches: draws them.
        prompts: how many distinct texts there are.
        truncated: how many tokens of each distinct text that does not fit are cut.
        fingerprint: hash of every training image's and text's key, in order.
    """

    train: Sequence[Example]
    val: Sequence[Example]
    batches: BatchMaker
    prompts: int
    truncated: tuple[int, ...]
    fingerprint: str


def build_examples(
    config: Config,
    dataset: Dataset,
    family: Family,
    *,
    folder: Path,
    device: torch.device,
    progress: Progress,
) -> Examples:
    """Encode what is not yet in the cache and list the examples.

    Args:
        config: ``data.size``, ``train`` and ``run.seed`` are used.
        dataset: the prepared dataset.
        family: encodes; its hashes are part of the cache's keys.
        folder: the cache.
        device: where batches go.
        progress: told how far it is.

    Raises:
        SynthError: the training split is empty, an image cannot be read, or the disk is too small.
    """
    rows = dataset.split("train", "val")
    if not dataset.split("train"):
        raise SynthError("no image in the training split", where=dataset.folder)
    train = config.train
    prompts = dict.fromkeys(prompt_of(row) for row in rows)
    wordings = {p: variants(p, train.caption_variants) for p in prompts}
    spoken = [*wordings, *(v for several in wordings.values() for v in several)]
    source = _Source(config, dataset, family, rows, device)
    latents, texts = TensorCache(folder / "latents"), TensorCache(folder / "texts")
    keys = source.latent_keys()
    if train.cached:  # texts first: their size shows only when they are encoded
        ahead = source.latent_bytes(len(latents.missing(keys)))
        require_space(folder, ahead, "the latents")
        if not family.text_trains:
            _cache_prompts(texts, family, spoken, train.cache_dtype, ahead, progress)
        source.cache(latents, progress)
    table = _by_split(source, keys, wordings)
    distinct, times = sorted(prompts), train.times
    return Examples(
        train=table["train"],
        val=table["val"],
        batches=BatchMaker(
            latents=latents,
            texts=texts,
            null_key=null_key(family.text_encoder_sha256, train.cache_dtype),
            process=family.process,
            seed=config.run.seed,
            caption_dropout=train.caption_dropout,
            condition_dropout=train.condition_dropout,
            device=device,
            density=TimeDensity(times.density, times.mean, times.std, times.shift),
            live=_live_prompts(family, spoken, train.cache_dtype, cached=train.cached),
            live_images=None if train.cached else source.live_images(keys),
            read_ahead=device.type != "cpu" or not train.cached,
        ),
        prompts=len(distinct),
        truncated=tuple(cut for cut in family.truncated(distinct) if cut),
        fingerprint=_fingerprint(table["train"]),
    )


def live_at_once(size: int) -> int:
    """Images encoded at a time inside a step: beside the denoiser there is half the room."""
    return max(1, encoded_at_once(size) // 2)


def cpu_at_once(size: int, most: int) -> int:
    """Images that a CPU encodes at a time: small parts are up to three times faster.

    Not fewer than three, so that ``even_parts`` leaves no image alone: convolutions round a
    batch of one differently.
    """
    return min(most, max(3, _CPU_PIXELS // size**2))


def even_parts(images: Tensor, most: int) -> tuple[Tensor, ...]:
    """As few parts as there can be of ``most`` rows or fewer, differing by one row at most."""
    return images.tensor_split(-(-len(images) // most))


def null_key(encoder_sha256: str, dtype: Dtype = "fp32") -> str:
    """Key of "no prompt", which some families do not encode as the empty prompt."""
    return text_key("\0", encoder_sha256, dtype)


@dataclass(frozen=True)
class _Source:
    """The images of a run and how they are encoded."""

    config: Config
    dataset: Dataset
    family: Family
    rows: Sequence[Row]
    device: torch.device

    @property
    def size(self) -> int:
        return self.config.data.size or self.family.size

    def latent_keys(self) -> list[str]:
        encoder, dtype = self.family.image_encoder_sha256, self.config.train.cache_dtype
        hashes = (image_sha256(self.dataset, row) for row in self.rows)
        return [latent_key(digest, encoder, self.size, dtype) for digest in hashes]

    def latent_bytes(self, count: int) -> int:
        """What the moments of ``count`` images take on disk: mean and standard deviation."""
        channels, height, width = self.family.latent_shape(self.size)
        each = 2 if self.config.train.cache_dtype == "fp16" else 4
        return count * 2 * channels * height * width * each

    def cache(self, latents: TensorCache, progress: Progress) -> None:
        cache_latents(
            latents,
            self.dataset,
            self.rows,
            size=self.size,
            encoder_sha256=self.family.image_encoder_sha256,
            encode=lambda pixels: moments_entry(self._encode(pixels, encoded_at_once(self.size))),
            dtype=self.config.train.cache_dtype,
            progress=progress,
        )

    def live_images(self, keys: Sequence[str]) -> LiveImages:
        rows = dict(zip(keys, self.rows, strict=True))

        def load(key: str) -> Tensor:
            return load_images_u8([self.dataset.path(rows[key])], self.size)

        def encode(pixels: Tensor) -> Moments:
            return self._encode(pixels, live_at_once(self.size))

        return LiveImages(load, encode, self.family.latent_shape(self.size))

    def _encode(self, pixels: Tensor, most: int) -> Moments:
        """In parts of alike sizes, of ``most`` images or fewer; on a CPU, of what it is fast at."""
        if self.device.type == "cpu":
            most = cpu_at_once(self.size, most)
        encoded = [self.family.encode_images(p) for p in even_parts(pixels, most)]
        return Moments(torch.cat([e.mean for e in encoded]), torch.cat([e.std for e in encoded]))


def _cache_prompts(
    texts: TensorCache,
    family: Family,
    spoken: Sequence[str],
    dtype: Dtype,
    reserve: int,
    progress: Progress,
) -> None:
    """Encode every wording, and what no prompt is."""

    def encode(text: str) -> dict[str, Tensor]:
        null = text == "\0"
        cond = family.null_conditioning(1) if null else family.encode_prompts([text])
        return conditioning_entry(cond)

    cache_texts(
        texts,
        [*spoken, "\0"],
        encoder_sha256=family.text_encoder_sha256,
        encode=encode,
        dtype=dtype,
        reserve=reserve,
        progress=progress,
    )


def _live_prompts(
    family: Family, spoken: Sequence[str], dtype: Dtype, *, cached: bool
) -> LivePrompts | None:
    """Encodes inside every step, where a text encoder trains or nothing is cached."""
    if cached and not family.text_trains:
        return None
    encoder = family.text_encoder_sha256

    def one_by_one(prompts: Sequence[str | None]) -> Conditioning:
        """An embedding, and its gradient, never depends on its company."""
        return Conditioning.cat(
            [
                family.null_conditioning(1) if p is None else family.encode_prompts([p])
                for p in prompts
            ]
        )

    def together(prompts: Sequence[str | None]) -> Conditioning:
        """Every distinct prompt once, without padding it to its neighbours."""
        said = list(dict.fromkeys(p for p in prompts if p is not None))
        known: dict[str | None, Conditioning] = {None: family.null_conditioning(1)}
        if said:
            cond = family.encode_prompts(said)
            for i, prompt in enumerate(said):
                known[prompt] = entry_conditioning(conditioning_entry(cond.index([i])))
        return Conditioning.cat([known[p] for p in prompts])

    known: dict[str, str | None] = {text_key(text, encoder, dtype): text for text in spoken}
    known[null_key(encoder, dtype)] = None
    return LivePrompts(known, one_by_one if family.text_trains else together)


def prompt_of(row: Row) -> str:
    """The text that conditions the model on this image."""
    return row.text_used or row.text


def _by_split(
    source: _Source, latent_keys: Sequence[str], wordings: Mapping[str, tuple[str, ...]]
) -> dict[str, ExampleTable]:
    encoder, dtype = source.family.text_encoder_sha256, source.config.train.cache_dtype
    keys = {p: tuple(text_key(w, encoder, dtype) for w in (p, *ws)) for p, ws in wordings.items()}
    names = source.config.model.conditions

    def examples(split: str) -> Iterator[Example]:
        for row, latent in zip(source.rows, latent_keys, strict=True):
            if row.split == split:
                text, *others = keys[prompt_of(row)]
                yield Example(row.sample_id, latent, text, tuple(others), facts_of(row, names))

    return {split: ExampleTable(examples(split)) for split in ("train", "val")}


def _fingerprint(examples: Iterable[Example]) -> str:
    digest = hashlib.sha256()
    for index, example in enumerate(examples):
        digest.update(("\n" if index else "").encode() + f"{example}".encode())
    return digest.hexdigest()
