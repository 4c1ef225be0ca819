"""The ``failures`` of ``scores.json``: the worst images by their files, from what is in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from metrics.arrays import Floats
from metrics.distances import Features
from metrics.extract import features_of
from metrics.failures import SHOWN, Failure, misjudged, outlying, repeated
from metrics.ingest import ImageSet
from metrics.sets import Sets, Work
from synth.extractors.classifier import Classifier, one_thread
from synth.extractors.pixel import PixelExtractor

_SIDE = 32  # pixels at which repeats are looked for, as copies are


def failures_section(
    sets: Sets,
    judge: Classifier | None,
    features: tuple[Features, Features] | None,
    copies: Mapping[str, Any] | None,
    work: Work,
) -> tuple[dict[str, Any], ...]:
    """The ``failures`` of ``scores.json``, reason by reason, worst first.

    Args:
        sets: the images.
        judge: fitted on real training images; None leaves its two reasons out.
        features: real and synthetic, of the first extractor; None leaves ``far`` out.
        copies: the ``memorization`` of ``scores.json``; None leaves ``copy`` out.
        work: told of the stage.
    """
    work.progress.stage("the worst images")
    made = sets.synthetic
    found: list[dict[str, Any]] = []
    if judge is not None and set(judge.findings) & set(made.findings):
        found += [_entry(one, made) for one in _judged(sets, judge)]
    if features is not None:
        real, synthetic = (_double(side) for side in features)
        far = outlying(
            real=real,
            synthetic=synthetic,
            real_groups=features[0].groups,
            most=SHOWN["far"],
            seed=work.settings.seed,
        )
        found += [_entry(one, made, sets.real, "real") for one in far]
    again = _repeats(sets, seed=work.settings.seed)
    return (
        *found,
        *_copies(copies or {}),
        *(_entry(one, made, made, "synthetic") for one in again),
    )


def _double(features: Features) -> Floats:
    return np.asarray(features.values, dtype=np.float64)


def _repeats(sets: Sets, *, seed: int) -> list[Failure]:
    """Repeats among the synthetic images; training images, which are more, set the limit."""
    reference = sets.train if sets.train is not None else sets.real
    pixels = PixelExtractor(_SIDE)
    return repeated(
        real=_double(features_of(pixels, reference)),
        synthetic=_double(features_of(pixels, sets.synthetic)),
        real_groups=reference.groups,
        most=SHOWN["repeat"],
        seed=seed,
    )


def _judged(sets: Sets, judge: Classifier) -> list[Failure]:
    with one_thread():
        made, seen = (
            judge.probabilities(images.image_u8) for images in (sets.synthetic, sets.real)
        )
    names = judge.findings
    return [
        failure
        for state, reason in ((1, "absent"), (0, "present"))
        for failure in misjudged(
            state=state,
            probabilities=made,
            asked=sets.synthetic.columns(names),
            real_probabilities=seen,
            truth=sets.real.columns(names),
            findings=names,
            most=SHOWN[reason],
        )
    ]


def _entry(
    failure: Failure, made: ImageSet, others: ImageSet | None = None, role: str = ""
) -> dict[str, Any]:
    other = None if others is None or failure.other is None else failure.other
    return {
        "synthetic": made.names[failure.row],
        "synthetic_id": made.ids[failure.row],
        "reason": failure.reason,
        "finding": failure.finding or None,
        "score": failure.score,
        "limit": failure.limit,
        "beyond": failure.beyond,
        "other": None if others is None or other is None else others.names[other],
        "other_id": None if others is None or other is None else others.ids[other],
        "other_set": role or None,
    }


def _copies(copies: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The closest pairs of the memorization section, which have their limit already."""
    limit = (copies.get("histogram") or {}).get("limit")
    return [
        {
            "synthetic": pair["synthetic"],
            "synthetic_id": pair["synthetic_id"],
            "reason": "copy",
            "finding": None,
            "score": pair["distance"],
            "limit": limit,
            "beyond": None if limit is None else pair["distance"] < limit,
            "other": pair["real"],
            "other_id": pair["real_id"],
            "other_set": "train",
        }
        for pair in list(copies.get("pairs") or ())[: SHOWN["copy"]]
    ]
