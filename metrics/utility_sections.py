"""Further kinds of utility in ``scores.json``: which can be computed, and why the others cannot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from metrics.chosen import Choices
from metrics.ingest import ImageSet
from metrics.probe import probe_utility
from metrics.segmentation import segmentation_utility
from metrics.sets import Sets, Work
from metrics.utility_retrieval import retrieval_utility
from synth.errors import SynthError
from synth.extractors.base import Extractor
from synth.extractors.open import open_extractor
from synth.families.device import select_device

_LEAST = 2  # real training images with a finding, and without it, to tell it apart


def further_utility(sets: Sets, choices: Choices, work: Work) -> dict[str, dict[str, Any] | None]:
    """By name, each None where it was not asked for or cannot be computed."""
    kinds: dict[str, Callable[[ImageSet], dict[str, Any]]] = {
        "probe": lambda train: _probe(train, sets, choices, work),
        "retrieval": lambda train: _retrieval(train, sets, work),
        "segmentation": lambda train: _segmentation(train, sets, work),
    }
    found: dict[str, dict[str, Any] | None] = dict.fromkeys(kinds)
    for name, measure in kinds.items():
        if not choices.wants(name):
            continue
        if getattr(work.settings, name) is None:
            work.skip(name, f"metrics.{name} is null")
        elif sets.train is None:
            work.skip(name, sets.untrained)
        else:
            try:
                found[name] = measure(sets.train)
            except SynthError as error:
                work.skip(name, str(error))
    return found


def _probe(train: ImageSet, sets: Sets, choices: Choices, work: Work) -> dict[str, Any]:
    settings = work.settings
    assert settings.probe is not None
    findings = _shared_findings(train, sets)
    if not findings:
        raise SynthError("real and synthetic labels have no finding in common")
    work.progress.stage("probe on frozen features")
    return probe_utility(
        real=train,
        synthetic=sets.synthetic,
        test=sets.real,
        extractor=_unlabelled_extractor(choices, work),
        findings=findings,
        settings=settings.probe,
        resamples=settings.bootstrap,
        seed=settings.seed,
        store=choices.store,
    )


def _retrieval(train: ImageSet, sets: Sets, work: Work) -> dict[str, Any]:
    settings = work.settings
    assert settings.retrieval is not None
    work.progress.stage("retrieval utility")
    return retrieval_utility(
        real=train,
        synthetic=sets.synthetic,
        test=sets.real,
        settings=settings.retrieval,
        image_size=settings.image_size,
        resamples=settings.bootstrap,
        seed=settings.seed,
        device=select_device(settings.device).type,
        progress=work.progress,
    )


def _segmentation(train: ImageSet, sets: Sets, work: Work) -> dict[str, Any]:
    settings = work.settings
    assert settings.segmentation is not None
    work.progress.stage("segmentation utility")
    return segmentation_utility(
        real=train,
        synthetic=sets.synthetic,
        test=sets.real,
        settings=settings.segmentation,
        image_size=settings.image_size,
        resamples=settings.bootstrap,
        seed=settings.seed,
        device=select_device(settings.device).type,
        progress=work.progress,
    )


def _shared_findings(train: ImageSet, sets: Sets) -> list[str]:
    """Findings that training images show and lack, that synthetic ones have and tests state."""
    columns = {name: train.columns([name]) for name in train.findings}
    return [
        name
        for name, labels in columns.items()
        if min((labels == 1).sum(), (labels == 0).sum()) >= _LEAST
        and name in sets.synthetic.findings
        and np.isfinite(sets.real.columns([name])).any()
    ]


def _unlabelled_extractor(choices: Choices, work: Work) -> Extractor:
    """The first that was named; ``auto`` may mean the judge, which has seen the real labels."""
    named = choices.extractors or (work.settings.extractor,)
    text = next((name for name in named if name != "auto"), "random-conv")
    return open_extractor(text, device=select_device(work.settings.device).type)
