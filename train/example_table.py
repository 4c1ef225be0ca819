"""The examples of a run in a few dozen bytes each: hundreds of thousands fit beside the model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import overload

import numpy as np

from train.batches import Example


class ExampleTable(Sequence[Example]):
    """A sequence of examples that are made when they are asked for.

    Args:
        examples: in order; all with equally many facts.
    """

    def __init__(self, examples: Iterable[Example]) -> None:
        wordings: dict[tuple[str, ...], int] = {}  # a text and its variants: many images share them
        ids, latents, texts, facts = [], bytearray(), [], []
        for example in examples:
            ids.append(example.sample_id)
            latents += bytes.fromhex(example.latent_key)
            keys = (example.text_key, *example.variant_keys)
            texts.append(wordings.setdefault(keys, len(wordings)))
            facts.append(example.facts)
        self._ids = ids
        self._latents = bytes(latents)
        self._texts = np.array(texts, np.int32)
        width = len(facts[0]) if facts else 0
        self._facts = np.array(facts, np.int8).reshape(len(ids), width)
        self._wordings = tuple(wordings)

    def __len__(self) -> int:
        return len(self._ids)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Example, ...]: ...
    def __getitem__(self, index: int | slice) -> Example | tuple[Example, ...]:
        """One example, or several as a tuple."""
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(len(self))))
        at = range(len(self))[index]
        text, *variants = self._wordings[self._texts[at]]
        facts = tuple(int(fact) for fact in self._facts[at])
        latent = self._latents[16 * at : 16 * at + 16].hex()
        return Example(self._ids[at], latent, text, tuple(variants), facts)

    def __iter__(self) -> Iterator[Example]:
        return (self[i] for i in range(len(self)))
