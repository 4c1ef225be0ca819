"""Free-text reports for phantom studies: sections, negations, hedges and prior comparisons.

The wording varies as radiologists' does; the truth behind it is the study's list of findings. Every
report also carries planted identifiers (a physician's name, a record number, a date) that must
never come through preparation.
"""

from __future__ import annotations

import numpy as np

from synth.data.phantom.population import FINDINGS, Finding, Study
from synth.seeding import numpy_rng

_SIZE = ("small", "moderate", "large")
_GRADE = ("mild", "moderate", "severe")

_POSITIVE: dict[str, tuple[str, ...]] = {
    "cardiomegaly": (
        "{grade} cardiomegaly",
        "{grade} enlargement of the cardiac silhouette",
        "{grade} cardiomegaly",
    ),
    "pleural_effusion": (
        "{size} {side} pleural effusion",
        "{side} pleural effusion, {size}",
        "{size} {side} effusion",
    ),
    "consolidation": (
        "{grade} consolidation in the {side} {zone} lung zone",
        "{grade} {side} {zone} zone consolidation",
        "{grade} airspace consolidation in the {side} {zone} zone",
    ),
    "atelectasis": (
        "{grade} {side} basilar atelectasis",
        "{grade} platelike atelectasis at the {side} base",
        "{grade} {side} linear atelectasis",
    ),
    "edema": ("{grade} pulmonary edema", "{grade} interstitial edema", "{grade} pulmonary edema"),
    "nodule": (
        "{size} nodule in the {side} {zone} lung zone",
        "{size} {side} {zone} zone pulmonary nodule",
    ),
    "pacemaker": (
        "{side} chest pacemaker with {leads}",
        "{side} sided pacemaker, {leads}",
    ),
    "emphysema": (
        "{grade} emphysema",
        "{grade} emphysema with flattened diaphragms",
        "{grade} hyperinflation consistent with emphysema",
    ),
    "pneumothorax": (
        "{size} {side} pneumothorax",
        "{side} pneumothorax, {size}",
        "{size} {side} apical pneumothorax",
    ),
    "hernia": ("{size} hiatal hernia", "{size} hiatal hernia", "{size} hiatus hernia"),
}
_NEGATIVE: dict[str, tuple[str, ...]] = {
    "cardiomegaly": ("Heart size is normal.", "The cardiac silhouette is not enlarged."),
    "pleural_effusion": ("No pleural effusion.", "There is no effusion."),
    "consolidation": ("No focal consolidation.", "The lungs are clear without consolidation."),
    "atelectasis": ("No atelectasis.",),
    "edema": ("No pulmonary edema.", "There is no evidence of edema."),
    "nodule": ("No pulmonary nodule.", "No suspicious nodule is seen."),
    "pacemaker": ("No pacemaker.",),
    "emphysema": ("No emphysema.", "No hyperinflation to suggest emphysema."),
    "pneumothorax": ("No pneumothorax.", "There is no pneumothorax."),
    "hernia": ("No hiatal hernia.",),
}
_NEGATED_MENTION = {  # how often a report states that the finding is absent
    "cardiomegaly": 0.75,
    "pleural_effusion": 0.7,
    "consolidation": 0.65,
    "atelectasis": 0.35,
    "edema": 0.5,
    "nodule": 0.4,
    "pacemaker": 0.3,
    "emphysema": 0.35,
    "pneumothorax": 0.75,
    "hernia": 0.35,
}
_NORMAL = (
    "No acute cardiopulmonary abnormality.",
    "Normal chest radiograph.",
    "No acute cardiopulmonary process.",
)
_HEDGES = ("Possible {}.", "Questionable {}.", "{}, cannot be excluded.")
_AGAIN = ("{}, unchanged.", "Unchanged {}.", "{}, similar to prior.", "Stable {}.")
_NAMES = ("Abelard Quince", "Mirabel Oxley", "Tobias Fenwick", "Ottilie Brandt")


def write_report(study: Study, *, without: frozenset[str] = frozenset()) -> str:
    """The free-text report of a study, sections in capitals, with planted identifiers.

    Args:
        study: what was seen.
        without: findings whose very name must not occur, not even negated.
    """
    rng = numpy_rng("phantom", "report", study.seed)
    # The wording follows from the study's own seed alone, so one sentence never shifts another.
    positives = [_describe(rng, finding, again=False) for finding in study.findings]
    negatives = [
        str(rng.choice(_NEGATIVE[name]))
        for name in FINDINGS
        if rng.random() < _NEGATED_MENTION[name]
        and name not in without
        and name not in {finding.name for finding in study.findings}
    ]
    rng.shuffle(negatives)
    comparison = "None." if study.number == 0 else "Chest radiograph from the prior visit."
    impression = [
        _describe(rng, finding, again=study.number > 0 and finding.name == _chronic(study))
        for finding in study.findings
    ] or [str(rng.choice(_NORMAL))]
    doctor = str(rng.choice(_NAMES))
    history = str(rng.choice(["Cough.", "Shortness of breath.", "Chest pain.", "Follow-up."]))
    return "\n".join(
        [
            f"EXAMINATION: CHEST RADIOGRAPH, {study.view} VIEW (PHANTOM)",
            f"MRN: 00{study.patient.seed % 10}{study.patient.index:06d}  DATE: 03/14/2019",
            f"INDICATION: {history} Referred by Dr. {doctor}.",
            f"COMPARISON: {comparison}",
            "",
            f"FINDINGS: {' '.join([*positives, *negatives])}",
            "",
            f"IMPRESSION: {_numbered(impression)}",
            "",
            f"Dictated by Dr. {doctor} on 03/14/2019. Phone 555-0142.",
        ]
    )


def _chronic(study: Study) -> str | None:
    """The first finding that an earlier study would have shown too."""
    lasting = {"cardiomegaly", "emphysema", "hernia", "pacemaker"}
    return next((finding.name for finding in study.findings if finding.name in lasting), None)


def _describe(rng: np.random.Generator, finding: Finding, *, again: bool) -> str:
    phrase = str(rng.choice(_POSITIVE[finding.name])).format(
        grade=_GRADE[finding.severity],
        size=_SIZE[finding.severity],
        side=finding.side,
        zone=finding.zone,
        leads="two leads" if finding.severity == 0 else "one lead",
    )
    hedge, repeat = str(rng.choice(_HEDGES)), str(rng.choice(_AGAIN))
    pattern = hedge if not finding.certain else repeat if again else "{}."
    sentence = pattern.format(phrase)
    return sentence[0].upper() + sentence[1:]


def _numbered(sentences: list[str]) -> str:
    if len(sentences) == 1:
        return sentences[0]
    return "\n" + "\n".join(f"{number}. {text}" for number, text in enumerate(sentences, 1))
