"""From a prepared dataset to cached examples: every image and text encoded once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from synth.config.schema import Config
from synth.data.cache import TensorCache, cache_latents, cache_texts, text_key
from synth.diffusion.times import TimeDensity
from synth.errors import SynthError
from synth.families.base import Conditioning, Family
from synth.families.facts import facts_of
from synth.manifest import Dataset, Row, sha256_text
from synth.progress import Progress
from train.batches import BatchMaker, Example, LivePrompts, conditioning_entry, moments_entry
from train.captions import variants


@dataclass(frozen=True)
class Examples:
    """The images a run trains and validates on.

    Attributes:
        train: of the training split, in file order.
        val: of the validation split.
        batches: draws them from the caches.
        prompts: how many distinct texts there are.
        truncated: how many tokens of each distinct text that does not fit are cut.
        fingerprint: hash of every training image's and text's key, in order.
    """

    train: tuple[Example, ...]
    val: tuple[Example, ...]
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
    """Encode what is not yet in the run's cache and list the examples.

    Args:
        config: ``data.size``, ``train.caption_dropout`` and ``run.seed`` are used.
        dataset: the prepared dataset.
        family: encodes; its hashes are part of the cache's keys.
        folder: the run's cache.
        device: where batches go.
        progress: told how far it is.

    Raises:
        SynthError: the training split is empty, or an image cannot be read.
    """
    rows = dataset.split("train", "val")
    if not dataset.split("train"):
        raise SynthError("no image in the training split", where=dataset.folder)
    latents, texts = TensorCache(folder / "latents"), TensorCache(folder / "texts")
    latent_keys = cache_latents(
        latents,
        dataset,
        rows,
        size=config.data.size or family.size,
        encoder_sha256=family.image_encoder_sha256,
        encode=lambda pixels: moments_entry(family.encode_images(pixels)),
        progress=progress,
    )
    prompts = [prompt_of(row) for row in rows]
    wordings = {p: variants(p, config.train.caption_variants) for p in dict.fromkeys(prompts)}
    spoken = [*wordings, *(v for several in wordings.values() for v in several)]
    encoder = family.text_encoder_sha256
    live = _live_prompts(family, spoken) if family.text_trains else None
    if live is None:
        _cache_prompts(texts, family, spoken, progress)
    facts = [facts_of(row, config.model.conditions) for row in rows]
    split = _by_split(rows, latent_keys, facts, wordings, encoder)
    distinct, times = sorted(set(prompts)), config.train.times
    return Examples(
        train=split["train"],
        val=split["val"],
        batches=BatchMaker(
            latents=latents,
            texts=texts,
            null_key=null_key(encoder),
            process=family.process,
            seed=config.run.seed,
            caption_dropout=config.train.caption_dropout,
            condition_dropout=config.train.condition_dropout,
            device=device,
            density=TimeDensity(times.density, times.mean, times.std, times.shift),
            live=live,
        ),
        prompts=len(distinct),
        truncated=tuple(cut for cut in family.truncated(distinct) if cut),
        fingerprint=sha256_text("\n".join(f"{e}" for e in split["train"])),
    )


def null_key(encoder_sha256: str) -> str:
    """Key of "no prompt", which some families do not encode as the empty prompt."""
    return text_key("\0", encoder_sha256)


def _cache_prompts(
    texts: TensorCache, family: Family, spoken: Sequence[str], progress: Progress
) -> None:
    """Encode every wording, and what no prompt is."""

    def encode(text: str) -> dict[str, Tensor]:
        null = text == "\0"
        cond = family.null_conditioning(1) if null else family.encode_prompts([text])
        return conditioning_entry(cond)

    encoder = family.text_encoder_sha256
    wanted = [*spoken, "\0"]
    cache_texts(texts, wanted, encoder_sha256=encoder, encode=encode, progress=progress)


def _live_prompts(family: Family, spoken: Sequence[str]) -> LivePrompts:
    """One prompt at a time, so that an embedding never depends on its company."""
    encoder = family.text_encoder_sha256

    def encode(prompts: Sequence[str | None]) -> Conditioning:
        return Conditioning.cat(
            [
                family.null_conditioning(1) if p is None else family.encode_prompts([p])
                for p in prompts
            ]
        )

    known: dict[str, str | None] = {text_key(text, encoder): text for text in spoken}
    return LivePrompts({**known, null_key(encoder): None}, encode)


def prompt_of(row: Row) -> str:
    """The text that conditions the model on this image."""
    return row.text_used or row.text


def _by_split(
    rows: Sequence[Row],
    latent_keys: Sequence[str],
    facts: Sequence[tuple[int, ...]],
    wordings: Mapping[str, tuple[str, ...]],
    encoder: str,
) -> dict[str, tuple[Example, ...]]:
    keys = {
        p: (text_key(p, encoder), *(text_key(v, encoder) for v in w)) for p, w in wordings.items()
    }
    found: dict[str, list[Example]] = {"train": [], "val": []}
    for row, latent, known in zip(rows, latent_keys, facts, strict=True):
        text, *others = keys[prompt_of(row)]
        found[row.split].append(Example(row.sample_id, latent, text, tuple(others), known))
    return {split: tuple(examples) for split, examples in found.items()}
