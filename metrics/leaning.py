"""Where images lean: towards the sentence that states a finding, or the one that denies it.

The leaning is the difference of two cosines. Judged against the labels it has an AUROC, and its
sign a balanced accuracy, each with patients as units.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from metrics.arrays import Floats, Groups, features, group_names, picked
from metrics.delong import auroc_delong
from metrics.intervals import perfect_interval, student
from metrics.pairs import unit_vectors
from metrics.records import Estimate
from synth.errors import SynthError

AUROC = "AUROC of the difference of two cosines, DeLong clustered by patient"
ACCURACY = "balanced accuracy of its sign, patient-clustered t interval"
ALIKE = "interval withheld: the model gives both sentences alike"
_NO_SPREAD = 1e-12  # a standard error that is rounding alone
_DIGITS = 10  # sentences of equal features differ by rounding, which must not rank images


@dataclass(frozen=True)
class Judged:
    """One set of images against the sentences: N images and what is known of them.

    Attributes:
        leaning: float64 [N, findings], cosine with the stating minus that with the denying one.
        labels: float64 [N, findings], 1, 0 or NaN.
        groups: the patient of each image; None: every image stands alone.
    """

    leaning: Floats
    labels: Floats
    groups: Groups


def judged(
    *,
    images: ArrayLike,
    stating: ArrayLike,
    denying: ArrayLike,
    labels: ArrayLike,
    groups: Groups = None,
    side: str = "images",
) -> Judged:
    """Where images lean: towards the sentences that state, or those that deny.

    Args:
        images: [N, D] features.
        stating: [findings, D] features of the sentences that state each finding.
        denying: [findings, D] of those that deny it.
        labels: [N, findings], 1 present, 0 absent; anything else is left out.
        groups: the patient of each image; None: every image stands alone.
        side: for messages.

    Raises:
        SynthError: arrays that do not fit each other, or a vector of zeros.
    """
    seen = features(f"{side}: images", images)
    one, two = features("stating sentences", stating, 1), features("denying sentences", denying, 1)
    truth = np.asarray(labels, dtype=np.float64)
    _check_shapes(seen, one, two, truth, side)
    group_names(len(seen), groups, side=side)
    unit = unit_vectors(f"{side}: images", seen)
    ends = unit_vectors("stating sentences", one) - unit_vectors("denying sentences", two)
    known = np.where(np.isin(truth, (0.0, 1.0)), truth, np.nan)
    return Judged(np.round(unit @ ends.T, _DIGITS), known, groups)


def _check_shapes(seen: Floats, one: Floats, two: Floats, truth: Floats, side: str) -> None:
    if one.shape != two.shape or one.shape[1] != seen.shape[1]:
        raise SynthError(
            "images and sentences are not of one space",
            where=side,
            got=f"images {list(seen.shape)}, sentences {list(one.shape)} and {list(two.shape)}",
            fix="Take all from one extractor with a text side.",
        )
    if truth.shape != (len(seen), len(one)):
        raise SynthError(
            "one label an image and finding is needed",
            where=side,
            got=list(truth.shape),
            expected=[len(seen), len(one)],
        )


def labelled_cases(given: Judged, column: int, value: int) -> tuple[Floats, NDArray[np.str_]]:
    """Leaning of the images with one label, and their patients."""
    rows = np.flatnonzero(given.labels[:, column] == value)
    names = np.array(group_names(len(given.labels), given.groups, side="negation"))
    return given.leaning[rows, column], names[rows]


def fewest_patients(given: Judged, column: int) -> int:
    """Patients with a finding, or without it, whichever are fewer."""
    return min(len(np.unique(labelled_cases(given, column, label)[1])) for label in (1, 0))


def leaning_auroc(given: Judged, column: int) -> Estimate:
    """AUROC of the leaning against one finding's labels, uncertain and unstated ones left out."""
    known = np.flatnonzero(np.isfinite(given.labels[:, column]))
    truth, scores = given.labels[known, column], given.leaning[known, column]
    found = auroc_delong(truth, scores, picked(given.groups, known))
    note = ALIKE if found.ci is None else found.note
    return Estimate(found.value, found.se, found.ci, AUROC, note)


def leaning_accuracy(given: Judged, column: int) -> Estimate:
    """Mean of sensitivity and specificity of the sign, ties half; influences summed a patient."""
    shares, influence = [], dict[str, float]()
    for label in (1, 0):
        leaning, names = labelled_cases(given, column, label)
        towards = np.sign(leaning) * (1 if label else -1)
        right = 0.5 + 0.5 * towards
        shares.append(float(right.mean()))
        for name, one in zip(names.tolist(), (right - right.mean()) / len(right), strict=True):
            influence[name] = influence.get(name, 0.0) + 0.5 * float(one)
    value, count, rare = float(np.mean(shares)), len(influence), fewest_patients(given, column)
    se = float(np.sqrt(count / (count - 1) * sum(part**2 for part in influence.values())))
    if value in (0.0, 1.0):
        why = "all alike: the bound is that of the rarer class"
        return Estimate(value, se, perfect_interval(value, rare), ACCURACY, why)
    if se < _NO_SPREAD:
        return Estimate(value, se, None, ACCURACY, ALIKE)
    half = student(rare - 1) * se
    return Estimate(value, se, (max(0.0, value - half), min(1.0, value + half)), ACCURACY)


def p_of_chance(given: Judged, column: int) -> float:
    """Two-sided, that the AUROC is 0.5: on the logit scale, as its interval."""
    found = leaning_auroc(given, column)
    if not found.se:
        return 1.0 if found.value == 0.5 else min(1.0, 2.0 * 0.5 ** fewest_patients(given, column))
    area = found.value
    t = np.log(area / (1.0 - area)) * area * (1.0 - area) / found.se
    return float(2.0 * stats.t.sf(abs(t), fewest_patients(given, column) - 1))
