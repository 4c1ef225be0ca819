"""From a position in the data order to what one forward pass needs.

Everything random in training is drawn here, from (run seed, sample id, position): the posterior
sample, the noise, the time and whether the caption is dropped. So a step is the same whatever the
micro-batch, the number of processes, how often the run was interrupted, or how far ahead batches
were read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from synth.data.cache_store import TensorCache
from synth.diffusion.process import Process
from synth.diffusion.times import TimeDensity
from synth.families.base import Conditioning, Moments
from synth.families.facts import UNKNOWN
from synth.images import to_pixels
from synth.seeding import seed_from


@dataclass(frozen=True)
class Example:
    """One training image: its id, where latents and prompt embedding are cached, and its facts.

    Other wordings of the prompt, if any, take their turns with it.
    """

    sample_id: str
    latent_key: str
    text_key: str
    variant_keys: tuple[str, ...] = ()
    facts: tuple[int, ...] = ()


Presentation = tuple[Example, int]  # an example and its position in the data order


@dataclass(frozen=True)
class Batch:
    """What a forward pass needs, on one device.

    Attributes:
        x0: clean scaled latents, float32 [B, C, h, w].
        noise: float32 like ``x0``.
        times: process times [B].
        cond: conditioning of B rows, null where the caption is dropped.
    """

    x0: Tensor
    noise: Tensor
    times: Tensor
    cond: Conditioning


@dataclass(frozen=True)
class LivePrompts:
    """Prompts that are encoded inside every step, with gradient where a text encoder trains.

    Attributes:
        prompts: text by the key it would be cached under; ``None`` is no prompt.
        encode: of the family, with its null conditioning for ``None``.
    """

    prompts: Mapping[str, str | None]
    encode: Callable[[Sequence[str | None]], Conditioning]


@dataclass(frozen=True)
class LiveImages:
    """Images that are read and encoded inside every step.

    Attributes:
        load: the key its moments would be cached under to uint8 [1, 1, H, W].
        encode: of the family.
        latent_shape: (C, h, w).
    """

    load: Callable[[str], Tensor]
    encode: Callable[[Tensor], Moments]
    latent_shape: tuple[int, int, int]


@dataclass(frozen=True)
class _Gathered:
    """A batch as far as it can be made ahead: everything that needs no model.

    Of ``moments`` and ``images`` one is None; ``cond`` is None where prompts are live.
    """

    moments: Moments | None
    images: Tensor | None
    posterior: Tensor | None  # unit noise of the posterior sample; None: take the mean
    noise: Tensor
    relative: Tensor
    keys: Sequence[str]
    facts: Sequence[tuple[int, ...]]
    cond: Conditioning | None


class BatchMaker:
    """Draws batches out of the caches.

    Args:
        latents: cached moments, fields ``mean`` and ``std``.
        texts: cached embeddings, fields of ``Conditioning``.
        null_key: entry of the empty prompt in ``texts``.
        process: what a time is.
        seed: the run's seed.
        caption_dropout: probability that a presentation goes without its prompt and facts.
        condition_dropout: probability that one of its facts is hidden.
        device: where batches go.
        density: how often each time is trained on; validation uses all alike.
        live: encodes prompts in place of ``texts``.
        live_images: encodes images in place of ``latents``.
        read_ahead: gather announced batches in a background thread.
    """

    def __init__(
        self,
        *,
        latents: TensorCache,
        texts: TensorCache,
        null_key: str,
        process: Process,
        seed: int,
        caption_dropout: float,
        condition_dropout: float = 0.0,
        device: torch.device,
        density: TimeDensity = TimeDensity(),  # noqa: B008  (frozen)
        live: LivePrompts | None = None,
        live_images: LiveImages | None = None,
        read_ahead: bool = False,
    ) -> None:
        self._live, self._live_images = live, live_images
        self._density = density
        self._latents, self._texts, self._null_key = latents, texts, null_key
        self._process, self._seed, self._device = process, seed, device
        self._dropout, self._fact_dropout = caption_dropout, condition_dropout
        self._reader = ThreadPoolExecutor(1, "read-ahead") if read_ahead else None
        self._announced: tuple[tuple[Presentation, ...], Future[_Gathered]] | None = None

    def announce(self, presentations: Iterable[Presentation]) -> None:
        """Say which batch is drawn next, so that it is read meanwhile; changes no result."""
        wanted = tuple(presentations)
        if self._reader and wanted:
            self._announced = wanted, self._reader.submit(self._gather, wanted)

    def draw(self, presentations: Iterable[Presentation]) -> Batch:
        """A training batch; each item is an example and its position in the data order."""
        wanted = tuple(presentations)
        announced, self._announced = self._announced, None
        if announced is not None and announced[0] == wanted:
            return self._batch(announced[1].result())
        return self._batch(self._gather(wanted))

    def fixed(self, items: Sequence[tuple[Example, float]]) -> Batch:
        """A validation batch: posterior means at given times, uniform in [0, 1), fixed noise."""
        examples = [example for example, _ in items]
        moments, images = self._read_images(examples)
        noise, generator = [], torch.Generator("cpu")
        for example, time in items:
            key = seed_from("validation", self._seed, example.sample_id, str(time))
            shape = self._latent_shape(moments)
            noise.append(torch.randn(shape, generator=generator.manual_seed(key)))
        keys = [example.text_key for example in examples]
        return self._batch(
            _Gathered(
                moments=moments,
                images=images,
                posterior=None,
                noise=torch.stack(noise),
                relative=torch.tensor([time for _, time in items], dtype=torch.float64),
                keys=keys,
                facts=[example.facts for example in examples],
                cond=self._cached_texts(keys),
            )
        )

    def _gather(self, presentations: Sequence[Presentation]) -> _Gathered:
        moments, images = self._read_images([example for example, _ in presentations])
        shape = self._latent_shape(moments)
        pairs, uniforms, keys, facts = [], [], [], []
        generator = torch.Generator("cpu")  # re-keyed for every draw
        for example, position in presentations:
            g = generator.manual_seed(seed_from("train", self._seed, example.sample_id, position))
            time, drop = torch.rand(2, generator=g, dtype=torch.float64)
            pairs.append(torch.randn(2, *shape, generator=g))
            uniforms.append(time)
            null = float(drop) < self._dropout
            keys.append(self._null_key if null else _wording(example, g))
            facts.append(_shown(example.facts, 1.0 if null else self._fact_dropout, g))
        posterior, noise = torch.stack(pairs, dim=1)
        relative = self._density(torch.stack(uniforms))
        cond = self._cached_texts(keys)
        return _Gathered(moments, images, posterior, noise, relative, keys, facts, cond)

    def _batch(self, gathered: _Gathered) -> Batch:
        """Encode what is live, sample the posterior, and go to the device."""
        moments = gathered.moments
        if moments is None:
            assert self._live_images is not None
            assert gathered.images is not None
            moments = self._live_images.encode(to_pixels(gathered.images.to(self._device)))
        x0 = moments.mean
        if gathered.posterior is not None:
            x0 = moments.sample(gathered.posterior.to(x0.device))
        cond = gathered.cond
        if cond is None:
            assert self._live is not None
            cond = self._live.encode([self._live.prompts[key] for key in gathered.keys])
        if gathered.facts[0]:
            cond = replace(cond, facts=torch.tensor(gathered.facts))
        return Batch(
            x0=x0.to(self._device),
            noise=gathered.noise.to(self._device),
            times=self._process.sample_times(gathered.relative).to(self._device),
            cond=cond.to(self._device),
        )

    def _read_images(self, examples: Sequence[Example]) -> tuple[Moments | None, Tensor | None]:
        """Cached moments, or the images themselves."""
        if self._live_images is not None:
            return None, torch.cat([self._live_images.load(e.latent_key) for e in examples])
        entries = [self._latents.read(example.latent_key) for example in examples]
        mean, std = (torch.stack([e[name] for e in entries]).float() for name in ("mean", "std"))
        return Moments(mean, std), None

    def _latent_shape(self, moments: Moments | None) -> Sequence[int]:
        if moments is not None:
            return moments.mean.shape[1:]
        assert self._live_images is not None
        return self._live_images.latent_shape

    def _cached_texts(self, keys: Sequence[str]) -> Conditioning | None:
        if self._live is not None:
            return None
        return Conditioning.cat([entry_conditioning(self._texts.read(key)) for key in keys])


def moments_entry(moments: Moments) -> dict[str, Tensor]:
    """Cache fields of latent moments."""
    return {"mean": moments.mean, "std": moments.std}


def conditioning_entry(cond: Conditioning) -> dict[str, Tensor]:
    """Cache fields of one prompt's conditioning, padding trimmed."""
    tokens = cond.tokens[0] if cond.mask is None else cond.tokens[0][cond.mask[0]]
    return {"tokens": tokens} | ({} if cond.pooled is None else {"pooled": cond.pooled[0]})


def entry_conditioning(entry: Mapping[str, Tensor]) -> Conditioning:
    """The inverse of ``conditioning_entry``, as float32."""
    pooled = entry.get("pooled")
    pooled = None if pooled is None else pooled[None].float()
    return Conditioning(entry["tokens"][None].float(), None, pooled)


def _shown(facts: Sequence[int], dropout: float, generator: torch.Generator) -> tuple[int, ...]:
    """The facts, each hidden with a probability."""
    if not facts:
        return ()
    hidden = torch.rand(len(facts), generator=generator) < dropout
    return tuple(UNKNOWN if hide else fact for fact, hide in zip(facts, hidden, strict=True))


def _wording(example: Example, generator: torch.Generator) -> str:
    """The prompt or one of its variants, all equally often."""
    keys = (example.text_key, *example.variant_keys)
    if len(keys) == 1:
        return keys[0]
    return keys[int(torch.randint(len(keys), (), generator=generator))]
