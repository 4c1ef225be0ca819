"""Which patients train, validate and test: never one patient in two splits.

Where a source has official splits, they are kept, but a patient stays whole: whoever is in several
of them goes to the one held out furthest (test, then val), so nothing leaks into training.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from synth.errors import UsageError
from synth.manifest import NO_FINDING, Split
from synth.seeding import seed_from

SPLITS: tuple[Split, Split, Split] = ("train", "val", "test")
Fractions = tuple[float, float, float]  # train, val, test


@dataclass(frozen=True)
class SplitOptions:
    """What decides the splits.

    Attributes:
        seed: decides the order in which patients are dealt.
        fractions: of train, val and test, summing to 1.
        stratify: deal patients out so that rare findings reach every split.
    """

    seed: int
    fractions: Fractions
    stratify: bool = True


def check_fractions(fractions: Fractions) -> None:
    """Refuse fractions that are negative or do not sum to 1.

    Raises:
        UsageError: with what was given.
    """
    if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise UsageError(
            "the split fractions must be three numbers from 0 that sum to 1",
            got=fractions,
            expected="for example (0.7, 0.1, 0.2) for train, val, test",
        )


def assign_split(patient_id: str, *, seed: int, fractions: Fractions) -> Split:
    """A patient's split as a pure function of the id and the seed.

    Adding patients never moves one; a rare finding may miss a split by chance.
    """
    draw = seed_from("split", seed, patient_id) / 2**63
    return "train" if draw < fractions[0] else "val" if draw < sum(fractions[:2]) else "test"


def assign_splits(
    patients: Mapping[str, Collection[str]],
    *,
    seed: int,
    fractions: Fractions,
    existing: Mapping[str, Split] | None = None,
) -> dict[str, Split]:
    """Splits for a whole cohort such that every split sees the rare findings too.

    Patients are grouped by the rarest finding they have (by number of patients), ordered within
    their group by a hash of id and seed, and dealt out one by one to the split that lags most
    behind its fraction of the group and of the cohort together. The result is a function of the
    cohort and the seed: a patient's split may differ in another cohort, so patients in
    ``existing`` keep theirs and only the others are dealt.

    Args:
        patients: pseudonym -> findings present in any of the patient's images.
        seed: decides the order.
        fractions: of train, val and test, summing to 1.
        existing: assignments that must not change.
    """
    assigned: dict[str, Split] = dict(existing or {})
    counts = Counter(name for findings in patients.values() for name in set(findings))
    groups: dict[str, list[str]] = {}
    for patient, findings in patients.items():
        rarest = min(findings, key=lambda name: (counts[name], name), default="")
        groups.setdefault(rarest, []).append(patient)
    overall = Counter(assigned.values())
    for name in sorted(groups, key=lambda name: (counts[name] if name else len(patients), name)):
        members = sorted(groups[name], key=lambda patient: seed_from("split", seed, patient))
        within = Counter(assigned[patient] for patient in members if patient in assigned)
        for patient in members:
            if patient not in assigned:
                split = _most_behind(within, overall, fractions)
                assigned[patient] = split
                within[split] += 1
                overall[split] += 1
    return {patient: assigned[patient] for patient in patients}


def _most_behind(within: Counter[Split], overall: Counter[Split], fractions: Fractions) -> Split:
    def lag(counts: Counter[Split], split: Split, fraction: float) -> float:
        return round(fraction * (counts.total() + 1) - counts[split], 9)

    ranked = [
        (round(lag(within, split, fraction) + lag(overall, split, fraction), 9), -index, split)
        for index, (split, fraction) in enumerate(zip(SPLITS, fractions, strict=True))
        if fraction > 0
    ]
    return max(ranked)[2]


def held_out_most(splits: Collection[Split]) -> Split:
    """The split furthest from training: test, then val, then train."""
    return max(splits, key=SPLITS.index)


def set_splits(rows: Sequence[dict[str, Any]], options: SplitOptions) -> int:
    """Give every row its ``split``, in place.

    Rows of an earlier run keep theirs, unless an official split now holds their patient out
    further. A source with official splits but no validation gets one, taken from its training
    patients by a hash of their pseudonyms. Patients without an official split are dealt out among
    themselves.

    Args:
        rows: with ``patient_id, source, labels, official_split``, and ``split`` or ``None``.
        options: for the patients whom no source assigns.

    Returns:
        Patients whose images have several official splits.
    """
    official: dict[str, set[Split]] = defaultdict(set)
    earlier: dict[str, set[Split]] = defaultdict(set)
    for row in rows:
        if row.get("official_split"):
            official[row["patient_id"]].add(row["official_split"])
        if row["split"] is not None:
            earlier[row["patient_id"]].add(row["split"])
    kept = {patient: held_out_most(splits) for patient, splits in earlier.items()}
    assigned = _official(rows, official, options)
    for patient in assigned.keys() & kept.keys():
        # what was carved out of training stays so, and what is now held out leaves training
        assigned[patient] = held_out_most([kept[patient], *official[patient]])
    assigned |= _dealt(rows, official, kept, options)
    for row in rows:
        row["split"] = assigned[row["patient_id"]]
    return sum(len(splits) > 1 for splits in official.values())


def _official(
    rows: Sequence[dict[str, Any]], official: Mapping[str, set[Split]], options: SplitOptions
) -> dict[str, Split]:
    """The official split of each patient who has one; where val is lacking, some of train."""
    offered: dict[str, set[Split]] = defaultdict(set)  # source -> its official splits
    sources: dict[str, set[str]] = defaultdict(set)  # patient -> sources
    for row in rows:
        if row.get("official_split"):
            offered[row["source"]].add(row["official_split"])
            sources[row["patient_id"]].add(row["source"])
    train, val, _ = options.fractions
    assigned = {patient: held_out_most(splits) for patient, splits in official.items()}
    for patient, split in assigned.items():
        complete = any("val" in offered[source] for source in sources[patient])
        if split == "train" and train and val and not complete:
            fractions = (train / (train + val), val / (train + val), 0.0)
            assigned[patient] = assign_split(patient, seed=options.seed, fractions=fractions)
    return assigned


def _dealt(
    rows: Sequence[dict[str, Any]],
    official: Mapping[str, set[Split]],
    kept: Mapping[str, Split],
    options: SplitOptions,
) -> dict[str, Split]:
    """Splits of the patients whom no source assigns."""
    findings: dict[str, set[str]] = {}
    for row in rows:
        if row["patient_id"] not in official:
            present = {name for name, value in row["labels"].items() if value == 1}
            findings.setdefault(row["patient_id"], set()).update(present - {NO_FINDING})
    seed, fractions = options.seed, options.fractions
    if options.stratify:
        existing = {patient: split for patient, split in kept.items() if patient in findings}
        return assign_splits(findings, seed=seed, fractions=fractions, existing=existing)
    return {patient: assign_split(patient, seed=seed, fractions=fractions) for patient in findings}
