"""Images that show nothing, or what another shows already, made again with the next seed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, replace
from typing import TypeVar

from torch import Tensor

from sample.filters.base import Outcome, Rejected, Verdict, Wish
from sample.filters.judge import Judge
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


@dataclass(frozen=True)
class JudgedRetry:
    """Makes images again that a filter refuses, or that show nothing; nothing is written unseen.

    Every image has its own budget of attempts, each made in a batch of one, so that what an attempt
    shows and whether it passes do not depend on the batch. An image that no attempt mends stays as
    it was first, rejected.

    Attributes:
        make_alone: an image asked for to a batch of one.
        attempts: further ones an image.
        judge: the filters.
    """

    make_alone: Callable[[Sequence[Asked]], Batch]
    attempts: int
    judge: Judge

    def __call__(
        self,
        batch: Batch,
        asked: Sequence[Asked],
        wishes: Sequence[Wish],
        *,
        leave: Set[int],
        known: Callable[[str], bool],
    ) -> tuple[Batch, tuple[Outcome | None, ...]]:
        """Judge a batch and mend it.

        Args:
            batch: as it was made.
            asked: what was asked for, one an image.
            wishes: what the images were to show.
            leave: places of the batch that are not wanted again.
            known: whether pixels of this digest are in the dataset already.

        Returns:
            The batch, and how each image came about; None for those left.
        """
        met: set[str] = set()
        outcomes: list[Outcome | None] = []
        for place, wish in enumerate(wishes):
            if place in leave:
                outcomes.append(None)
                continue

            def is_known(digest: str) -> bool:
                return known(digest) or digest in met

            first = _attempted(self.judge, batch, place, asked[place].seed, 0, wish, is_known)
            outcome = Outcome(0, first.verdict)
            if not first.good:
                batch, outcome = self._mend(batch, place, asked[place], wish, first, is_known)
            met.add(pixel_sha256(batch.image_u8[place]))
            outcomes.append(outcome)
        return batch, tuple(outcomes)

    def attempt(
        self, asked: Asked, wish: Wish, attempt: int, known: Callable[[str], bool]
    ) -> Attempted:
        """Make one attempt at an image, and judge it.

        Args:
            asked: what was asked for, with the seed of the first attempt.
            wish: what the image is to show.
            attempt: which, from 1.
            known: whether pixels of this digest are in the dataset already.
        """
        seed = attempt_seed(asked.seed, attempt)
        made = self.make_alone([replace(asked, seed=seed)])
        return _attempted(self.judge, made, 0, seed, attempt, wish, known)

    def _mend(
        self,
        batch: Batch,
        place: int,
        asked: Asked,
        wish: Wish,
        first: Attempted,
        known: Callable[[str], bool],
    ) -> tuple[Batch, Outcome]:
        tried = [first.rejected()]
        for number in range(1, self.attempts + 1):
            found = self.attempt(asked, wish, number, known)
            if found.good:
                mended = _put(batch, place, found.batch)
                return mended, Outcome(number, found.verdict, tuple(tried))
            tried.append(found.rejected())
        return batch, Outcome(0, first.verdict, tuple(tried[1:]))


@dataclass(frozen=True)
class Attempted:
    """An image that was made and judged.

    Attributes:
        attempt: which.
        seed: of its noise.
        batch: that it was made in.
        place: in the batch.
        failed: checks that need no calibration and that it fails.
        verdict: of the filters.
    """

    attempt: int
    seed: int
    batch: Batch
    place: int
    failed: tuple[str, ...]
    verdict: Verdict

    @property
    def image_u8(self) -> Tensor:
        """uint8 [1, H, W]."""
        return self.batch.image_u8[self.place]

    @property
    def good(self) -> bool:
        """Whether it passes every check and filter."""
        return not self.failed and self.verdict.good

    def rejected(self) -> Rejected:
        """The record of an attempt that is not used."""
        names = (*self.failed, *(name for name, good in self.verdict.passed.items() if not good))
        reasons = (*(_REASONS[name] for name in self.failed), *self.verdict.reasons)
        scores = self.verdict.scores
        return Rejected(self.attempt, self.seed, names, reasons, scores, self.image_u8)


_REASONS = {
    "finite": "not finite",
    "not_constant": "one grey all over",
    "not_duplicate": "the pixels of another image",
}


def _attempted(
    judge: Judge,
    batch: Batch,
    place: int,
    seed: int,
    attempt: int,
    wish: Wish,
    known: Callable[[str], bool],
) -> Attempted:
    image_u8 = batch.image_u8[place]
    checks = {
        "finite": batch.finite[place],
        "not_constant": not batch.constant[place],
        "not_duplicate": not known(pixel_sha256(image_u8)),
    }
    failed = tuple(name for name, good in checks.items() if not good)
    return Attempted(attempt, seed, batch, place, failed, judge(image_u8, wish))


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
