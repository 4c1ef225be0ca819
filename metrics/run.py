"""From folders to scores: load, judge, measure, and say what could not be measured and why."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from metrics.by_extractor import records_by_extractor
from metrics.chosen import AS_USUAL, Choices
from metrics.distances import ExtractorFacts, Features
from metrics.extract import facts_of, features_of
from metrics.ingest import ImageSet
from metrics.label_fidelity import label_fidelity
from metrics.memorization import Memorization, memorization
from metrics.protocol import common_protocol, full_protocol, set_digest, stamped, stamped_section
from metrics.reconstruction import reconstruction_psnr
from metrics.records import Estimate, Record, Scores
from metrics.sets import Sets, Work, open_sets
from metrics.statistics import is_statistics, statistics_scores
from metrics.utility import downstream_utility
from synth.config.schema import MetricsSection, ModelSection
from synth.errors import SynthError
from synth.extractors.base import Extractor
from synth.extractors.classifier import Classifier, fit_classifier, one_thread
from synth.extractors.pixel import PixelExtractor
from synth.families import load_family
from synth.families.device import select_device
from synth.manifest import read_info, sha256_file, write_json
from synth.progress import Progress, Silent
from synth.provenance import versions

MIN_JUDGE = 40  # labelled training images below which no classifier is worth fitting
GALLERY = 8  # closest pairs kept
_REBUILT = 128  # images through the autoencoder; more would hardly narrow the interval
_PIXELS = 32  # side at which images are compared for copies


def evaluate(
    *,
    real: Path,
    synthetic: Path,
    train: Path | None = None,
    before: Path | None = None,
    weights: str | None = None,
    settings: MetricsSection,
    out: Path | None = None,
    progress: Progress | None = None,
    choices: Choices = AS_USUAL,
) -> Scores:
    """Score a synthetic set against a real one.

    Each is a prepared or synthetic dataset, a folder of images or DICOM files, WebDataset archives,
    or statistics (``.npz``). A prepared ``real`` is used by its splits: validation and test are the
    reference, and its training split judges, unless ``train`` names another dataset.

    Args:
        real: real images.
        synthetic: images to score, from any generator.
        train: what the generator was trained on; None takes ``real``'s training split.
        before: images of the same plan from the base model, for label fidelity before and after.
        weights: the generator's weights, for the autoencoder's PSNR; None skips it.
        settings: the ``metrics`` section.
        out: where ``scores.json`` and the judge go; None writes nothing.
        progress: told of every stage.
        choices: metrics, extractors, store and range, where they differ from the usual ones.

    Raises:
        SynthError: a folder is missing or empty, or test patients were trained on.
    """
    started = time.monotonic()
    work = Work(settings, progress or Silent(), reading=choices.reading)
    if is_statistics(real) or is_statistics(synthetic):
        return statistics_scores(real, synthetic, choices=choices, work=work, out=out)
    work.progress.stage("reading images")
    sets = open_sets(real, synthetic, train, before, work)
    judge = _judge(sets, choices, work)
    found = records_by_extractor(sets, judge, choices, work)
    asked = judge if choices.wants("label-fidelity") else None
    fidelity = _fidelity(asked, sets.synthetic, sets, work, "label_fidelity")
    earlier = _fidelity(asked, sets.before, sets, work, "label_fidelity_before")
    copies = _memorization(sets, work) if choices.wants("memorization") else None
    useful = _utility(sets, judge, work) if choices.wants("utility") else None
    rebuilt = _reconstruction(weights, sets, work) if choices.wants("reconstruction") else None
    common = common_protocol(
        real=set_digest(sets.real),
        train=None if sets.train is None else set_digest(sets.train),
        size=sets.real.image_u8.shape[-1],
        reading=choices.reading,
        settings=settings,
    )
    records = {name: stamped(record, common) for name, record in found.items()}
    copies, rebuilt = stamped_section(copies, common), stamped_section(rebuilt, common)
    scores = Scores(
        metrics=records,
        label_fidelity=fidelity,
        label_fidelity_before=earlier,
        memorization=copies,
        utility=useful,
        reconstruction=rebuilt,
        not_computed=tuple(dict.fromkeys(work.missing)),
        warnings=tuple(work.warnings),
        protocol=full_protocol(common, records, memorization=copies, reconstruction=rebuilt),
        provenance=_provenance(sets, judge, settings, weights, time.monotonic() - started),
    )
    if out is not None:
        if judge is not None:
            judge.save(out / "judge.safetensors")
        write_json(out / "scores.json", scores.to_json())
    return scores


def _judge(sets: Sets, choices: Choices, work: Work) -> Classifier | None:
    """A classifier of findings, fitted on real training images alone, where one is asked for."""
    train, settings = sets.train, work.settings
    named = choices.extractors or (settings.extractor,)
    if not ("auto" in named or choices.wants("label-fidelity") or choices.wants("utility")):
        return None
    if train is None or not train.findings:
        work.skip("label fidelity", "no labelled real training images to fit a judge on")
        return None
    findings = [
        name
        for name in train.findings
        if min(((column := train.columns([name])) == 1).sum(), (column == 0).sum()) >= 2
    ]
    if not findings or len(train) < MIN_JUDGE:
        work.skip(
            "label fidelity",
            f"a judge needs {MIN_JUDGE} training images and a finding seen present and absent; "
            f"got {len(train)} images and {len(findings)} such findings",
        )
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


def _features(extractor: Extractor, images: ImageSet) -> Features:
    return features_of(extractor, images)


def _fidelity(
    judge: Classifier | None, made: ImageSet | None, sets: Sets, work: Work, what: str
) -> dict[str, Any] | None:
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


def _memorization(sets: Sets, work: Work) -> dict[str, Any] | None:
    if sets.train is None or len(sets.train) < 2:
        work.skip("memorization", "no training images to look for copies of")
        return None
    work.progress.stage("memorization")
    extractor = PixelExtractor(_PIXELS)
    found = memorization(
        train=_features(extractor, sets.train).values,
        held_out=_features(extractor, sets.real).values,
        synthetic=_features(extractor, sets.synthetic).values,
    )
    facts = facts_of(extractor)
    return {
        "auc": _record(
            found.auc, sets, facts, work, "chance that a synthetic image lies closer to training"
        ),
        "share_closer": _record(
            found.share_closer, sets, facts, work, "share closer than the closest 1 % of held-out"
        ),
        "quantiles": found.quantiles(),
        "n_train": len(sets.train),
        "pairs": _pairs(found, sets.train, sets.synthetic),
    }


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


def _record(
    estimate: Estimate, sets: Sets, facts: ExtractorFacts, work: Work, meaning: str
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
        note=estimate.note,
        versions=versions(),
    ).to_json()


def _utility(sets: Sets, judge: Classifier | None, work: Work) -> dict[str, Any] | None:
    settings = work.settings
    if settings.utility is None:
        work.skip("utility", "metrics.utility is null")
        return None
    if judge is None or sets.train is None:
        work.skip("utility", "no labelled real training images")
        return None
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
            progress=work.progress,
        )
    except SynthError as error:
        work.skip("utility", str(error))
        return None


def _reconstruction(weights: str | None, sets: Sets, work: Work) -> dict[str, Any] | None:
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
        resamples=work.settings.bootstrap,
        seed=work.settings.seed,
    )
    facts = ExtractorFacts("autoencoder", f"autoencoder-{family.image_encoder_sha256[:12]}", "", "")
    record = _record(estimate, sets, facts, work, "how well the autoencoder keeps held-out images")
    counts = {"n_real": len(shown), "n_synthetic": 0}
    return {"psnr": record | counts | {"higher_is_better": True}}


def _provenance(
    sets: Sets,
    judge: Classifier | None,
    settings: MetricsSection,
    weights: str | None,
    seconds: float,
) -> Mapping[str, Any]:
    roles = {name: images for name, images in vars(sets).items() if images is not None}
    return {
        "sets": {name: _set_facts(images) for name, images in roles.items()},
        "judge": None if judge is None else {"id": judge.id, "sha256": judge.weights_sha256},
        "settings": settings.model_dump(mode="json"),
        "weights": weights,
        **_terms(roles.values()),
        "seconds": round(seconds, 2),
        "versions": versions(),
    }


def _terms(roles: Iterable[ImageSet]) -> dict[str, list[Any]]:
    """The terms of use of all images that the scores are about, each once."""
    infos = [read_info(images.folder) for images in roles]
    sources = {source.name: source for info in infos for source in info.sources}
    return {
        "terms": list(dict.fromkeys(term for info in infos for term in info.terms)),
        "sources": [source.model_dump(mode="json") for source in sources.values()],
    }


def _set_facts(images: ImageSet) -> dict[str, Any]:
    table = images.folder / "metadata.jsonl"
    return {
        "folder": images.folder.name,
        "images": len(images),
        "patients": None if images.groups is None else len(set(images.groups)),
        "metadata_sha256": sha256_file(table) if table.is_file() else None,
    }
