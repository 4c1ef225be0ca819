"""Images that look the same: found by a perceptual hash, reported, never moved or removed.

A training image that comes back in the test split under another patient's name makes every score
too good. The same pixels are caught by their SHA-256; a picture saved again (another size, JPEG,
slightly brighter) is not, so each image also has a perceptual hash.

Chest radiographs look alike, and the customary 64-bit hashes tell them apart badly. Measured on
1,402 phantoms of 700 patients, 981,060 pairs of different patients, with copies made by resizing,
JPEG (quality 40), brightness +-10 %, gamma 0.8 and 1.25, and noise:

    hash                                              at most   taken for the same   copies found
    64 bits, difference hash (9 x 8 pixels)                 2        65 in 1,000          99.8 %
    64 bits, DCT, the 8 x 8 lowest, against their median    4        27 in 1,000         100.0 %
    64 bits, DCT, frequencies 5 to 12                       4       0.6 in 1,000          99.2 %
    256 bits, DCT, frequencies 3 to 18 (this one)          12         0 of 981,060        99.1 %

The closest pair of different patients is 14 bits apart, half of them are 103 or more.
Shifted, cropped and histogram-equalised copies are not found by any of them at these thresholds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

REPORT = "near_duplicates.jsonl"
MAX_DISTANCE = 12  # bits of 256 that may differ between two copies of one picture
MOST_PAIRS = 100_000  # reported; a source with more of them has another problem

_SIDE = 32  # pixels that the image is averaged to
_LOW, _HIGH = 3, 19  # frequencies kept: lower ones are the same thorax in everybody
_BITS = (_HIGH - _LOW) ** 2
_BANDS = MAX_DISTANCE + 1  # two hashes that differ in MAX_DISTANCE bits agree in one band at least
# DCT-II (Ahmed, Natarajan, Rao 1974, eq. 1) without its scale, which no sign depends on.
_WAVES = np.cos(np.pi * np.outer(np.arange(_LOW, _HIGH), np.arange(_SIDE) + 0.5) / _SIDE)


@dataclass(frozen=True)
class NearDuplicate:
    """Two images of two patients that look the same.

    Attributes:
        first: index of one image.
        second: of the other, larger.
        distance: bits of the hash that differ, 0 to ``MAX_DISTANCE``.
    """

    first: int
    second: int
    distance: int


def perceptual_hash(image_u8: NDArray[np.uint8]) -> str:
    """Signs of 256 cosine coefficients of an image averaged to 32 x 32 pixels.

    Args:
        image_u8: uint8 [H, W] in 0..255, any size.

    Returns:
        64 hexadecimal digits.
    """
    small = Image.fromarray(image_u8).resize((_SIDE, _SIDE), Image.Resampling.BOX)
    waves = _WAVES @ np.asarray(small, dtype=np.float64) @ _WAVES.T
    # Half a grey level: what rounding alone can make must not decide a sign.
    return np.packbits(waves.ravel() > 0.5).tobytes().hex()


def distance(first: str, second: str) -> int:
    """Bits in which two hashes differ."""
    return (int(first, 16) ^ int(second, 16)).bit_count()


def near_duplicates(hashes: Sequence[str], patients: Sequence[str]) -> Iterator[NearDuplicate]:
    """All pairs of different patients whose hashes differ in at most ``MAX_DISTANCE`` bits.

    No pair is missed and none comes twice. The bits are dealt out to 13 bands; at least one is the
    same in both hashes of such a pair, so only images that agree in a band are compared. Memory
    grows with the number of images, not of pairs.

    Args:
        hashes: of :func:`perceptual_hash`; an empty one matches nothing.
        patients: of the same length; who the image is of.
    """
    known = np.array([index for index, value in enumerate(hashes) if value], dtype=np.int64)
    if len(known) < 2:
        return
    table = np.frombuffer(bytes.fromhex("".join(hashes[i] for i in known)), dtype=np.uint8)
    words = table.reshape(len(known), _BITS // 8).view(np.uint64)
    owners = np.unique([patients[index] for index in known], return_inverse=True)[1]
    bits = np.unpackbits(table.reshape(len(known), -1), axis=1)
    bands = [_band_keys(bits, band) for band in range(_BANDS)]
    del bits
    for band, keys in enumerate(bands):
        for first, second in _equal_pairs(keys):
            different = owners[first] != owners[second]
            first, second = first[different], second[different]
            bits_apart = np.bitwise_count(words[first] ^ words[second]).sum(axis=1)
            close = bits_apart <= MAX_DISTANCE
            for earlier in bands[:band]:  # found there already
                close &= earlier[first] != earlier[second]
            for a, b, apart in zip(first[close], second[close], bits_apart[close], strict=True):
                low, high = sorted((int(known[a]), int(known[b])))
                yield NearDuplicate(low, high, int(apart))


def _band_keys(bits: NDArray[np.uint8], band: int) -> NDArray[np.int64]:
    """Bits band, band + 13, band + 26, … of each hash as one integer: low and high frequencies."""
    chosen = bits[:, band::_BANDS].astype(np.int64)
    return chosen @ (1 << np.arange(chosen.shape[1], dtype=np.int64))


def _equal_pairs(
    keys: NDArray[np.int64],
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Index pairs with equal keys: sorted, each is compared with those that follow."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    active = np.arange(len(keys))
    step = 1
    while True:
        active = active[: np.searchsorted(active, len(keys) - step)]
        active = active[ordered[active] == ordered[active + step]]
        if not len(active):
            return
        yield order[active], order[active + step]
        step += 1


def describe(
    rows: Sequence[dict[str, Any]], *, most: int = MOST_PAIRS
) -> tuple[list[dict[str, Any]], bool]:
    """What ``near_duplicates.jsonl`` holds: pairs of images, the closest first.

    Args:
        rows: of the dataset, with ``sample_id, patient_id, split, phash``.
        most: pairs after which the search stops.

    Returns:
        The lines, and whether the search stopped early.
    """
    found: list[NearDuplicate] = []
    hashes = [str(row.get("phash") or "") for row in rows]
    for pair in near_duplicates(hashes, [str(row["patient_id"]) for row in rows]):
        if len(found) == most:
            return _lines(rows, found), True
        found.append(pair)
    return _lines(rows, found), False


def _lines(rows: Sequence[dict[str, Any]], found: list[NearDuplicate]) -> list[dict[str, Any]]:
    lines = []
    for pair in found:
        both = (rows[pair.first], rows[pair.second])
        lines.append(
            {
                "sample_ids": [row["sample_id"] for row in both],
                "splits": [row["split"] for row in both],
                "across_splits": both[0]["split"] != both[1]["split"],
                "distance": pair.distance,
            }
        )
    return sorted(lines, key=lambda line: (line["distance"], line["sample_ids"]))
