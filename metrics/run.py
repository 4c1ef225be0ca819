"""From folders to scores: load, judge, measure, and say what could not be measured and why."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from metrics.by_extractor import group_sections
from metrics.chosen import AS_USUAL, Choices
from metrics.evaluated import provenance
from metrics.judge import fit_judge
from metrics.markdown import write_scores
from metrics.measure import Measured, measured
from metrics.protocol import (
    common_protocol,
    full_protocol,
    set_digest,
    stamped,
    stamped_groups,
    stamped_section,
    stamped_utility,
)
from metrics.records import Scores
from metrics.sets import Sets, Work, open_sets
from metrics.statistics import statistics_scores
from metrics.verdict import verdict
from metrics.whereabouts import is_statistics
from synth.config.schema import MetricsSection
from synth.progress import Progress, Silent


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
    judge = fit_judge(sets, choices, work)
    found = measured(sets, judge, choices, weights=weights, work=work)
    seconds = time.monotonic() - started
    made_from = provenance(sets, judge, settings, weights, seconds, out)
    scores = _scores(found, _common(sets, work), made_from, work)
    scores = replace(scores, verdict=verdict(scores.to_json()).to_json())
    if out is not None:
        if judge is not None:
            judge.save(out / "judge.safetensors")
        write_scores(out, scores.to_json())
    return scores


def _common(sets: Sets, work: Work) -> dict[str, Any]:
    return common_protocol(
        real=set_digest(sets.real),
        train=None if sets.train is None else set_digest(sets.train),
        size=sets.real.image_u8.shape[-1],
        reading=work.reading,
        settings=work.settings,
    )


def _scores(
    found: Measured, common: dict[str, Any], made_from: Mapping[str, Any], work: Work
) -> Scores:
    """All parts with their fingerprints."""
    by_extractor = found.by_extractor
    records = {name: stamped(record, common) for name, record in by_extractor.records.items()}
    findings, subgroups, gaps = group_sections(by_extractor, common)
    further: dict[str, Any] = {
        name: stamped_utility(held, common) for name, held in found.further_utility.items()
    }
    parts: dict[str, Any] = {
        "per_finding": findings,
        "per_subgroup": subgroups,
        "alignment": by_extractor.alignment and stamped_groups(by_extractor.alignment, common),
        "memorization": stamped_section(found.memorization, common),
        "reconstruction": stamped_section(found.reconstruction, common),
    }
    return Scores(
        metrics=records,
        subgroup_gaps=gaps,
        label_fidelity=found.label_fidelity,
        label_fidelity_before=found.label_fidelity_before,
        utility=found.utility,
        failures=found.failures,
        not_computed=tuple(dict.fromkeys(work.missing)),
        warnings=tuple(work.warnings),
        protocol=full_protocol(common, records, further, **parts),
        provenance=made_from,
        **parts,
        **further,
    )
