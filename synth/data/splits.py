"""Which patients train, validate and test: never one patient in two splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

from synth.errors import UsageError
from synth.manifest import Split
from synth.seeding import seed_from

SPLITS: tuple[Split, Split, Split] = ("train", "val", "test")
Fractions = tuple[float, float, float]  # train, val, test


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
