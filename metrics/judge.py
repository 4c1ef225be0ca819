"""The judge: a classifier of findings fitted on real training images, and what it says."""

from __future__ import annotations

from typing import Any

from metrics.chosen import Choices
from metrics.ingest import ImageSet
from metrics.label_fidelity import label_fidelity
from metrics.sets import Sets, Work
from synth.extractors.classifier import Classifier, fit_classifier, one_thread
from synth.families.device import select_device

MIN_JUDGE = 40  # labelled training images below which no classifier is worth fitting


def fit_judge(sets: Sets, choices: Choices, work: Work) -> Classifier | None:
    """A classifier of findings, fitted on real training images alone, where one is asked for."""
    train, settings = sets.train, work.settings
    named = choices.extractors or (settings.extractor,)
    resting = {"label fidelity": choices.wants("label-fidelity")}
    resting["utility"] = choices.wants("utility") and settings.utility is not None
    if not ("auto" in named or any(resting.values())):
        return None
    findings = [] if train is None else _told_apart(train)
    if train is None or not findings or len(train) < MIN_JUDGE:
        why = sets.untrained if train is None else _why_no_judge(train, findings)
        for what, asked in resting.items():
            if asked:
                work.skip(what, why)
        return None
    work.progress.stage("fitting the judge on real training images")
    with one_thread():
        return fit_classifier(
            train.image_u8,
            train.columns(findings),
            findings=findings,
            steps=settings.classifier_steps,
            seed=settings.seed,
            image_size=settings.image_size,
            device=select_device(settings.device).type,
        )


def _told_apart(train: ImageSet) -> list[str]:
    """Findings that at least two images show and two do not."""
    return [
        name
        for name in train.findings
        if min(((column := train.columns([name])) == 1).sum(), (column == 0).sum()) >= 2
    ]


def _why_no_judge(train: ImageSet, findings: list[str]) -> str:
    if not train.findings:
        return f"no labels on the training images of {train.folder} to fit a judge on"
    return (
        f"a judge needs {MIN_JUDGE} training images and a finding seen present and absent; "
        f"got {len(train)} images and {len(findings)} such findings"
    )


def judged(
    judge: Classifier | None, made: ImageSet | None, sets: Sets, work: Work, what: str
) -> dict[str, Any] | None:
    """Label fidelity of one set of images; None where there is no judge or no label."""
    if judge is None or made is None:
        return None
    if not set(made.findings) & set(judge.findings):
        work.skip(what, f"no conditioned labels in {made.folder}")
        return None
    with one_thread():
        return label_fidelity(
            judge,
            synthetic=made,
            real=sets.real,
            resamples=work.settings.bootstrap,
            seed=work.settings.seed,
        )
