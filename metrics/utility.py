"""Downstream utility: is a classifier better for having the synthetic images?

Every arm trains the same network for the same number of gradient steps from the same seeds with
the same search, is stopped and chosen by the same real validation patients, and is tested on
held-out *real* patients:

    real                  real images alone: what the others are compared with
    real+synthetic        all synthetic images beside them
    real+<a>x synthetic   part of them, a share of the real count, for each of ``alphas``
    synthetic             synthetic images alone
    synthetic-then-real   half the steps on synthetic images, the rest on real ones
    real+augmented        as many altered copies of real images in place of the synthetic ones
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from metrics.ingest import ImageSet
from metrics.intervals import resampling_weights
from metrics.seed_luck import seed_picks
from metrics.utility_arms import Arm, Labelled, Trainer, arms_of, curve_of
from metrics.utility_fit import Job, Material, Outcome, outcomes
from metrics.utility_groups import members
from metrics.utility_held_out import Parts, held_out
from metrics.utility_jobs import by_arm
from metrics.utility_leak import refuse_leak
from metrics.utility_scores import Bench, arm_scores, judged
from synth.config.schema import UtilitySection
from synth.errors import UsageError
from synth.progress import Progress, Silent

__all__ = ["downstream_utility", "refuse_leak"]


def downstream_utility(
    *,
    real: ImageSet,
    synthetic: ImageSet,
    test: ImageSet,
    findings: Sequence[str],
    settings: UtilitySection,
    image_size: int,
    resamples: int = 1000,
    seed: int = 0,
    device: str = "cpu",
    trainer: Trainer | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train and test the arms.

    Args:
        real: real training images.
        synthetic: synthetic images with their conditioned labels.
        test: held-out real images; those of its validation split only stop and choose. Without
            such, 15 % of the training patients are set aside for that.
        findings: what to classify; each needs both values in ``real``.
        settings: arms, steps, seeds, batch and search, the same for every arm.
        image_size: side of the embedded classifier's input in pixels.
        resamples: of test patients, for how arms and findings go together in intervals.
        seed: of the seeds.
        device: a torch device name; on ``cpu`` the jobs share the cores.
        trainer: in place of the one that the settings name.
        progress: told of every classifier finished.

    Returns:
        The ``utility`` structure of ``metrics.records``; ``delta`` is the gain over ``real``.

    Raises:
        SynthError: a test patient, image or report is among the training images.
        UsageError: several learning rates, and no patients to choose between them.
    """
    refuse_leak(real, test)
    refuse_leak(synthetic, test)
    progress = progress or Silent()
    parts = _parts(real, test, tuple(findings), settings, seed)
    material = _material(parts, synthetic, tuple(findings), settings, image_size, device)
    arms, left_out = arms_of(
        settings.arms,
        settings.alphas,
        n_real=len(material.real),
        n_synthetic=len(material.synthetic),
    )
    jobs = [Job(arm, seed + number, material) for arm in arms for number in range(settings.seeds)]
    found = by_arm(jobs, outcomes(jobs, trainer), progress=progress, what="classifier")
    return {
        "steps": settings.steps,
        "seeds": settings.seeds,
        "batch": settings.batch,
        "network": settings.network,
        "learning_rates": list(settings.learning_rates),
        "early_stopping": material.validation is not None and settings.early_stopping,
        "validation": parts.source,
        "n_validation": 0 if parts.validation is None else len(parts.validation),
        "n_test": len(parts.test),
        "n_test_patients": len(set(parts.test.groups or parts.test.ids)),
        "arms": _scored(arms, found, _bench(parts, tuple(findings), settings, resamples, seed)),
        "curve": curve_of(arms, n_real=len(material.real), n_synthetic=len(material.synthetic)),
        "not_trained": left_out,
    }


def _parts(
    real: ImageSet, test: ImageSet, findings: tuple[str, ...], settings: UtilitySection, seed: int
) -> Parts:
    if not settings.early_stopping and len(settings.learning_rates) < 2:
        return Parts(real, None, test, "none: nothing is stopped early or searched")
    parts = held_out(real, test, findings=findings, seed=seed)
    if parts.validation is None and len(settings.learning_rates) > 1:
        raise UsageError(
            "no real validation patients to choose a learning rate by",
            where="metrics.utility.learning_rates",
            got=f"{len(settings.learning_rates)} rates, {parts.source.removeprefix('none: ')}",
            fix="Give one learning rate, or more labelled patients.",
        )
    return parts


def _material(
    parts: Parts,
    synthetic: ImageSet,
    findings: tuple[str, ...],
    settings: UtilitySection,
    image_size: int,
    device: str,
) -> Material:
    def labelled(images: ImageSet) -> Labelled:
        return Labelled(images.image_u8, images.columns(findings))

    return Material(
        real=labelled(parts.train),
        synthetic=labelled(synthetic),
        validation=None if parts.validation is None else labelled(parts.validation),
        test=parts.test.image_u8,
        findings=findings,
        settings=settings,
        image_size=image_size,
        device=device,
    )


def _bench(
    parts: Parts, findings: tuple[str, ...], settings: UtilitySection, resamples: int, seed: int
) -> Bench:
    test = parts.test
    return Bench(
        truth=test.columns(findings),
        findings=findings,
        patients=test.groups,
        groups=dict(members(test)),
        weights=resampling_weights(len(test), test.groups, resamples=resamples, seed=seed),
        picks=seed_picks(settings.seeds, resamples, seed),
        validation=None if parts.validation is None else parts.validation.columns(findings),
    )


def _scored(
    arms: Sequence[Arm], found: dict[str, list[Outcome]], bench: Bench
) -> dict[str, dict[str, Any]]:
    said = {
        name: judged([one.test for one in runs], [one.validation for one in runs], bench)
        for name, runs in found.items()
    }
    base = said[arms[0].name]
    return {
        arm.name: arm_scores(said[arm.name], base, bench)
        | {
            "n_train": found[arm.name][0].n_train,
            "steps": found[arm.name][0].steps,
            "candidates": found[arm.name][0].candidates,
            "learning_rates": [one.learning_rate for one in found[arm.name]],
        }
        for arm in arms
    }
