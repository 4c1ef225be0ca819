"""The probe: a quick preview of downstream utility, by logistic regression on frozen features.

No network is trained. The features come from an extractor that has never seen a label, the same
for every arm; each arm fits its own logistic regression, chooses the strength of its penalty by the
same real validation patients from the same list, and is tested on held-out *real* patients. What a
frozen representation does not show, a probe cannot learn: its numbers are its own, and stand beside
those of trained classifiers (``metrics.utility``), never in their place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.arrays import Floats, Groups, features
from metrics.extract import features_of
from metrics.ingest import ImageSet
from metrics.intervals import resampling_weights
from metrics.logistic import Logistic, logistic_path
from metrics.probe_choice import Choice, choose
from metrics.seed_luck import seed_picks
from metrics.utility_arms import REAL, SYNTHETIC, Arm, arms_of, curve_of, shared_rows
from metrics.utility_groups import Members, members
from metrics.utility_held_out import held_out
from metrics.utility_leak import refuse_leak
from metrics.utility_scores import Bench, Judged, arm_scores, judged
from synth.config.schema import ProbeSection
from synth.errors import SynthError, UsageError
from synth.extractors.base import Extractor
from synth.extractors.classifier import Classifier

KIND = "probe"
ESTIMATOR = "logistic regression on frozen features"


@dataclass(frozen=True)
class Examples:
    """Features of images and what is to be learnt of them.

    Attributes:
        features: float64 [n, d].
        labels: float64 [n, findings], 1, 0 or NaN.
        patients: of each image; None: every image stands alone.
    """

    features: Floats
    labels: Floats
    patients: Groups = None

    def __len__(self) -> int:
        return len(self.labels)

    def __add__(self, other: Examples) -> Examples:
        return Examples(
            np.concatenate([self.features, other.features]),
            np.concatenate([self.labels, other.labels]),
        )

    def rows(self, rows: NDArray[np.intp]) -> Examples:
        """Some of them, without their patients."""
        return Examples(self.features[rows], self.labels[rows])


@dataclass(frozen=True)
class Fitted:
    """The probes of one arm.

    Attributes:
        models: one a strength, the strongest penalty first.
        strengths: in that order.
        choice: the one that validation patients choose, and those that resampled ones do.
        n_train: images fitted to.
    """

    models: Sequence[Logistic]
    strengths: Sequence[float]
    choice: Choice
    n_train: int

    @property
    def model(self) -> Logistic:
        """The chosen one."""
        return self.models[self.choice.best]


def linear_probe(
    *,
    real: Examples,
    synthetic: Examples,
    test: Examples,
    validation: Examples | None,
    findings: Sequence[str],
    settings: ProbeSection,
    groups: Mapping[str, Members] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Fit and test the arms.

    Args:
        real: training images.
        synthetic: synthetic images with their conditioned labels.
        test: real images of other patients.
        validation: real images of yet other patients, which choose the penalty; None where there
            is one strength to choose from.
        findings: the columns' names.
        settings: arms and strengths, the same for every arm.
        groups: members of each group of test patients, by attribute.
        resamples: of test patients, for how arms and findings go together in intervals, and of the
            validation patients who choose.
        seed: of the parts taken of the synthetic images, and of the resamples.

    Returns:
        ``{"arms", "curve", "not_trained"}`` as ``metrics.utility``; an arm has ``strength``, the
        share of resampled validation patients that choose the same one (``strength_certainty``),
        and ``one_sided``, the findings that it could not learn, in place of steps and learning
        rates.

    Raises:
        SynthError: arrays that do not fit, NaN or infinite features.
        UsageError: several strengths, and no patients to choose between them.
    """
    sides = {"real": real, "synthetic": synthetic, "test": test} | (
        {} if validation is None else {"validation": validation}
    )
    _check(sides, findings, settings)
    arms, left_out = arms_of(
        settings.arms, settings.alphas, n_real=len(real), n_synthetic=len(synthetic)
    )
    bench = Bench(
        truth=test.labels,
        findings=tuple(findings),
        patients=test.patients,
        groups={name: dict(held) for name, held in (groups or {}).items()},
        weights=resampling_weights(len(test), test.patients, resamples=resamples, seed=seed),
        picks=seed_picks(1, resamples, seed),
        validation=None if validation is None else validation.labels,
    )
    draws = {"resamples": resamples, "seed": seed}
    fitted = {
        arm.name: _fit(_training(arm, real, synthetic, seed), validation, settings, **draws)
        for arm in arms
    }
    said = {name: _judged(one, test, validation, bench) for name, one in fitted.items()}
    return {
        "arms": {
            name: arm_scores(said[name], said[REAL], bench)
            | {
                "n_train": one.n_train,
                "strength": one.strengths[one.choice.best],
                "strength_certainty": float((one.choice.resampled == one.choice.best).mean()),
                "one_sided": [
                    finding
                    for finding, learnt in zip(findings, one.model.learnt, strict=True)
                    if not learnt
                ],
            }
            for name, one in fitted.items()
        },
        "curve": curve_of(arms, n_real=len(real), n_synthetic=len(synthetic)),
        "not_trained": left_out,
    }


