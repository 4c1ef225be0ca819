import pytest

from synth.data.splits import assign_split, assign_splits, check_fractions
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
