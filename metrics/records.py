"""The record behind every number, and the structure of ``scores.json``.

    {
      "schema_version": 1,
      "verdict": {"state", "headline", "lines": [{"topic", "question", "state", "short", "says",
                                                  "why"}]},     see ``metrics.verdict``
      "metrics": {"fd_<extractor>": record, "kd_<extractor>": record, "precision": record,
                  "recall": record, "density": record, "coverage": record},
      "per_finding": {finding: {"kd": record, "mmd": record, "nearest_share": record,
                                "precision", "recall", "coverage": record, "n_real",
                                "patients_real", "n_synthetic", "p", "p_holm",
                                "withheld": {what: why}}},
      "per_subgroup": {column: {value: the same}},
      "subgroup_gaps": {column: {"worst", "best", "value", "ci", "p", "pairs"}},
      "alignment": alignment | null,             images against texts, where it was asked for
      "label_fidelity": fidelity | null,         judged by a classifier trained on real images
      "label_fidelity_before": fidelity | null,  the same judge on the base weights' images
      "memorization": {"auc": record, "share_closer": record, "nn_auc": record,
                       "by_finding": {finding: {"share", "expected", "limit", "n_synthetic",
                                                "patients", "p", "p_holm"}},
                       "quantiles": {...}, "pairs": [...],
                       "histogram": {"edges", "synthetic", "held_out", "limit"}},
      "utility": {"arms": {"real": arm, "real+synthetic": arm, "synthetic": arm}, ...} | null,
      "probe": {"kind": "probe", "arms": {"real": arm, …}, ...} | null,   see ``metrics.probe``
      "retrieval": {"arms": {"real": {"report_to_image": {"r1", "r5", "median_rank": spread},
                                      "image_to_report": the same, "n_train", "steps",
                                      "n_words"}}, "chance": {...}, ...} | null,
      "segmentation": {"arms": {"real": {"dice": spread, "sensitivity": spread,
                                         "false_alarms": spread, "n_train", "steps"}}, ...} | null,
      "reconstruction": {"psnr": record} | null,
      "failures": [failure],                     the worst images, at most 24
      "not_computed": [{"what": ..., "why": ...}],
      "warnings": [text],
      "protocol": {"fingerprint", ...},          what must be equal to compare; see metrics.protocol
      "provenance": {"sets": {role: whereabouts}, "reading": {"white", "preset"}, ...}
    }

    record    the fields of ``Record``, lists for intervals, null for what does not apply
    alignment {"cosine", "report_to_image_r1", "report_to_image_r5", "image_to_report_r1",
               "image_to_report_r5", "matched_auc": record,   of synthetic images and their prompts
               "negation": {"macro": record, "truncated",
                            "findings": {name: {"auroc", "balanced_accuracy": record,
                                                "n_positive", "n_negative", "p", "p_holm"}}} | null,
               "texts": {"id", "limit",
                         "synthetic", "real": {"pairs", "different", "without_text", "truncated",
                                               "sha256"} | null}}
              ``floor`` of a record is what real held-out pairs score; its ``details`` hold
              "chance", "real_ci", "difference" to the real pairs with "difference_ci" and "p",
              "truncated" and "real_truncated" texts; see ``metrics.alignment``
    fidelity  {"macro": {"auroc", "ci", "note", "findings", "real_auroc", "real_ci", "real_note"},
               "findings": {name: {"auroc", "se", "ci", "note", "n_positive", "n_negative",
                                   "real_auroc", "real_se", "real_ci", "real_note",
                                   "real_n_positive", "real_n_negative",
                                   "detected", "detected_ci", "real_detected",
                                   "real_detected_ci"}}}   see ``metrics.label_fidelity``
    arm       {"macro_auroc", "ci", "n_train", "delta", "delta_ci", "note",
               "macro_auprc", "macro_ece", "macro_brier", "recovered", "steps", "candidates",
               "learning_rates", "worst_group", "underdiagnosis",   see ``metrics.utility_groups``
               "findings": {name: {"auroc", "se", "ci", "delta", "delta_ci", "note",
                                   "n_positive", "n_negative", "auprc", "ece", "brier",
                                   "p_seeds", "p", "p_holm"}}}
    failure   {"synthetic", "synthetic_id", "reason", "finding", "score", "limit", "beyond",
               "other", "other_id", "other_set"}   see ``metrics.failures``

    whereabouts {"folder": name, "path", "images", "patients", "metadata_sha256": of a dataset,
                 "files_sha256": names and sizes of other images}   see ``metrics.whereabouts``

``histogram`` counts distances to the nearest training image: ``edges`` has one number more than
``synthetic`` and ``held_out`` have counts, and the last bin also holds all that lies beyond it;
``limit`` is the largest distance of the closest 1 % of held-out patients, at least of one patient.
The ``details`` of ``share_closer`` hold it too, with ``rank`` (how many patients that is),
``patients``, ``expected`` (the share of an honest generator), the one-sided ``p`` of more, and
``at_most``, the upper end of the interval, also where its lower end is withheld: see
``metrics.share_closer``.

    spread    {"value", "se", "ci", "delta", "delta_se", "delta_ci", "note"}, delta against ``real``

Intervals are at 95 %. A value of null is explained by ``note`` or in ``not_computed``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from synth.provenance import versions

SCHEMA_VERSION = 1
Interval = tuple[float, float]


@dataclass(frozen=True)
class Estimate:
    """A value with its uncertainty.

    Attributes:
        value: the number.
        se: its standard error; None where no valid one is known.
        ci: its 95 % interval; None where withheld, and then ``note`` says why.
        estimator: how value and interval were made.
        note: what a reader must know.
        without: the statistic with each jackknife block left out: two runs that share their real
            images differ by less than their errors apart would say.
    """

    value: float
    se: float | None
    ci: Interval | None
    estimator: str
    note: str = ""
    without: tuple[float, ...] = ()


@dataclass(frozen=True)
class Floor:
    """What real data scores in the place of synthetic: none should be expected to do better.

    Attributes:
        value: the metric between two halves of the real reference that share no patient; where
            training images are involved, of one half of the unseen images in place of the synthetic
            ones, beside the other half; of a metric of one set, that of the real set.
        n: images in each half.
        synthetic_at_same_n: the metric of ``n`` synthetic images in the same place, by the same
            estimator: this is what ``value`` is to be read against. None where N does not matter.
    """

    value: float
    n: int
    synthetic_at_same_n: float | None = None


@dataclass(frozen=True)
class Record:
    """One number and everything needed to compare it with another one.

    Both N are null where a file of statistics does not say them.
    ``details`` holds what belongs to one metric alone: a p-value, a cross-check, pairs.
    ``fingerprint`` is a hash of all that must be equal to compare it (``metrics.protocol``).
    ``without`` is that of ``Estimate``.
    """

    value: float | None
    se: float | None
    ci: Interval | None
    n_real: int | None
    n_synthetic: int | None
    estimator: str
    seed: int
    higher_is_better: bool | None
    meaning: str = ""
    extractor: str = ""
    extractor_sha256: str = ""
    preprocessing: str = ""
    floor: Floor | None = None
    note: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    without: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The record as JSON types; parts that few have only where there are any."""
        value = asdict(self)
        value["ci"] = list(self.ci) if self.ci is not None else None
        value["without"] = list(self.without)
        for name in ("details", "fingerprint", "without"):
            if not value[name]:
                del value[name]
        return value


