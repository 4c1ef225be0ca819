"""From folders to scores: load, judge, measure, and say what could not be measured and why."""

from __future__ import annotations

import time
from pathlib import Path

from metrics.by_extractor import group_sections, records_by_extractor
from metrics.chosen import AS_USUAL, Choices
from metrics.evaluated import provenance
from metrics.judge import fit_judge, judged
from metrics.protocol import (
    common_protocol,
    full_protocol,
    set_digest,
    stamped,
    stamped_section,
    stamped_utility,
)
from metrics.records import Scores
from metrics.sections import memorization_section, reconstruction_section, utility_section
from metrics.sets import Work, open_sets
from metrics.statistics import is_statistics, statistics_scores
from metrics.utility_sections import further_utility
from synth.config.schema import MetricsSection
from synth.manifest import write_json
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
    found = records_by_extractor(sets, judge, choices, work)
    asked = judge if choices.wants("label-fidelity") else None
    fidelity = judged(asked, sets.synthetic, sets, work, "label_fidelity")
    earlier = judged(asked, sets.before, sets, work, "label_fidelity_before")
    copies = memorization_section(sets, work) if choices.wants("memorization") else None
    useful = utility_section(sets, judge, work) if choices.wants("utility") else None
    further = further_utility(sets, choices, work)
    rebuilt = (
        reconstruction_section(weights, sets, work) if choices.wants("reconstruction") else None
    )
    common = common_protocol(
        real=set_digest(sets.real),
        train=None if sets.train is None else set_digest(sets.train),
        size=sets.real.image_u8.shape[-1],
        reading=choices.reading,
        settings=settings,
    )
    records = {name: stamped(record, common) for name, record in found.records.items()}
    findings, subgroups, gaps = group_sections(found, common)
    copies, rebuilt = stamped_section(copies, common), stamped_section(rebuilt, common)
    further = {name: stamped_utility(held, common) for name, held in further.items()}
    scores = Scores(
        metrics=records,
        per_finding=findings,
        per_subgroup=subgroups,
        subgroup_gaps=gaps,
        label_fidelity=fidelity,
        label_fidelity_before=earlier,
        memorization=copies,
        utility=useful,
        **further,
        reconstruction=rebuilt,
        not_computed=tuple(dict.fromkeys(work.missing)),
        warnings=tuple(work.warnings),
        protocol=full_protocol(
            common,
            records,
            further,
            per_finding=findings,
            per_subgroup=subgroups,
            memorization=copies,
            reconstruction=rebuilt,
        ),
        provenance=provenance(sets, judge, settings, weights, time.monotonic() - started),
    )
    if out is not None:
        if judge is not None:
            judge.save(out / "judge.safetensors")
        write_json(out / "scores.json", scores.to_json())
    return scores
