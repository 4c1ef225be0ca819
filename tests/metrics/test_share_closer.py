"""The share closer than the closest unseen patients, against truths that are known in closed form.

Distances are drawn directly: uniform for people the generator has not seen, 0 for copies, so that
the quantile of all unseen patients and the share below it are fractions.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.random import RandomState
from scipy import stats

from metrics.clustered import effective_cases
from metrics.share_closer import ShareCloser, limit_rank, share_closer

DRAWS = 200


def found(close: np.ndarray, far: np.ndarray, *, each: int = 1, together: int = 1) -> ShareCloser:
    """``each`` images a patient, ``together`` synthetic images of one kind, both in order."""
    return share_closer(
        synthetic=close,
        held_out=far,
        made=[str(row // together) for row in range(len(close))],
        unseen=[str(row // each) for row in range(len(far))],
    )


def unseen(stream: RandomState, patients: int, each: int, alike: bool) -> np.ndarray:
    """Distances of a patient's images: all the same, or independent of each other."""
    if alike:
        return np.repeat(stream.rand(patients), each)
    return stream.rand(patients * each)


def below_the_quantile(expected: float, each: int, alike: bool) -> float:
    """Share of unseen images below the quantile of patients' closest ones."""
    return expected if alike else 1.0 - (1.0 - expected) ** (1.0 / each)


def test_by_hand() -> None:
    """One of twelve lies below the least of eleven: expected of one in twelve."""
    one = found(np.r_[0.5, np.full(11, 5.0)], np.arange(1.0, 12.0))
    assert (one.estimate.value, one.limit, one.rank, one.patients) == (1 / 12, 1.0, 1, 11)
    assert one.expected == pytest.approx(1 / 12)
    assert one.p == pytest.approx(1.0 - 11 / 23)  # of 23 the least is one of the eleven
    # Fewer than k of 11 lie below the quantile 1/12 with 98.75 % from k = 4 on.
    third, fourth = stats.binom(11, 1 / 12).cdf([2, 3])
    assert third < 0.9875 <= fourth
    assert one.at_most == pytest.approx(stats.beta.ppf(0.9875, 2, 11))  # one of 12 below the 4th


def test_many_patients_give_the_usual_percent_and_both_ends() -> None:
    """Of 2000 the limit is the 20th, and the quantile lies between the 11th and the 32nd."""
    far = np.arange(1.0, 2001.0)
    close = np.r_[np.full(150, 5.0), np.full(50, 25.0), np.full(9800, 3000.0)]
    one = found(close, far)
    assert (one.rank, one.limit) == (20, 20.0)
    assert one.estimate.value == 0.015
    assert one.expected == pytest.approx(20 / 2001)
    low, high = one.estimate.ci or (1.0, 0.0)
    assert low == pytest.approx(stats.beta.ppf(0.0125, 150, 9851))
    assert high == one.at_most == pytest.approx(stats.beta.ppf(0.9875, 201, 9800))
    below = stats.binom(2000, one.expected)
    assert below.cdf(10) <= 0.0125 < below.cdf(11)
    assert below.cdf(31) >= 0.9875 > below.cdf(25)


@pytest.mark.parametrize("patients", [20, 40, 100])
@pytest.mark.parametrize(("each", "alike"), [(1, True), (5, True), (5, False)])
@pytest.mark.parametrize("copied", [0.0, 0.2])
def test_few_patients_and_many_images(patients: int, each: int, alike: bool, copied: float) -> None:
    """The case of a small test set: the level holds, and the upper limit the fixed truth."""
    rejected, covered, above = 0, 0, []
    for seed in range(DRAWS):
        stream = RandomState(seed)
        close = stream.rand(2000)
        close[: round(2000 * copied)] = 0.0
        one = found(close, unseen(stream, patients, each, alike), each=each)
        truth = copied + (1.0 - copied) * below_the_quantile(one.expected, each, alike)
        assert one.patients == patients
        assert one.estimate.ci is None
        assert "interval withheld" in one.estimate.note
        covered += truth <= one.at_most
        rejected += one.p < 0.05
        above.append(one.estimate.value)
    assert covered >= 0.95 * DRAWS
    if not copied:
        assert rejected <= 0.09 * DRAWS
        if alike:  # by the exact law, on average
            assert np.mean(above) == pytest.approx(one.expected, rel=0.25)
    elif patients >= 40:
        assert rejected == DRAWS


@pytest.mark.parametrize(("patients", "count"), [(500, 3000), (1000, 200)])
@pytest.mark.parametrize(("each", "alike"), [(1, True), (3, False)])
@pytest.mark.parametrize("copied", [0.0, 0.1])
def test_enough_patients_have_an_interval_that_holds(
    patients: int, count: int, each: int, alike: bool, copied: float
) -> None:
    covered = 0
    for seed in range(DRAWS):
        stream = RandomState(seed)
        close = stream.rand(count)
        close[: round(count * copied)] = 0.0
        one = found(close, unseen(stream, patients, each, alike), each=each)
        truth = copied + (1.0 - copied) * below_the_quantile(one.expected, each, alike)
        low, high = one.estimate.ci or (1.0, 0.0)
        covered += low <= truth <= high
    assert covered >= 0.95 * DRAWS


def test_a_fixed_percent_would_accuse_honest_generators() -> None:
    """Control: what a limit of twenty patients is worth is not 1 %, and the test sees it."""
    accused = 0
    for seed in range(DRAWS):
        stream = RandomState(seed)
        one = found(stream.rand(500), stream.rand(20))
        accused += stats.binom(500, 0.01).sf(round(500 * one.estimate.value) - 1) < 0.05
    assert accused > 0.5 * DRAWS


def test_synthetic_images_of_one_kind_are_one_case() -> None:
    level = {"known": 0, "unknown": 0}
    for seed in range(DRAWS):
        stream = RandomState(seed)
        close, far = np.repeat(stream.rand(30), 20), stream.rand(300)
        level["known"] += found(close, far, together=20).p < 0.05
        level["unknown"] += found(close, far).p < 0.05
    assert level["known"] <= 0.09 * DRAWS
    assert level["unknown"] > 0.15 * DRAWS
    assert effective_cases(["a", "b", "c"]) == 3
    assert effective_cases(["a"] * 8 + ["b", "c"]) == 1  # 100 / 66


def test_the_interval_is_withheld_where_no_patient_bounds_the_quantile_from_below() -> None:
    close = RandomState(0).rand(100)
    few, enough = (found(close, np.linspace(0.001, 1.0, count)) for count in (499, 500))
    assert few.estimate.ci is None
    assert "499 unseen patients do not bound so small a quantile" in few.estimate.note
    assert enough.estimate.ci is not None
    assert [limit_rank(count) for count in (1, 199, 200, 499, 500, 2900)] == [1, 1, 2, 4, 5, 29]
    alone = found(close, np.array([0.5, 0.6]), each=2)
    assert (alone.patients, alone.expected, alone.at_most) == (1, 0.5, 1.0)
