"""All filters on one image: what passes it, what refuses it, and every score."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from sample.filters.base import PASSED, Filter, Verdict, Wish
from synth.config.schema import FilterSection
from synth.data.near_duplicates import perceptual_hash
from synth.extractors.classifier import one_thread
from synth.manifest import sha256_text

_DIGITS = 6  # of a recorded score


@dataclass(frozen=True)
class Judge:
    """The filters that are on.

    Images are judged one at a time on one thread, so that a verdict is a function of the image, its
    wish and the calibration: not of the batch that it came in, nor of what was made before.

    Attributes:
        filters: in the order in which their reasons are given.
        settings: that turned them on.
        record: settings, limits and hashes of the calibration, for ``dataset.json``.
    """

    filters: tuple[Filter, ...]
    settings: FilterSection
    record: Mapping[str, Any]

    @property
    def sha256(self) -> str:
        """Digest of the record: datasets of different limits are different datasets."""
        return sha256_text(json.dumps(self.record, sort_keys=True))

    def __call__(self, image_u8: Tensor, wish: Wish) -> Verdict:
        """Judge one image.

        Args:
            image_u8: uint8 [1, H, W].
            wish: what it was to show.
        """
        passed: dict[str, bool] = {}
        scores: dict[str, float] = {}
        reasons: list[str] = []
        with one_thread():
            for judge in self.filters:
                mark = judge(image_u8[None], wish)
                passed[PASSED[judge.name]] = not mark.reasons
                scores |= {name: round(value, _DIGITS) for name, value in mark.scores.items()}
                reasons += mark.reasons
        phash = perceptual_hash(image_u8[0].numpy())
        return Verdict(passed, scores, tuple(reasons), phash)
