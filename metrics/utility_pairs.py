"""Images with the reports that belong to them, and the words that training reports hold."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metrics.alteration import Alteration
from metrics.ingest import ImageSet, take
from synth.errors import SynthError

_SENTENCE = re.compile(r"[.;:!?\n]+")
_WORD = re.compile(r"\w+")
_LEAST = 2  # training reports that hold a term, below which it teaches nothing of others
_MOST = 4000  # terms, the most frequent ones


@dataclass(frozen=True)
class Pairs:
    """Images and their reports.

    Attributes:
        images: uint8 [N, 1, S, S].
        texts: one an image, as ``plain`` gives them: equal texts are one report.
    """

    images: Tensor
    texts: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.images) != len(self.texts):
            raise SynthError(
                "texts do not fit the images", got=len(self.texts), expected=len(self.images)
            )

    def __len__(self) -> int:
        return len(self.texts)

    def __add__(self, other: Pairs) -> Pairs:
        return Pairs(torch.cat([self.images, other.images]), self.texts + other.texts)

    def rows(self, rows: NDArray[np.intp]) -> Pairs:
        """Some of them."""
        return Pairs(
            self.images[torch.from_numpy(rows)], tuple(self.texts[row] for row in rows.tolist())
        )

    def altered(self, change: Alteration) -> Pairs:
        """Changed images, texts kept: true only of changes that mirror nothing."""
        return Pairs(change.image(self.images), self.texts)


def plain(text: str) -> str:
    """A text without what does not tell reports apart: case, spacing, the last full stop.

    >>> plain("No acute  finding. ")
    'no acute finding'
    """
    return " ".join(text.casefold().split()).rstrip(" .")


def with_texts(images: ImageSet) -> ImageSet:
    """The images of a set whose rows hold a report, or the text that an image was made from.

    Raises:
        SynthError: no row does.
    """
    rows = [index for index, text in enumerate(_texts(images)) if text]
    if not rows:
        raise SynthError(
            "no texts", where=images.folder, expected="rows with `text_used` or `text`"
        )
    return take(images, rows)


def pairs(images: ImageSet) -> Pairs:
    """Images and texts of a set; an image without a text has an empty one."""
    return Pairs(images.image_u8, tuple(_texts(images)))


def _texts(images: ImageSet) -> list[str]:
    rows = [picture.row for picture in images.pictures]
    return ["" if row is None else plain(row.text_used or row.text) for row in rows]


@dataclass(frozen=True)
class Vocabulary:
    """The words of some training reports, and their pairs of neighbours ("no effusion").

    Attributes:
        terms: most frequent first; a term's number is its place plus one, 0 is none.
    """

    terms: tuple[str, ...]
    _numbers: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        numbers = {term: number for number, term in enumerate(self.terms, 1)}
        object.__setattr__(self, "_numbers", numbers)

    def __len__(self) -> int:
        return len(self.terms)

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Known terms of each text: int64 [N, L], 0 where a text has fewer; others are left out."""
        found = [[self._numbers[t] for t in terms_of(text) if t in self._numbers] for text in texts]
        longest = max(1, max(map(len, found), default=1))
        return torch.tensor([row + [0] * (longest - len(row)) for row in found], dtype=torch.int64)


def vocabulary_of(texts: Sequence[str]) -> Vocabulary:
    """The terms that at least two training texts hold, the 4000 most frequent.

    Raises:
        SynthError: no term is in two texts.
    """
    counts = Counter(term for text in texts for term in set(terms_of(text)))
    ordered = sorted(
        (term for term, count in counts.items() if count >= _LEAST),
        key=lambda term: (-counts[term], term),
    )
    if not ordered:
        raise SynthError(
            "no word is in two training texts", where="vocabulary", got=f"{len(texts)} texts"
        )
    return Vocabulary(tuple(ordered[:_MOST]))


def terms_of(text: str) -> Iterator[str]:
    """Words, and pairs of neighbouring words of one sentence, in order.

    >>> list(terms_of("no effusion. small heart"))
    ['no', 'effusion', 'no effusion', 'small', 'heart', 'small heart']
    """
    for sentence in _SENTENCE.split(text):
        words = _WORD.findall(sentence)
        yield from words
        yield from (f"{one} {two}" for one, two in pairwise(words))
