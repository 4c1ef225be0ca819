"""Image-text pairs as points of one space, and who counts as one unit among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metrics.arrays import Floats, Groups, features, group_names
from synth.errors import SynthError
from synth.seeding import numpy_rng

Ints = NDArray[np.intp]
_DIGITS = 10  # of a cosine: sums in another order differ beyond, and equal points must tie
UNKNOWN = -1  # label set of an image of which no finding is known


@dataclass(frozen=True)
class Pairs:
    """N images with their texts.

    Attributes:
        images: float64 [N, D], each of length 1.
        texts: float64 [N, D], each of length 1.
        text_of: [N], equal where two texts are word for word the same.
        units: [N] names; pairs of one unit, a patient, are resampled together.
        label_set: [N], equal where two images show the same findings, ``UNKNOWN`` where none is
            known; None without labels.
    """

    images: Floats
    texts: Floats
    text_of: Ints
    units: tuple[str, ...]
    label_set: Ints | None = None

    def __len__(self) -> int:
        return len(self.images)

    @property
    def count_units(self) -> int:
        """Patients, or pairs where each stands alone."""
        return len(set(self.units))

    @property
    def distinct(self) -> int:
        """Different texts."""
        return len(np.unique(self.text_of))

    @property
    def own(self) -> Floats:
        """Cosine of each image with its own text, float64 [N]."""
        return np.asarray(np.einsum("nd,nd->n", self.images, self.texts))

    def take(self, rows: NDArray[np.intp]) -> Pairs:
        """Some pairs."""
        return Pairs(
            self.images[rows],
            self.texts[rows],
            self.text_of[rows],
            tuple(self.units[row] for row in rows),
            None if self.label_set is None else self.label_set[rows],
        )

    def at_most(self, most: int, *, seed: int, side: str) -> Pairs:
        """Those pairs, or that many of them at random, in their order."""
        if len(self) <= most:
            return self
        order = numpy_rng("metrics", "pairs", side, seed).permutation(len(self))
        return self.take(np.sort(order[:most]))

    def cosines(self) -> tuple[Floats, Ints]:
        """Cosine of every image with every different text, [N, U], and each image's own, [N]."""
        _, first, own = np.unique(self.text_of, return_index=True, return_inverse=True)
        return np.round(self.images @ self.texts[first].T, _DIGITS), own.astype(np.intp)


def pairs(
    *,
    images: ArrayLike,
    texts: ArrayLike,
    words: Sequence[str] | None = None,
    labels: ArrayLike | None = None,
    groups: Groups = None,
    side: str = "pairs",
) -> Pairs:
    """Check and scale what pairs are made of.

    Args:
        images: [N, D] features of images.
        texts: [N, D] features of their texts, in the same space.
        words: [N] the texts themselves; None: texts of equal features are the same.
        labels: [N, findings]: 1 present, anything else not; NaN in a whole row: nothing is known.
        groups: the patient of each pair; None: every pair stands alone.
        side: for messages.

    Raises:
        SynthError: arrays that do not fit each other, fewer than two pairs, or a vector of zeros.
    """
    seen, read = features(f"{side}: images", images), features(f"{side}: texts", texts)
    if seen.shape != read.shape:
        raise SynthError(
            "images and texts are not pairs of one space",
            where=side,
            got=f"images {list(seen.shape)}, texts {list(read.shape)}",
            expected="one text an image, in features of one length",
            fix="Take both from one extractor with a text side.",
        )
    return Pairs(
        images=unit_vectors(f"{side}: images", seen),
        texts=unit_vectors(f"{side}: texts", read),
        text_of=_text_of(read, words, side),
        units=tuple(group_names(len(seen), groups, side=side)),
        label_set=None if labels is None else _label_set(labels, len(seen), side),
    )


def unit_vectors(where: str, rows: ArrayLike) -> Floats:
    """Rows [N, D] at length 1.

    Raises:
        SynthError: a vector of zeros.
    """
    values = np.asarray(rows, dtype=np.float64)
    length = np.linalg.norm(values, axis=1, keepdims=True)
    if not (length > 0).all():
        raise SynthError(
            "a vector of zeros has no direction",
            where=where,
            got=f"{int((length == 0).sum())} of {len(length)}",
        )
    return np.asarray(values / length)


def _text_of(texts: Floats, words: Sequence[str] | None, side: str) -> Ints:
    if words is None:
        return np.asarray(np.unique(texts, axis=0, return_inverse=True)[1].reshape(-1), np.intp)
    if len(words) != len(texts):
        raise SynthError(
            "one text a pair is needed", where=side, got=len(words), expected=len(texts)
        )
    return np.asarray(np.unique(np.array(words, dtype=object), return_inverse=True)[1], np.intp)


def _label_set(labels: ArrayLike, count: int, side: str) -> Ints:
    values = np.asarray(labels, dtype=np.float64)
    if values.ndim != 2 or len(values) != count:
        raise SynthError(
            "one row of labels a pair is needed",
            where=side,
            got=values.shape,
            expected=[count, "k"],
        )
    sets = np.unique(values == 1, axis=0, return_inverse=True)[1].reshape(-1)
    return np.asarray(np.where(np.isnan(values).all(axis=1), UNKNOWN, sets), np.intp)
