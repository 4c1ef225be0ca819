"""Fidelity, diversity and copying in the features of each extractor that was asked for.

Findings and subgroups are scored by the first extractor alone, alignment by the first that reads
texts: one family of tests, one answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from metrics.alignment_section import NEEDED, WHAT, alignment_section
from metrics.chosen import WITH_TRAINING, Choices, FeatureSets, chosen_records
from metrics.distances import ExtractorFacts, Features, distance_records
from metrics.extract import facts_of, features_of
from metrics.groups import GroupScores, Sides
from metrics.ingest import ImageSet
from metrics.ms_ssim import ms_ssim_diversity
from metrics.per_finding import per_finding
from metrics.protocol import stamped_groups
from metrics.records import Missing, Record
from metrics.sets import Sets, Work
from metrics.subgroups import Subgroups, per_subgroup
from metrics.texture import texture_ratio
from synth.errors import SynthError, UsageError
from synth.extractors.base import Extractor
from synth.extractors.classifier import Classifier
from synth.extractors.open import open_extractor
from synth.extractors.text_side import has_text_side, joint
from synth.families.device import select_device


@dataclass(frozen=True)
class ByExtractor:
    """Records of all images by name, those of the findings and subgroups, and of the texts.

    ``features`` are those of the first extractor: real and synthetic.
    """

    records: Mapping[str, Record]
    per_finding: Mapping[str, GroupScores] = field(default_factory=dict)
    subgroups: Subgroups = field(default_factory=Subgroups)
    features: tuple[Features, Features] | None = None
    alignment: Mapping[str, Any] | None = None


def records_by_extractor(
    sets: Sets, judge: Classifier | None, choices: Choices, work: Work
) -> ByExtractor:
    """Records of every extractor; those after the first add their name to what does not have it."""
    named = choices.extractors or (work.settings.extractor,)
    records: dict[str, Record] = {}
    grouped = ByExtractor({})
    aligned: Mapping[str, Any] | None = None
    reading: list[str] = []
    seen: set[str] = set()
    for at, text in enumerate(named):
        work.progress.stage("fidelity and diversity")
        extractor = _extractor(text, judge, work)
        facts = facts_of(extractor)
        if facts.id in seen:
            raise UsageError("the same extractor twice", got=text)
        seen.add(facts.id)
        real, synthetic = (
            features_of(extractor, images, store=choices.store, progress=work.progress)
            for images in (sets.real, sets.synthetic)
        )
        train = _training(sets, extractor, choices, work)
        found = _by_extractor(sets, (real, synthetic), train, facts, choices, work)
        if at == 0:
            grouped = _grouped(sets, (real, synthetic), train, facts, choices, work)
            grouped = replace(grouped, features=(real, synthetic))
        if choices.wants(WHAT) and has_text_side(extractor):
            reading.append(text)
            aligned = aligned or _aligned(sets, (real, synthetic), extractor, text, work)
        for name, record in found.items():
            full = name if at == 0 or name.endswith(f"_{facts.name}") else f"{name}_{facts.name}"
            records[f"{full}-{at + 1}" if full in records else full] = record
    if choices.wants(WHAT):
        work.missing.extend(_unread(reading))
    if choices.wants("ms-ssim"):
        try:
            records["ms-ssim"] = _ms_ssim(sets, work)
        except SynthError as error:
            work.skip("ms-ssim", str(error))
    if choices.wants("texture"):
        records["texture"] = _texture(sets, work)
    return replace(grouped, records=records, alignment=aligned)


def _aligned(
    sets: Sets,
    features: tuple[Features, Features],
    extractor: Extractor,
    named: str,
    work: Work,
) -> Mapping[str, Any] | None:
    """Images against texts; what cannot be had is noted."""
    try:
        both = joint(extractor, named=named)
        return alignment_section(sets, *features, both, facts_of(extractor), work)
    except SynthError as error:
        work.skip(WHAT, str(error))
        return None


def _unread(reading: list[str]) -> Iterator[Missing]:
    """That no extractor reads texts, or that more than one does."""
    if not reading:
        yield Missing(WHAT, f"no extractor with a text side: {NEEDED}")
    for named in reading[1:]:
        yield Missing(f"{WHAT} by {named}", f"scored by the first that reads texts, {reading[0]}")


def _grouped(
    sets: Sets,
    features: tuple[Features, Features],
    train: Features | None,
    facts: ExtractorFacts,
    choices: Choices,
    work: Work,
) -> ByExtractor:
    findings: Mapping[str, GroupScores] = {}
    subgroups = Subgroups()
    k, seed = work.settings.nearest_k, work.settings.seed
    sides = Sides(
        sets.real,
        sets.synthetic,
        *features,
        facts,
        k,
        seed,
        train=sets.train,
        train_features=train,
        choices=choices,
    )
    if choices.wants("per-finding"):
        work.progress.stage("fidelity per finding")
        findings, missing = per_finding(sides)
        work.missing.extend(missing)
    if choices.wants("per-subgroup"):
        work.progress.stage("fidelity per subgroup")
        subgroups, missing = per_subgroup(sides)
        work.missing.extend(missing)
    return ByExtractor({}, findings, subgroups)


def group_sections(
    found: ByExtractor, common: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """``per_finding``, ``per_subgroup`` and ``subgroup_gaps`` of ``scores.json``, stamped."""
    findings = {name: held.to_json() for name, held in found.per_finding.items()}
    columns = {
        column: {value: held.to_json() for value, held in groups.items()}
        for column, groups in found.subgroups.scores.items()
    }
    gaps = {column: gap.to_json() for column, gap in found.subgroups.gaps.items()}
    return stamped_groups(findings, common), stamped_groups(columns, common), gaps


def _ms_ssim(sets: Sets, work: Work) -> Record:
    """Diversity among images with the same findings, in pixels: no extractor is involved."""
    findings = [name for name in sets.real.findings if name in sets.synthetic.findings]

    def labels(images: ImageSet) -> list[object] | None:
        present = images.columns(findings) == 1 if findings else None
        return None if present is None else [tuple(row) for row in present.tolist()]

    work.progress.stage("diversity in pixels")
    real, made = sets.real, sets.synthetic
    record = ms_ssim_diversity(
        synthetic=made.image_u8[:, 0].float() / 255.0,
        labels=labels(made),
        real=real.image_u8[:, 0].float() / 255.0,
        real_labels=labels(real),
        seed=work.settings.seed,
    )
    side = real.image_u8.shape[-1]
    return replace(record, extractor="", preprocessing=f"8-bit squares of {side} px")


def _texture(sets: Sets, work: Work) -> Record:
    """Fine detail, in the grey levels themselves."""
    real, made = sets.real, sets.synthetic
    record = texture_ratio(
        real=real.image_u8[:, 0].numpy(),
        synthetic=made.image_u8[:, 0].numpy(),
        real_groups=real.groups,
        synthetic_groups=made.groups,
        seed=work.settings.seed,
    )
    return replace(record, preprocessing=f"8-bit squares of {real.image_u8.shape[-1]} px")


def _extractor(text: str, judge: Classifier | None, work: Work) -> Extractor:
    if text == "auto":
        return judge or open_extractor("random-conv")
    return open_extractor(text, device=select_device(work.settings.device).type)


def _training(sets: Sets, extractor: Extractor, choices: Choices, work: Work) -> Features | None:
    """Features of the training images, where a metric was asked for that needs them."""
    if sets.train is None or not any(map(choices.wants, WITH_TRAINING)):
        return None
    return features_of(extractor, sets.train, store=choices.store, progress=work.progress)


def _by_extractor(
    sets: Sets,
    features: tuple[Features, Features],
    train: Features | None,
    facts: ExtractorFacts,
    choices: Choices,
    work: Work,
) -> dict[str, Record]:
    seed = work.settings.seed
    real, synthetic = features
    distances, missing = distance_records(
        real, synthetic, facts=facts, k=work.settings.nearest_k, seed=seed
    )
    kept = {name: record for name, record in distances.items() if choices.wants(_metric(name))}
    work.missing.extend(item for item in missing if choices.wants(_metric(item.what)))
    more, missing = chosen_records(
        FeatureSets(real, synthetic, train, sets.untrained), choices, facts=facts, seed=seed
    )
    work.missing.extend(missing)
    if "copy-rate" in more and sets.train is not None:
        more["copy-rate"] = _with_names(more["copy-rate"], sets.train, sets.synthetic)
    return kept | more


def _with_names(record: Record, train: ImageSet, made: ImageSet) -> Record:
    """The record with the files and sample ids of its pairs in place of row numbers."""
    pairs = [
        {
            "synthetic": made.names[pair.synthetic],
            "synthetic_id": made.ids[pair.synthetic],
            "real": train.names[pair.train],
            "real_id": train.ids[pair.train],
            "correlation": pair.correlation,
            "flagged": pair.flagged,
        }
        for pair in record.details["pairs"]
    ]
    return replace(record, details={**record.details, "pairs": pairs})


def _metric(name: str) -> str:
    """``fd_pixel`` -> ``fd``; the four shares are ``prdc``."""
    head = name.split("_")[0]
    return head if head in ("fd", "kd") else "prdc"