def _check(sides: Mapping[str, Examples], findings: Sequence[str], settings: ProbeSection) -> None:
    wide = {
        features(side, one.features, least=1 if side == "validation" else 2).shape[1]
        for side, one in sides.items()
    }
    if len(wide) > 1:
        raise SynthError(
            "features have different dimensions",
            where="probe",
            got=sorted(wide),
            fix="Take all from the same extractor.",
        )
    for side, one in sides.items():
        if one.labels.shape != (len(one.features), len(findings)):
            raise SynthError(
                "labels do not fit the features",
                where=f"probe, {side}",
                got=one.labels.shape,
                expected=(len(one.features), len(findings)),
            )
    if "validation" not in sides and len(settings.strengths) > 1:
        raise UsageError(
            "no real validation patients to choose a penalty by",
            where="metrics.probe.strengths",
            got=f"{len(settings.strengths)} strengths",
            fix="Give one strength, or more labelled patients.",
        )


def _training(arm: Arm, real: Examples, synthetic: Examples, seed: int) -> Examples:
    if arm.alpha is not None:
        part = shared_rows(arm.alpha, n_real=len(real), n_synthetic=len(synthetic), seed=seed)
        return real + synthetic.rows(part)
    return {REAL: real, SYNTHETIC: synthetic}.get(arm.name) or real + synthetic


def _fit(
    data: Examples,
    validation: Examples | None,
    settings: ProbeSection,
    *,
    resamples: int,
    seed: int,
) -> Fitted:
    strengths = sorted(settings.strengths, reverse=True)
    models = logistic_path(data.features, data.labels, strengths)
    choice = Choice(0, np.zeros(resamples, dtype=np.intp))
    if validation is not None:
        seen = [model.logits(validation.features) for model in models]
        choice = choose(
            seen, validation.labels, validation.patients, resamples=resamples, seed=seed
        )
    return Fitted(models, strengths, choice, len(data))


def _judged(one: Fitted, test: Examples, validation: Examples | None, bench: Bench) -> Judged:
    """The chosen model, with draws of whichever model the resampled validation patients choose."""

    def by(model: Logistic) -> Judged:
        seen = None if validation is None else model.probabilities(validation.features)
        return judged([model.probabilities(test.features)], [seen], bench)

    chosen = by(one.model)
    draws = chosen.draws.copy()
    for index in np.unique(one.choice.resampled).tolist():
        if index != one.choice.best:
            other, rows = by(one.models[index]), one.choice.resampled == index
            draws[:, rows] = other.draws[:, rows]
    return replace(chosen, draws=draws)


def probe_utility(
    *,
    real: ImageSet,
    synthetic: ImageSet,
    test: ImageSet,
    extractor: Extractor,
    findings: Sequence[str],
    settings: ProbeSection,
    resamples: int = 1000,
    seed: int = 0,
    store: Path | None = None,
) -> dict[str, Any]:
    """The probe of image sets; see ``linear_probe``.

    Args:
        real: real training images.
        synthetic: synthetic images with their conditioned labels.
        test: held-out real images; those of its validation split only choose. Without such, 15 %
            of the training patients are set aside for that.
        extractor: of the features; one that has seen no label.
        findings: what to tell apart.
        settings: arms and strengths.
        resamples: of test patients.
        seed: as ``linear_probe``.
        store: folder of kept features; None keeps nothing.

    Returns:
        The ``probe`` structure of ``metrics.records``.

    Raises:
        SynthError: a test patient, image or report is among the training images, or the extractor
            was fitted to labels: the synthetic arm would learn from real labels through it.
    """
    refuse_leak(real, test)
    refuse_leak(synthetic, test)
    if isinstance(extractor, Classifier):
        raise SynthError(
            "features of a classifier fitted to real labels would teach them to every arm",
            where="probe",
            got=extractor.id,
            expected="an extractor that has seen no label",
            fix="Use random-conv, or name a network.",
        )
    names = tuple(findings)
    parts = held_out(real, test, findings=names, seed=seed)

    def examples(images: ImageSet) -> Examples:
        held = features_of(extractor, images, store=store)
        values = np.asarray(held.values, dtype=np.float64)
        return Examples(values, images.columns(names), images.groups)

    found = linear_probe(
        real=examples(parts.train),
        synthetic=examples(synthetic),
        test=examples(parts.test),
        validation=None if parts.validation is None else examples(parts.validation),
        findings=names,
        settings=settings,
        groups=members(parts.test),
        resamples=resamples,
        seed=seed,
    )
    return {
        "kind": KIND,
        "estimator": ESTIMATOR,
        "note": "a probe is a preview: compare it with no trained classifier",
        "extractor": extractor.id,
        "extractor_sha256": extractor.weights_sha256,
        "preprocessing": extractor.preprocessing,
        "settings": settings.model_dump(mode="json"),
        "seed": seed,
        "validation": parts.source,
        "n_validation": 0 if parts.validation is None else len(parts.validation),
        "n_test": len(parts.test),
        "n_test_patients": len(set(parts.test.groups or parts.test.ids)),
        "n_real": len(parts.train),
        "n_synthetic": len(synthetic),
        **found,
    }
