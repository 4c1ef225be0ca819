"""Which penalty real validation patients choose for a probe, and how often they might have erred.

Macro AUROC of a few dozen patients hardly tells penalties apart: it may choose one that ranks test
patients far worse, and differently from arm to arm. Cross-entropy tells more. Its intercept is set
anew for each finding on the validation patients, so that a synthetic set that shows a finding more
often than hospitals do is not punished for it: what counts is how the images are told apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit

from metrics.arrays import Floats, Groups
from metrics.intervals import resampling_weights
from metrics.utility_trainer import judged_columns
from synth.errors import SynthError
from synth.seeding import seed_from


@dataclass(frozen=True)
class Choice:
    """A choice among candidates.

    Attributes:
        best: the chosen one.
        resampled: int [resamples], the one that resampled validation patients choose.
    """

    best: int
    resampled: NDArray[np.intp]


def choose(
    candidates: Sequence[Floats], labels: Floats, patients: Groups, *, resamples: int, seed: int
) -> Choice:
    """The candidate with the least mean cross-entropy over findings; of equals the first.

    Args:
        candidates: logits [n, findings] of the validation images, one array a candidate.
        labels: [n, findings], 1, 0 or NaN; only findings that are seen both ways count.
        patients: of each image; they are resampled whole.
        resamples: how often.
        seed: of the resamples, the same for every arm.

    Raises:
        SynthError: no finding is seen both ways.
    """
    columns = judged_columns(labels)
    if not columns:
        raise SynthError("no finding is seen present and absent", where="validation patients")
    weights = resampling_weights(
        len(labels), patients, resamples=resamples, seed=seed_from("probe-choice", seed)
    )
    losses = [cross_entropy(logits[:, columns], labels[:, columns]) for logits in candidates]
    whole = np.ones((1, len(labels)))
    best = int(np.argmin([_mean(loss, whole)[0] for loss in losses]))
    return Choice(best, np.argmin([_mean(loss, weights) for loss in losses], axis=0))


def cross_entropy(logits: Floats, labels: Floats) -> Floats:
    """Cross-entropy of each image and finding after the finding's best shift; NaN where unknown.

    Args:
        logits: [n, findings].
        labels: [n, findings], 1, 0 or NaN, with both values in every column.

    Returns:
        float64 [n, findings].
    """
    found = np.full(labels.shape, np.nan)
    for column in range(labels.shape[1]):
        known = np.isfinite(labels[:, column])
        truth, shown = labels[known, column], logits[known, column]
        shown = shown + _shift(shown, truth)
        found[known, column] = np.logaddexp(0.0, shown) - truth * shown
    return found


def _shift(logits: Floats, truth: Floats) -> float:
    """The intercept at which the mean probability is the share of positives."""
    far = float(np.abs(logits).max()) + 40.0
    return float(brentq(lambda shift: (expit(logits + shift) - truth).mean(), -far, far))


def _mean(loss: Floats, weights: Floats) -> Floats:
    """Mean over findings of each one's weighted mean over images, [rows of weights]."""
    known = np.isfinite(loss)
    total = weights @ known
    means = weights @ np.where(known, loss, 0.0) / np.where(total > 0, total, 1.0)
    seen = total > 0  # a resample may hold no image that states a finding
    return np.asarray((means * seen).sum(axis=1) / np.maximum(seen.sum(axis=1), 1))
