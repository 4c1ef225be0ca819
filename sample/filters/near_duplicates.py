"""Near-duplicates: does an image look like one that comes earlier in the plan?

Every other filter looks at one image alone. This one compares images, so its verdict needs an order
that no batch, shard or worker changes: that of the plan, once all images are there.
"""

from __future__ import annotations

from synth.data.near_duplicates import MAX_DISTANCE, distance

_BITS = 256
_BANDS = MAX_DISTANCE + 1  # hashes that differ in MAX_DISTANCE bits agree in one band at least


class Met:
    """Perceptual hashes of the images accepted so far, found again by nearness.

    The bits of a hash are dealt out to 13 bands; only images that agree in a band are compared.
    """

    def __init__(self) -> None:
        self._bands: list[dict[int, list[int]]] = [{} for _ in range(_BANDS)]
        self._hashes: list[tuple[str, str]] = []

    def add(self, sample_id: str, phash: str) -> None:
        """Remember an image."""
        for band, key in zip(self._bands, _keys(phash), strict=True):
            band.setdefault(key, []).append(len(self._hashes))
        self._hashes.append((sample_id, phash))

    def nearest(self, phash: str) -> tuple[str, int] | None:
        """The image whose hash is nearest, and in how many bits it differs; None: none is near."""
        places = {
            place
            for band, key in zip(self._bands, _keys(phash), strict=True)
            for place in band.get(key, ())
        }
        found = [(distance(phash, self._hashes[place][1]), place) for place in places]
        bits, place = min(found, default=(_BITS, 0))
        return (self._hashes[place][0], bits) if bits <= MAX_DISTANCE else None


def reason(near: tuple[str, int]) -> str:
    """Why an image is rejected, in words."""
    return f"looks like {near[0]} ({near[1]} of {_BITS} bits differ, limit {MAX_DISTANCE})"


def _keys(phash: str) -> list[int]:
    value = int(phash, 16)
    bits = f"{value:0{_BITS}b}"
    return [int(bits[band::_BANDS], 2) for band in range(_BANDS)]
