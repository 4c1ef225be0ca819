"""From a position in the data order to what one forward pass needs.

Everything random in training is drawn here, from (run seed, sample id, position): the posterior
sample, the noise, the time and whether the caption is dropped. So a step is the same whatever the
micro-batch, the number of processes, or how often the run was interrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from synth.data.cache import TensorCache
from synth.diffusion.process import Process
from synth.diffusion.times import TimeDensity
from synth.families.base import Conditioning, Moments
from synth.families.facts import UNKNOWN
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
    """Prompts that are encoded inside every step, with gradient.

    Attributes:
        prompts: text by the key it would be cached under; ``None`` is no prompt.
        encode: of the family, with its null conditioning for ``None``.
    """

    prompts: Mapping[str, str | None]
    encode: Callable[[Sequence[str | None]], Conditioning]


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
        live: encodes prompts in place of ``texts``, where a text encoder trains.
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
    ) -> None:
        self._live = live
        self._density = density
        self._latents, self._texts, self._null_key = latents, texts, null_key
        self._process, self._seed, self._device = process, seed, device
        self._dropout, self._fact_dropout = caption_dropout, condition_dropout
        self._generator = torch.Generator("cpu")  # re-keyed for every draw

    def draw(self, presentations: Iterable[tuple[Example, int]]) -> Batch:
        """A training batch; each item is an example and its position in the data order."""
        x0, noise, uniforms, keys, facts = [], [], [], [], []
        for example, position in presentations:
            moments = _moments(self._latents.read(example.latent_key))
            g = self._generator.manual_seed(
                seed_from("train", self._seed, example.sample_id, position)
            )
            time, drop = torch.rand(2, generator=g, dtype=torch.float64)
            pair = torch.randn(2, *moments.mean.shape, generator=g)
            x0.append(moments.sample(pair[0]))
            noise.append(pair[1])
            uniforms.append(time)
            null = float(drop) < self._dropout
            keys.append(self._null_key if null else _wording(example, g))
            facts.append(_shown(example.facts, 1.0 if null else self._fact_dropout, g))
        return self._batch(x0, noise, self._density(torch.stack(uniforms)), keys, facts)

    def fixed(self, items: Sequence[tuple[Example, float]]) -> Batch:
        """A validation batch: posterior means at given times, uniform in [0, 1), fixed noise."""
        x0, noise = [], []
        for example, time in items:
            mean = _moments(self._latents.read(example.latent_key)).mean
            key = seed_from("validation", self._seed, example.sample_id, str(time))
            x0.append(mean)
            noise.append(torch.randn(mean.shape, generator=self._generator.manual_seed(key)))
        uniforms = torch.tensor([time for _, time in items], dtype=torch.float64)
        keys, facts = zip(*((example.text_key, example.facts) for example, _ in items), strict=True)
        return self._batch(x0, noise, uniforms, keys, facts)

    def _batch(
        self,
        x0: Sequence[Tensor],
        noise: Sequence[Tensor],
        relative: Tensor,
        keys: Sequence[str],
        facts: Sequence[tuple[int, ...]],
    ) -> Batch:
        cond = self._conditioning(keys)
        if facts[0]:
            cond = replace(cond, facts=torch.tensor(facts))
        return Batch(
            x0=torch.stack(list(x0)).to(self._device),
            noise=torch.stack(list(noise)).to(self._device),
            times=self._process.sample_times(relative).to(self._device),
            cond=cond.to(self._device),
        )

    def _conditioning(self, keys: Sequence[str]) -> Conditioning:
        if self._live is None:
            return Conditioning.cat([_conditioning(self._texts.read(key)) for key in keys])
        return self._live.encode([self._live.prompts[key] for key in keys])


def moments_entry(moments: Moments) -> dict[str, Tensor]:
    """Cache fields of latent moments."""
    return {"mean": moments.mean, "std": moments.std}


def conditioning_entry(cond: Conditioning) -> dict[str, Tensor]:
    """Cache fields of one prompt's conditioning, padding trimmed."""
    tokens = cond.tokens[0] if cond.mask is None else cond.tokens[0][cond.mask[0]]
    return {"tokens": tokens} | ({} if cond.pooled is None else {"pooled": cond.pooled[0]})


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


def _moments(entry: Mapping[str, Tensor]) -> Moments:
    return Moments(entry["mean"], entry["std"])


def _conditioning(entry: Mapping[str, Tensor]) -> Conditioning:
    pooled = entry.get("pooled")
    return Conditioning(entry["tokens"][None], None, None if pooled is None else pooled[None])
