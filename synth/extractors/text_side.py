"""The text side of an extractor: texts in the space of its images, cut where it must be, counted.

A dual encoder (CLIP, SigLIP, BiomedCLIP) projects images and texts into one space. Its image
features, those that every other metric takes, already are the projected ones; the text side adds
the texts to them, so that one extractor serves a distance and a cosine. It is opened when texts are
read: the images alone need no tokenizer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from synth.errors import SynthError, Unavailable
from synth.extractors.base import Extractor

_BATCH = 32  # texts a pass


@dataclass(frozen=True)
class TextFeatures:
    """Texts as points.

    Attributes:
        values: float32 [N, dim], in the space of the images; equal texts have equal rows.
        truncated: which of the N texts are longer than the token limit and were cut at it.
    """

    values: Tensor
    truncated: tuple[bool, ...]


class TextSide(Protocol):
    """Texts to feature vectors.

    Attributes:
        id: names weights, tokenizer and limit; two text sides with one id give equal features.
        limit: tokens of a text that are read, with the start and end tokens.
    """

    @property
    def id(self) -> str: ...  # noqa: D102  described above

    @property
    def limit(self) -> int: ...  # noqa: D102

    def __call__(self, texts: Sequence[str]) -> TextFeatures:
        """N texts to features, in their order."""
        ...


@dataclass(frozen=True)
class Joint:
    """Both sides of a dual encoder: features of one space."""

    images: Extractor
    texts: TextSide

    @property
    def ids(self) -> dict[str, str]:
        """What both sides are, for records."""
        return {"images": self.images.id, "texts": self.texts.id}


@dataclass(frozen=True)
class Tokens:
    """One text as a network reads it: at most as many tokens as it takes, the end token kept."""

    ids: tuple[int, ...]
    truncated: bool


@dataclass(frozen=True)
class NetworkTextSide:
    """A ``TextSide`` made of a tokenizer and a network.

    Attributes:
        id: kind, weights, limit and tokenizer.
        limit: tokens read.
        dim: length of a feature vector, that of the images.
        tokenize: one text to its tokens.
        run: tokens of a few texts -> [n, dim], on any device.
    """

    id: str
    limit: int
    dim: int
    tokenize: Callable[[str], Tokens]
    run: Callable[[Sequence[Tokens]], Tensor]

    @torch.no_grad()
    def __call__(self, texts: Sequence[str]) -> TextFeatures:
        """N texts to features, each distinct text once.

        Raises:
            SynthError: no texts, or the network gives something else than finite rows.
        """
        if not texts:
            raise SynthError("no texts to extract features from", where=self.id)
        tokens = {text: self.tokenize(text) for text in dict.fromkeys(texts)}
        order = sorted(tokens, key=lambda text: len(tokens[text].ids))  # little padding a batch
        rows: dict[str, Tensor] = {}
        for start in range(0, len(order), _BATCH):
            part = order[start : start + _BATCH]
            found = self.run([tokens[text] for text in part]).float().cpu()
            if found.shape != (len(part), self.dim) or not bool(torch.isfinite(found).all()):
                raise SynthError(
                    "the text side does not give one finite vector a text in the images' space",
                    where=self.id,
                    got=list(found.shape),
                    expected=[len(part), self.dim],
                )
            rows |= dict(zip(part, found, strict=True))
        values = torch.stack([rows[text] for text in texts])
        return TextFeatures(values, tuple(tokens[text].truncated for text in texts))


def has_text_side(extractor: Extractor) -> bool:
    """Whether an extractor reads texts too."""
    return getattr(extractor, "open_texts", None) is not None


def joint(extractor: Extractor, *, named: str, where: str = "", fix: str = "") -> Joint:
    """An extractor with its text side opened.

    Args:
        extractor: any.
        named: as the user named it, for messages.
        where: what needs the text side, for messages.
        fix: what to do without one, for messages.

    Raises:
        Unavailable: it has no text side.
        SynthError: its tokenizer cannot be read, or its texts lie in another space.
    """
    open_texts: Callable[[], TextSide] | None = getattr(extractor, "open_texts", None)
    if open_texts is None:
        raise Unavailable(
            "an extractor without a text side cannot compare image and text",
            where=where,
            got=named,
            expected="hf:FOLDER of a CLIP or SigLIP, or open_clip:NAME",
            fix=fix,
        )
    return Joint(extractor, open_texts())
