"""Images that show nothing, or what another shows already, made again with the next seed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, replace
from typing import TypeVar

from torch import Tensor

from sample.generate import Asked, Batch
from synth.seeding import seed_from

T = TypeVar("T")


def attempt_seed(seed: int, attempt: int) -> int:
    """The seed of an image's attempt; the first one's is the planned seed itself."""
    return seed if attempt == 0 else seed_from("attempt", seed, attempt)


def pixel_sha256(image_u8: Tensor) -> str:
    """Digest of the pixels of an image, uint8 [1, H, W], row by row."""
    return hashlib.sha256(image_u8.contiguous().numpy().tobytes()).hexdigest()


@dataclass(frozen=True)
class Retry:
    """Makes images again that are not finite, constant or equal to another one.

    Such an image is made alone, its batch filled with itself, so that it can be made again without
    its neighbours. One that no attempt mends stays as it was, to be reported. Where most of a batch
    fails the model is at fault and not the seed, and nothing is tried.

    Attributes:
        make: images asked for to a batch.
        attempts: further ones an image.
    """

    make: Callable[[Sequence[Asked]], Batch]
    attempts: int

    def __call__(
        self,
        batch: Batch,
        asked: Sequence[Asked],
        *,
        leave: Set[int],
        known: Callable[[str], bool],
    ) -> tuple[Batch, tuple[int, ...]]:
        """Mend a batch.

        Args:
            batch: as it was made.
            asked: what was asked for, one an image.
            leave: places of the batch that are not wanted again.
            known: whether pixels of this digest are in the dataset already.

        Returns:
            The batch, and the attempt that each of its images is from.
        """
        met: set[str] = set()
        tries = [0] * len(asked)
        places = [place for place in range(len(asked)) if place not in leave]
        failed = [place for place in places if not _good(batch, place, known, met)]
        if not failed or len(failed) > max(1, len(asked) // 2):
            return batch, tuple(tries)
        for place in failed:
            for attempt in range(1, self.attempts + 1):
                again = replace(asked[place], seed=attempt_seed(asked[place].seed, attempt))
                other = self.make([again])
                if _good(other, 0, known, met):
                    batch, tries[place] = _put(batch, place, other), attempt
                    break
        return batch, tuple(tries)


def _good(batch: Batch, place: int, known: Callable[[str], bool], met: set[str]) -> bool:
    """Whether an image shows something new; then it is remembered."""
    digest = pixel_sha256(batch.image_u8[place])
    new = not known(digest) and digest not in met
    good = batch.finite[place] and not batch.constant[place] and new
    if good:
        met.add(digest)
    return good


def _put(batch: Batch, place: int, other: Batch) -> Batch:
    images = batch.image_u8.clone()
    images[place] = other.image_u8[0]
    return Batch(
        batch.start,
        images,
        _with(batch.finite, place, other.finite[0]),
        _with(batch.contrast, place, other.contrast[0]),
    )


def _with(values: tuple[T, ...], place: int, value: T) -> tuple[T, ...]:
    return (*values[:place], value, *values[place + 1 :])
