"""Every part of one evaluation, measured in turn; what was not asked for is None."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from metrics.by_extractor import ByExtractor, records_by_extractor
from metrics.chosen import Choices
from metrics.failure_section import failures_section
from metrics.judge import judged
from metrics.sections import memorization_section, reconstruction_section, utility_section
from metrics.sets import Sets, Work
from metrics.utility_sections import further_utility
from synth.extractors.classifier import Classifier

Section = dict[str, Any] | None


@dataclass(frozen=True)
class Measured:
    """What ``scores.json`` is put together from, before fingerprints.

    Attributes:
        by_extractor: fidelity and diversity, of all images, findings and subgroups, and texts.
        label_fidelity: of the synthetic images.
        label_fidelity_before: of the base model's.
        memorization: nearness to training images.
        utility: trained classifiers.
        further_utility: probe, retrieval and segmentation by name.
        reconstruction: of the generator's autoencoder.
        failures: the worst images.
    """

    by_extractor: ByExtractor
    label_fidelity: Section
    label_fidelity_before: Section
    memorization: Section
    utility: Section
    further_utility: Mapping[str, Section]
    reconstruction: Section
    failures: tuple[dict[str, Any], ...]


def measured(
    sets: Sets, judge: Classifier | None, choices: Choices, *, weights: str | None, work: Work
) -> Measured:
    """Measure what was asked for; what cannot be is noted in ``work``."""
    found = records_by_extractor(sets, judge, choices, work)
    asked = judge if choices.wants("label-fidelity") else None
    fidelity = judged(asked, sets.synthetic, sets, work, "label_fidelity")
    earlier = judged(asked, sets.before, sets, work, "label_fidelity_before")
    copies = memorization_section(sets, work) if choices.wants("memorization") else None
    utility = utility_section(sets, judge, work) if choices.wants("utility") else None
    further = further_utility(sets, choices, work)
    rebuilt = (
        reconstruction_section(weights, sets, work) if choices.wants("reconstruction") else None
    )
    worst: tuple[dict[str, Any], ...] = ()
    if choices.wants("failures"):
        worst = failures_section(sets, judge, found.features, copies, work)
    return Measured(found, fidelity, earlier, copies, utility, further, rebuilt, worst)
