"""What a filter is: an image and what it was to show in, scores and perhaps a reason out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor

from synth.manifest import Label

PASSED = {  # the setting that turns a filter on: what it says of an image that passes
    "labels": "labels_agree",
    "alignment": "text_agrees",
    "memorization": "not_memorized",
    "distribution": "in_distribution",
    "quality": "quality",
    "near_duplicates": "not_near_duplicate",
}


class Wish(Protocol):
    """What an image was to show; a planned row is one."""

    @property
    def prompt(self) -> str: ...  # noqa: D102  the text

    @property
    def labels(self) -> Mapping[str, Label]: ...  # noqa: D102  1 and 0 are asked for, others not


@dataclass(frozen=True)
class Mark:
    """What one filter says of one image.

    Attributes:
        scores: everything measured, by name; there whether the image passes or not.
        reasons: why it is rejected, a phrase each; none where it passes.
    """

    scores: dict[str, float]
    reasons: tuple[str, ...] = ()


class Filter(Protocol):
    """One filter with its limits, a function of the image and the wish alone."""

    @property
    def name(self) -> str: ...  # noqa: D102  the setting that turns it on

    def __call__(self, image_u8: Tensor, wish: Wish) -> Mark:
        """Judge uint8 [1, 1, H, W]."""
        ...


@dataclass(frozen=True)
class Verdict:
    """What all filters say of one image.

    Attributes:
        passed: one flag a filter, by the names of ``PASSED``.
        scores: everything measured, rounded as it is recorded.
        reasons: why it is rejected, a phrase each.
        phash: perceptual hash, for the comparison with other images.
    """

    passed: dict[str, bool]
    scores: dict[str, float]
    reasons: tuple[str, ...]
    phash: str

    @property
    def good(self) -> bool:
        """Whether every filter passes it."""
        return all(self.passed.values())


@dataclass(frozen=True)
class Rejected:
    """An attempt that was rejected.

    Attributes:
        attempt: which.
        seed: of its noise.
        failed: names in ``PASSED``, or of the checks that need no calibration.
        reasons: a phrase each.
        scores: everything measured.
        image_u8: uint8 [1, H, W]; None where the row's own file holds it.
    """

    attempt: int
    seed: int
    failed: tuple[str, ...]
    reasons: tuple[str, ...]
    scores: dict[str, float] = field(default_factory=dict)
    image_u8: Tensor | None = None

    def to_json(self, file_name: str = "") -> dict[str, Any]:
        """For the row of the image that replaced it, or that did no better."""
        values: dict[str, Any] = {
            "attempt": self.attempt,
            "seed": self.seed,
            "failed": list(self.failed),
            "reasons": list(self.reasons),
            "scores": self.scores,
        }
        return values | ({"file_name": file_name} if file_name else {})


@dataclass(frozen=True)
class Outcome:
    """How the attempts at an image ended.

    Attributes:
        attempt: that the image is from.
        verdict: of that attempt.
        rejected: the other attempts.
    """

    attempt: int
    verdict: Verdict
    rejected: tuple[Rejected, ...] = ()
