import pytest

from synth.data.splits import (
    SPLITS,
    SplitOptions,
    assign_split,
    assign_splits,
    check_fractions,
    set_splits,
)
from synth.errors import UsageError
from synth.seeding import numpy_rng

FRACTIONS = (0.7, 0.1, 0.2)


def cohort(patients):
    rng = numpy_rng("test", patients)
    rates = {"cardiomegaly": 0.4, "edema": 0.15, "nodule": 0.08, "hernia": 0.03}
    return {
        f"p{index}": [name for name, rate in rates.items() if rng.random() < rate]
        for index in range(patients)
    }


def test_one_patient_is_a_pure_function_of_id_and_seed():
    draws = [assign_split(f"p{i}", seed=0, fractions=FRACTIONS) for i in range(5000)]
    assert draws == [assign_split(f"p{i}", seed=0, fractions=FRACTIONS) for i in range(5000)]
    assert draws != [assign_split(f"p{i}", seed=1, fractions=FRACTIONS) for i in range(5000)]
    for split, fraction in zip(("train", "val", "test"), FRACTIONS, strict=True):
        assert abs(draws.count(split) / 5000 - fraction) < 0.02


@pytest.mark.parametrize("patients", [30, 100, 600])
def test_rare_findings_reach_train_and_test(patients):
    members = cohort(patients)
    assigned = assign_splits(members, seed=0, fractions=FRACTIONS)
    for split, fraction in zip(("train", "val", "test"), FRACTIONS, strict=True):
        count = list(assigned.values()).count(split)
        assert abs(count - fraction * patients) <= max(3, 0.04 * patients), (split, count)
    rare = [patient for patient, findings in members.items() if "hernia" in findings]
    if len(rare) >= 3:
        assert {assigned[patient] for patient in rare} >= {"train", "test"}
    if len(rare) >= 10:
        test = sum(assigned[patient] == "test" for patient in rare)
        assert abs(test / len(rare) - 0.2) < 0.1


def test_order_of_patients_does_not_matter_and_the_seed_does():
    members = cohort(200)
    backwards = dict(reversed(list(members.items())))
    first = assign_splits(members, seed=0, fractions=FRACTIONS)
    assert assign_splits(backwards, seed=0, fractions=FRACTIONS) == first
    assert assign_splits(members, seed=1, fractions=FRACTIONS) != first


def test_existing_assignments_stay():
    members = cohort(200)
    first = assign_splits(members, seed=0, fractions=FRACTIONS)
    more = {**members, **{f"q{i}": ["hernia"] for i in range(20)}}
    second = assign_splits(more, seed=0, fractions=FRACTIONS, existing=first)
    assert {patient: second[patient] for patient in members} == first
    assert {second[f"q{i}"] for i in range(20)} == {"train", "val", "test"}


def test_a_split_of_fraction_zero_gets_nobody():
    assigned = assign_splits(cohort(50), seed=0, fractions=(0.8, 0.0, 0.2))
    assert set(assigned.values()) == {"train", "test"}


@pytest.mark.parametrize("fractions", [(0.7, 0.1, 0.1), (1.2, -0.1, -0.1), (0.5, 0.5)])
def test_bad_fractions(fractions):
    with pytest.raises(UsageError, match="sum to 1"):
        check_fractions(fractions)


def row(patient, official=None, source="nih", split=None, finding=None):
    labels = {finding: 1} if finding else {}
    return {
        "patient_id": patient,
        "source": source,
        "official_split": official,
        "split": split,
        "labels": labels,
    }


OPTIONS = SplitOptions(seed=0, fractions=FRACTIONS)


def by_patient(rows):
    found = {}
    for one in rows:
        found.setdefault(one["patient_id"], set()).add(one["split"])
    assert all(len(splits) == 1 for splits in found.values())
    return {patient: splits.pop() for patient, splits in found.items()}


def test_official_splits_are_kept():
    rows = [row(f"p{i}-{split}", split) for split in SPLITS for i in range(50) for _ in range(2)]
    assert set_splits(rows, OPTIONS) == 0
    assert all(one["split"] == one["official_split"] for one in rows)


@pytest.mark.parametrize(
    ("official", "expected"),
    [
        (["train", "test"], "test"),
        (["val", "train"], "val"),
        (["test", "val", "train"], "test"),
        ([None, "val"], "val"),
        ([None, "test", "train"], "test"),
    ],
)
@pytest.mark.parametrize("stratify", [True, False])
def test_a_patient_in_several_official_splits_goes_where_it_is_held_out_most(
    official, expected, stratify
):
    rows = [row("p", split) for split in official] + [row("q", "train"), row("r", "val")]
    moved = set_splits(rows, SplitOptions(0, FRACTIONS, stratify))
    assert by_patient(rows) == {"p": expected, "q": "train", "r": "val"}
    assert moved == (len(set(official) - {None}) > 1)


def test_validation_is_carved_out_of_train_where_a_source_has_none():
    rows = [row(f"p{i}", "train") for i in range(3000)] + [row(f"t{i}", "test") for i in range(200)]
    rows += [row(f"m{i}", "train", source="mimic-cxr") for i in range(100)]
    rows += [row(f"v{i}", "val", source="mimic-cxr") for i in range(5)]
    set_splits(rows, OPTIONS)
    splits = by_patient(rows)
    carved = sum(splits[f"p{i}"] == "val" for i in range(3000))
    assert abs(carved / 3000 - 0.1 / 0.8) < 0.02  # val of train and val together
    assert {splits[f"p{i}"] for i in range(3000)} == {"train", "val"}
    assert all(splits[f"t{i}"] == "test" for i in range(200))
    assert all(splits[f"m{i}"] == "train" for i in range(100))  # this source has its own
    again = [row(f"p{i}", "train") for i in range(1500)]
    set_splits(again, OPTIONS)
    assert all(splits[patient] == split for patient, split in by_patient(again).items())
    other = [row(f"p{i}", "train") for i in range(1500)]
    set_splits(other, SplitOptions(1, FRACTIONS))
    assert by_patient(other) != by_patient(again)


def test_nothing_is_carved_out_where_no_validation_is_wanted():
    rows = [row(f"p{i}", "train") for i in range(200)]
    set_splits(rows, SplitOptions(0, (0.8, 0.0, 0.2)))
    assert set(by_patient(rows).values()) == {"train"}


def test_patients_without_official_split_are_dealt_among_themselves():
    members = cohort(100)
    free = [row(p, source="folder", finding=(f or [None])[0]) for p, f in members.items()]
    alone = [dict(one) for one in free]
    set_splits(alone, OPTIONS)
    together = [*free, *(row(f"o{i}", "train") for i in range(1000)), row("v", "val")]
    set_splits(together, OPTIONS)
    mixed = by_patient(together)
    assert {patient: mixed[patient] for patient in members} == by_patient(alone)
    assert set(by_patient(alone).values()) == {"train", "val", "test"}


def test_splits_of_an_earlier_run_stay_unless_that_would_leak():
    rows = [
        row("kept", split="test", source="folder"),
        row("carved", "train", split="val"),
        row("leaks", "train", split="train"),
        row("leaks", "test"),
        row("late", split="train", source="folder"),
        row("late", "val"),
        row("held", split="test", source="folder"),
        row("held", "train"),
    ]
    assert set_splits(rows, OPTIONS) == 1
    expected = {"kept": "test", "carved": "val", "leaks": "test", "late": "val", "held": "test"}
    assert by_patient(rows) == expected
    again = [dict(one) for one in rows]
    assert set_splits(again, OPTIONS) == 1
    assert again == rows
