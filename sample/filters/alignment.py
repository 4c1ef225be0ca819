"""Image-text alignment: are an image and its text as close as real images and reports are?

Only an extractor with a text side can say: one that puts images and texts into one space.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sample.filters.base import Mark, Wish
from sample.filters.limits import joint_limits
from synth.errors import Unavailable
from synth.extractors import EXTRACTORS
from synth.extractors.base import in_batches


class TextExtractor(Protocol):
    """An extractor that also takes texts."""

    @property
    def id(self) -> str: ...  # noqa: D102  names weights and preprocessing

    def __call__(self, image_u8: Tensor) -> Tensor:
        """uint8 [N, 3, H, W] -> float32 [N, dim]."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Texts to float32 [N, dim], in the space of the images."""
        ...


@dataclass(frozen=True)
class AlignmentFilter:
    """Refuses images whose cosine with their text is below ``limit``."""

    extractor: TextExtractor
    limit: float

    name = "alignment"

    def __call__(self, image_u8: Tensor, wish: Wish) -> Mark:
        """Judge uint8 [1, 1, H, W]."""
        cosine = text_cosine(self.extractor, image_u8, wish.prompt)
        reason = f"unlike its text (cosine {cosine:.3f}, limit {self.limit:.3f})"
        return Mark({"text_cosine": cosine}, (reason,) if cosine < self.limit else ())


def text_extractor(name: str) -> TextExtractor:
    """The extractor of a name.

    Raises:
        UsageError: there is none of that name.
        Unavailable: it has no text side.
    """
    extractor: Any = EXTRACTORS.get(name)()
    if not hasattr(extractor, "encode_texts"):
        able = [other for other in EXTRACTORS.names() if _has_texts(other)]
        raise Unavailable(
            "an extractor without a text side cannot compare image and text",
            where="sample.filters.alignment",
            got=name,
            expected=f"one of {', '.join(able)}" if able else "none that is installed has one",
            fix="Give another, or null: `labels` compares images with what their texts state.",
        )
    found: TextExtractor = extractor
    return found


def _has_texts(name: str) -> bool:
    return hasattr(EXTRACTORS.get(name), "encode_texts")


def text_cosine(extractor: TextExtractor, image_u8: Tensor, text: str) -> float:
    """Cosine between uint8 [1, 1, H, W] and its text, one pair at a time: no batch changes it."""
    # An extractor of images alone by its type; this one has no name to be recorded under.
    image = in_batches(extractor, image_u8)[0].double().numpy()  # type: ignore[arg-type]
    words = extractor.encode_texts([text])[0].double().numpy()
    return float(image @ words / max(np.linalg.norm(image) * np.linalg.norm(words), 1e-12))


def calibrate(cosines: NDArray[np.float64], reject: float) -> float:
    """Limit from the cosines [n] of real images with their own texts."""
    return float(joint_limits(cosines[:, None], reject)[0])
