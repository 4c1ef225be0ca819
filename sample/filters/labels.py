"""Label consistency: does a classifier of real training images see what was asked for?

A finding asked for needs a probability as high as real validation images with it have, one asked to
be absent as low as those without it. Uncertain and unstated labels are not judged, nor is a finding
of which too few validation images are known. A finding that the classifier cannot tell gets limits
that refuse next to nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sample.filters.base import Mark, Wish
from sample.filters.limits import joint_limits
from sample.filters.references import shrunk
from synth.extractors.classifier import Classifier

LEAST = 8  # validation images with, or without, a finding
_SURE = 1e-3  # probabilities closer to 0 or 1 than this count alike
_FAR = 50.0  # log-odds beyond which nothing is refused


@dataclass(frozen=True)
class LabelLimits:
    """Of one finding; None where too few validation images were known.

    Attributes:
        present: least probability of an image asked to show it.
        absent: highest probability of an image asked not to.
    """

    present: float | None
    absent: float | None


@dataclass(frozen=True)
class LabelFilter:
    """Refuses images whose findings the classifier does not see, or sees unasked."""

    classifier: Classifier
    limits: Mapping[str, LabelLimits]

    name = "labels"

    def __call__(self, image_u8: Tensor, wish: Wish) -> Mark:
        """Judge uint8 [1, 1, H, W]."""
        small = shrunk(image_u8, self.classifier.image_size)
        probabilities = self.classifier.probabilities(small)[0]
        found = dict(zip(self.classifier.findings, map(float, probabilities), strict=True))
        reasons = []
        for finding, value in found.items():
            label, limits = wish.labels.get(finding), self.limits[finding]
            if label == 1 and limits.present is not None and value < limits.present:
                reasons.append(
                    f"{_words(finding)} not seen ({value:.3f}, limit {limits.present:.3f})"
                )
            if label == 0 and limits.absent is not None and value > limits.absent:
                reasons.append(
                    f"{_words(finding)} seen unasked ({value:.3f}, limit {limits.absent:.3f})"
                )
        return Mark({f"p_{finding}": value for finding, value in found.items()}, tuple(reasons))


def calibrate(
    probabilities: NDArray[np.float64],
    labels: NDArray[np.float64],
    findings: tuple[str, ...],
    reject: float,
) -> dict[str, LabelLimits]:
    """Limits a finding, such that all of them together refuse ``reject`` of the images.

    Args:
        probabilities: [n, findings] of real images that the classifier was not fitted to.
        labels: [n, findings]: 1 present, 0 absent, NaN not judged.
        findings: the columns' names.
        reject: share of these images that may be rejected.
    """
    odds = _log_odds(probabilities)
    sides = [np.where(labels == 1, odds, np.nan), np.where(labels == 0, -odds, np.nan)]
    limits = joint_limits(np.hstack(sides), reject, least=LEAST)
    low, high = limits[: len(findings)], -limits[len(findings) :]
    return {
        finding: _parted(float(low[column]), float(high[column]))
        for column, finding in enumerate(findings)
    }


def _parted(present: float, absent: float) -> LabelLimits:
    """Limits, given in log-odds, that leave no gap.

    Where real images with and without a finding lie apart, both limits are the middle between them:
    an image seen at 0.998 is not refused because the worst real one was at 0.999.
    """
    if np.isfinite(present) and np.isfinite(absent) and present > absent:
        present = absent = (present + absent) / 2
    return LabelLimits(_probability(present), _probability(absent))


def _log_odds(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = np.clip(probabilities, _SURE, 1 - _SURE)
    found: NDArray[np.float64] = np.log(inside / (1 - inside))
    return found


def _probability(odds: float) -> float | None:
    return float(1 / (1 + np.exp(-np.clip(odds, -_FAR, _FAR)))) if np.isfinite(odds) else None


def _words(finding: str) -> str:
    return finding.replace("_", " ")
