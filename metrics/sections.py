"""Parts of ``scores.json`` that rest on images: memorization, utility, reconstruction."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from metrics.copies_by_finding import copies_by_finding
from metrics.distances import ExtractorFacts, Features, of_extractor
from metrics.extract import facts_of, features_of
from metrics.held_out_floor import memorization_floors, nearer_to_training
from metrics.ingest import ImageSet
from metrics.memorization import Memorization, memorization
from metrics.reconstruction import reconstruction_psnr
from metrics.records import Estimate, Floor, Record
from metrics.sets import Sets, Work
from metrics.share_closer import ShareCloser
from metrics.utility import downstream_utility
from synth.config.schema import ModelSection
from synth.errors import SynthError
from synth.extractors.classifier import Classifier
from synth.extractors.pixel import PixelExtractor
from synth.families import load_family
from synth.families.device import select_device
from synth.provenance import versions

GALLERY = 8  # closest pairs kept
_REBUILT = 128  # images through the autoencoder; more would hardly narrow the interval
_PIXELS = 32  # side at which images are compared for copies
_NEARER = "chance that a synthetic image lies closer to training"


def memorization_section(sets: Sets, work: Work) -> dict[str, Any] | None:
    """Whether synthetic images lie closer to training images than held-out ones do."""
    if sets.train is None or len(sets.train) < 2:
        work.skip("memorization", sets.untrained or "copies are looked for from two images on")
        return None
    work.progress.stage("memorization")
    extractor = PixelExtractor(_PIXELS)
    train, held_out, synthetic = (
        features_of(extractor, images) for images in (sets.train, sets.real, sets.synthetic)
    )
    found = memorization(
        train=train.values,
        held_out=held_out.values,
        synthetic=synthetic.values,
        held_out_groups=sets.real.groups,
        synthetic_groups=sets.synthetic.groups,
    )
    facts = facts_of(extractor)
    floors = memorization_floors(
        train=train, held_out=held_out, synthetic=synthetic, seed=work.settings.seed
    )
    auc_floor = floors.get("auc")
    return {
        "auc": _record(found.auc, sets, facts, work, _NEARER, auc_floor),
        "share_closer": _share_closer(found.closer, sets, facts, work, floors.get("share_closer")),
        "nn_auc": _nearer_to_training(
            train, held_out, synthetic, floors.get("nn_auc"), facts, work
        ),
        "by_finding": _copies_by_finding(found, sets),
        "quantiles": found.quantiles(),
        "histogram": found.histogram(),
        "n_train": len(sets.train),
        "pairs": _pairs(found, sets.train, sets.synthetic),
    }


def _share_closer(
    found: ShareCloser, sets: Sets, facts: ExtractorFacts, work: Work, floor: Floor | None
) -> dict[str, Any]:
    """The share with what it takes to read it: p, what is expected, and how the limit was set."""
    of = f"the closest {found.rank}" if found.rank > 1 else "the closest"
    meaning = f"share closer to training than {of} of {found.patients} unseen patients"
    record = _record(found.estimate, sets, facts, work, meaning, floor)
    return record | {
        "details": {
            "p": found.p,
            "expected": found.expected,
            "at_most": found.at_most,
            "limit": found.limit,
            "rank": found.rank,
            "patients": found.patients,
        }
    }


def _copies_by_finding(found: Memorization, sets: Sets) -> dict[str, Any]:
    findings = [name for name in sets.real.findings if name in sets.synthetic.findings]
    if not findings:
        return {}
    return copies_by_finding(
        synthetic=found.synthetic,
        held_out=found.held_out,
        synthetic_labels=sets.synthetic.columns(findings),
        held_out_labels=sets.real.columns(findings),
        findings=findings,
        held_out_groups=sets.real.groups,
    )


def _nearer_to_training(
    train: Features,
    held_out: Features,
    synthetic: Features,
    floor: Floor | None,
    facts: ExtractorFacts,
    work: Work,
) -> dict[str, Any]:
    """Copies lie near training images alone; very typical images lie near unseen ones as well."""
    record = nearer_to_training(train, held_out, synthetic, seed=work.settings.seed)
    return replace(of_extractor(record, facts), floor=floor).to_json()


def _pairs(found: Memorization, train: ImageSet, made: ImageSet) -> list[dict[str, Any]]:
    """The closest synthetic images, each with its nearest training image."""
    return [
        {
            "synthetic": made.names[index],
            "synthetic_id": made.ids[index],
            "real": train.names[found.nearest[index]],
            "real_id": train.ids[found.nearest[index]],
            "distance": float(found.synthetic[index]),
        }
        for index in np.argsort(found.synthetic, kind="stable")[:GALLERY].tolist()
    ]


def utility_section(sets: Sets, judge: Classifier | None, work: Work) -> dict[str, Any] | None:
    """What classifiers gain from the synthetic images, on real test patients."""
    settings = work.settings
    if settings.utility is None:
        work.skip("utility", "switched off: metrics.utility is null")
        return None
    if judge is None or sets.train is None:
        return None  # ``fit_judge`` has said why
    findings = [
        name
        for name in judge.findings
        if name in sets.synthetic.findings and np.isfinite(sets.real.columns([name])).any()
    ]
    if not findings:
        work.skip("utility", "real and synthetic labels have no finding in common")
        return None
    work.progress.stage("downstream utility")
    try:
        return downstream_utility(
            real=sets.train,
            synthetic=sets.synthetic,
            test=sets.real,
            findings=findings,
            settings=settings.utility,
            image_size=settings.image_size,
            resamples=settings.bootstrap,
            seed=settings.seed,
            device=select_device(settings.device).type,
            progress=work.progress,
        )
    except SynthError as error:
        work.skip("utility", str(error))
        return None


def reconstruction_section(weights: str | None, sets: Sets, work: Work) -> dict[str, Any] | None:
    """What the generator's autoencoder loses of held-out images."""
    if weights is None:
        work.skip("reconstruction", "no weights named")
        return None
    work.progress.stage("autoencoder on held-out real images")
    device = select_device(work.settings.device)
    family = load_family(ModelSection(weights=weights), device=device, dtype=torch.float32)
    size = sets.real.image_u8.shape[-1]
    if size != family.size:
        work.skip("reconstruction", f"images of {size} px, a model of {family.size} px")
        return None
    shown = np.linspace(0, len(sets.real) - 1, min(len(sets.real), _REBUILT)).astype(int)
    groups = sets.real.groups
    estimate = reconstruction_psnr(
        family,
        sets.real.image_u8[torch.from_numpy(shown)],
        groups=None if groups is None else [groups[index] for index in shown],
    )
    facts = ExtractorFacts("autoencoder", f"autoencoder-{family.image_encoder_sha256[:12]}", "", "")
    record = _record(estimate, sets, facts, work, "how well the autoencoder keeps held-out images")
    counts = {"n_real": len(shown), "n_synthetic": 0}
    return {"psnr": record | counts | {"higher_is_better": True}}


def _record(
    estimate: Estimate,
    sets: Sets,
    facts: ExtractorFacts,
    work: Work,
    meaning: str,
    floor: Floor | None = None,
) -> dict[str, Any]:
    return Record(
        value=estimate.value,
        se=estimate.se,
        ci=estimate.ci,
        n_real=len(sets.real),
        n_synthetic=len(sets.synthetic),
        estimator=estimate.estimator,
        seed=work.settings.seed,
        higher_is_better=False,
        meaning=meaning,
        extractor=facts.id,
        extractor_sha256=facts.sha256,
        preprocessing=facts.preprocessing,
        floor=floor,
        note=estimate.note,
        versions=versions(),
    ).to_json()
