"""Image-text alignment: are an image and its text as close as real images and reports are?

Only an extractor with a text side can say: one that puts images and texts into one space
(``synth.extractors.text_side``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sample.filters.base import Mark, Wish
from sample.filters.limits import joint_limits
from synth.extractors.base import in_batches
from synth.extractors.open import open_extractor
from synth.extractors.text_side import Joint, joint


@dataclass(frozen=True)
class AlignmentFilter:
    """Refuses images whose cosine with their text is below ``limit``."""

    reader: Joint
    limit: float

    name = "alignment"

    def __call__(self, image_u8: Tensor, wish: Wish) -> Mark:
        """Judge uint8 [1, 1, H, W]; a text that was cut to be read is marked."""
        cosine, truncated = text_cosine(self.reader, image_u8, wish.prompt)
        reason = f"unlike its text (cosine {cosine:.3f}, limit {self.limit:.3f})"
        scores = {"text_cosine": cosine, "text_truncated": float(truncated)}
        return Mark(scores, (reason,) if cosine < self.limit else ())


def text_reader(text: str) -> Joint:
    """The extractor of a description with its text side, on the CPU, as verdicts must be.

    Args:
        text: as ``synth.extractors.open`` takes it: ``hf:FOLDER``, ``open_clip:NAME``.

    Raises:
        UsageError: nothing is known by that name.
        Unavailable: it has no text side, or an extra is not installed.
        SynthError: weights or tokenizer cannot be read.
    """
    return joint(
        open_extractor(text),
        named=text,
        where="sample.filters.alignment",
        fix="Give another, or null: `labels` compares images with what their texts state.",
    )


def text_cosine(reader: Joint, image_u8: Tensor, text: str) -> tuple[float, bool]:
    """Cosine between uint8 [1, 1, H, W] and its text, and whether the text was cut.

    One pair at a time: no batch changes it.
    """
    image = in_batches(reader.images, image_u8)[0].double().numpy()
    words = reader.texts([text])
    vector = words.values[0].double().numpy()
    length = max(np.linalg.norm(image) * np.linalg.norm(vector), 1e-12)
    return float(image @ vector / length), words.truncated[0]


def calibrate(cosines: NDArray[np.float64], reject: float) -> float:
    """Limit from the cosines [n] of real images with their own texts."""
    return float(joint_limits(cosines[:, None], reject)[0])