def recorded(
    estimate: Estimate,
    *,
    n_real: int,
    n_synthetic: int,
    seed: int = 0,
    higher_is_better: bool | None,
    meaning: str = "",
    floor: Floor | None = None,
    details: Mapping[str, Any] | None = None,
) -> Record:
    """The record of an estimate made from feature arrays, whose extractor is not known here."""
    return Record(
        value=estimate.value,
        se=estimate.se,
        ci=estimate.ci,
        n_real=n_real,
        n_synthetic=n_synthetic,
        estimator=estimate.estimator,
        seed=seed,
        higher_is_better=higher_is_better,
        meaning=meaning,
        floor=floor,
        note=estimate.note,
        versions=versions(),
        details=details or {},
        without=estimate.without,
    )


@dataclass(frozen=True)
class Missing:
    """Something that was not computed, and why."""

    what: str
    why: str


@dataclass(frozen=True)
class Scores:
    """Every score of one synthetic dataset; ``to_json`` gives ``scores.json``."""

    metrics: Mapping[str, Record]
    label_fidelity: Mapping[str, Any] | None
    label_fidelity_before: Mapping[str, Any] | None
    memorization: Mapping[str, Any] | None
    utility: Mapping[str, Any] | None
    reconstruction: Mapping[str, Any] | None
    not_computed: tuple[Missing, ...]
    warnings: tuple[str, ...]
    provenance: Mapping[str, Any]
    protocol: Mapping[str, Any] = field(default_factory=dict)
    per_finding: Mapping[str, Any] = field(default_factory=dict)
    per_subgroup: Mapping[str, Any] = field(default_factory=dict)
    subgroup_gaps: Mapping[str, Any] = field(default_factory=dict)
    verdict: Mapping[str, Any] = field(default_factory=dict)
    failures: tuple[Mapping[str, Any], ...] = ()
    alignment: Mapping[str, Any] | None = None
    probe: Mapping[str, Any] | None = None
    retrieval: Mapping[str, Any] | None = None
    segmentation: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON types only, in the order that this module documents."""
        return {
            "schema_version": SCHEMA_VERSION,
            "verdict": dict(self.verdict),
            "metrics": {name: record.to_json() for name, record in self.metrics.items()},
            "per_finding": dict(self.per_finding),
            "per_subgroup": dict(self.per_subgroup),
            "subgroup_gaps": dict(self.subgroup_gaps),
            "alignment": self.alignment,
            "label_fidelity": self.label_fidelity,
            "label_fidelity_before": self.label_fidelity_before,
            "memorization": self.memorization,
            "utility": self.utility,
            "probe": self.probe,
            "retrieval": self.retrieval,
            "segmentation": self.segmentation,
            "reconstruction": self.reconstruction,
            "failures": [dict(failure) for failure in self.failures],
            "not_computed": [asdict(missing) for missing in self.not_computed],
            "warnings": list(self.warnings),
            "protocol": dict(self.protocol),
            "provenance": dict(self.provenance),
        }
