"""The grey levels of an image apart from where they lie.

Every grey-scale step is a function of the stored value alone, so it is computed once a level that
occurs, at most 65,536 times, and painted on the image by one look-up: exactly the same result as a
computation a pixel, in a tenth of the time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synth.dicom.greyscale import stored_values

_CHUNK = 1 << 18  # pixels whose 8-byte indices fit in a core's cache


@dataclass(frozen=True)
class Levels:
    """An image as indices into the levels that occur in it.

    Attributes:
        words: unsigned integers [H, W], each below ``size``.
        used: the words that occur, ascending, int64 [n].
        counts: pixels of each, int64 [n].
        stored: the stored value of each, int64 [n]; different words may share one.
        size: entries of a table indexed by words.
    """

    words: NDArray[np.unsignedinteger]
    used: NDArray[np.int64]
    counts: NDArray[np.int64]
    stored: NDArray[np.int64]
    size: int

    def paint(self, unit: NDArray[np.floating]) -> NDArray[np.float32]:
        """The image whose levels are ``unit`` [n], float32 [H, W]."""
        table = np.zeros(self.size, dtype=np.float32)
        table[self.used] = unit
        image = np.empty(self.words.shape, dtype=np.float32)
        flat, words = image.reshape(-1), self.words.reshape(-1)
        for start in range(0, words.size, _CHUNK):
            part = slice(start, start + _CHUNK)
            table.take(words[part], out=flat[part], mode="clip")
        return image


def levels_of(
    array: NDArray[np.generic], *, bits_stored: int, high_bit: int, signed: bool
) -> Levels:
    """Count the words of an integer image [H, W] and read each as a stored value (PS3.5 8.1.1)."""
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
    if array.dtype.itemsize <= 2:
        words = array.view(np.dtype(f"u{array.dtype.itemsize}"))
        size = 1 << (8 * array.dtype.itemsize)
        every = np.zeros(size, dtype=np.int64)
        flat = words.reshape(-1)
        for start in range(0, flat.size, _CHUNK):
            every += np.bincount(flat[start : start + _CHUNK], minlength=size)
        used = np.flatnonzero(every)
        counts, found = every[used], used
    else:  # 32 bits: too many words for a table, so only those that occur are numbered
        found, places, counts = np.unique(array, return_inverse=True, return_counts=True)
        words = places.reshape(array.shape).astype(np.uint32)
        used, size = np.arange(len(found)), len(found)
    stored = stored_values(found, bits_stored=bits_stored, high_bit=high_bit, signed=signed)
    return Levels(words, used, counts.astype(np.int64), stored, size)


def percentile(values: NDArray[np.number], counts: NDArray[np.int64], percent: float) -> float:
    """The percentile of values [n] that occur ``counts`` [n] times, between neighbours linearly.

    Equal to ``np.percentile(np.repeat(values, counts), percent)`` without the array of pixels.
    """
    order = np.argsort(values, kind="stable")
    ranks = np.cumsum(counts[order])
    place = percent / 100 * (int(ranks[-1]) - 1)
    low, high = (
        float(values[order[np.searchsorted(ranks, index, side="right")]])
        for index in (int(place), min(int(place) + 1, int(ranks[-1]) - 1))
    )
    part, gap = place - int(place), high - low
    return high - gap * (1 - part) if part >= 0.5 else low + gap * part
