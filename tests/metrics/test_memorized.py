"""The memorization metrics, on generators whose copying is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.random import RandomState
from scipy.stats import mannwhitneyu

from metrics import authenticity, copy_rate, data_copying, mifid, nearest_neighbour_auc
from metrics.memorization import memorization
from metrics.records import Record
from synth.errors import SynthError


def _sets(seed: int, copied: float = 0.0, size: int = 200, dim: int = 8) -> dict[str, Any]:
    """Training, held-out and synthetic rows of one law; a share of the synthetic ones copied."""
    train, heldout, made = RandomState(seed).randn(3, size, dim)
    made[: round(copied * size)] = train[: round(copied * size)]
    return {"train": train, "heldout": heldout, "synthetic": made}


def _value(record: Record) -> float:
    assert record.value is not None
    return record.value


# authenticity


def test_authenticity_by_hand() -> None:
    """Own reach of 0, 1, 5 is 1, 1, 4; distances of 0.5, 3.5, 20 are 0.5, 1.5, 15."""
    found = authenticity(train=[[0.0], [1.0], [5.0]], synthetic=[[0.5], [3.5], [20.0]])
    assert found.value == pytest.approx(1 / 3)
    assert "uncalibrated" in found.note


def test_distances_are_within_the_training_set_and_not_by_synthetic_index() -> None:
    """A generator that emits fifty copies is not authentic at all; an index bug says 0.75."""
    train = RandomState(0).randn(200, 5)
    assert authenticity(train=train, synthetic=train[100:150]).value == 0.0


@pytest.mark.parametrize(
    ("dim", "raw"), [(2, 0.39), (8, 0.59), (16, 0.70), (64, 0.82), (256, 0.87)]
)
def test_raw_authenticity_depends_on_the_dimension_and_calibrated_does_not(
    dim: int, raw: float
) -> None:
    found = authenticity(**_sets(1, size=600, dim=dim))
    assert found.details["synthetic"] == pytest.approx(raw, abs=0.06)
    assert found.ci is not None
    assert found.ci[0] < 0 < found.ci[1]


def test_the_calibrated_interval_covers_zero_in_most_draws_and_not_for_a_copier() -> None:
    intervals = [authenticity(**_sets(10 + seed)).ci or (1, 1) for seed in range(50)]
    assert sum(low <= 0 <= high for low, high in intervals) >= 45
    copier = authenticity(**_sets(2, copied=1.0))
    assert copier.details["synthetic"] == 0.0
    assert copier.ci is not None
    assert copier.ci[1] < -0.4
    assert copier.ci[0] < _value(copier)


def test_images_of_one_training_patient_are_no_measure_of_its_reach() -> None:
    stream = RandomState(3)
    patients = np.repeat(stream.randn(100, 6), 4, axis=0) + 0.01 * stream.randn(400, 6)
    groups = [f"p{index // 4}" for index in range(400)]
    copies = patients[:100] + 0.02 * stream.randn(100, 6)
    assert _value(authenticity(train=patients, synthetic=copies)) > 0.8
    assert _value(authenticity(train=patients, synthetic=copies, train_groups=groups)) < 0.05
    with pytest.raises(SynthError, match="two patients"):
        authenticity(train=patients, synthetic=copies, train_groups=["p"] * 400)


# nearest neighbours


def test_nearest_neighbour_auc_by_hand() -> None:
    found = nearest_neighbour_auc(
        train=[[0.0], [10.0]], heldout=[[3.0], [20.0]], synthetic=[[1.0], [9.0], [16.0]]
    )
    # d(T) = 1, 1, 6; d(H) = 2, 6, 4: pairs with d(T) < d(H) are 3 + 3 + 0, one tie of 6 with 6
    assert found.value == pytest.approx(6.5 / 9)
    assert found.details["nearer"] == pytest.approx(2 / 3)
    assert found.ci is None


def test_nearest_neighbour_auc_knows_copies_from_typical_images() -> None:
    copier = nearest_neighbour_auc(**_sets(4, copied=1.0))
    assert copier.value == 1.0
    assert copier.details["p"] < 0.01
    sets = _sets(5)
    typical = nearest_neighbour_auc(**(sets | {"synthetic": 0.3 * sets["synthetic"]}))
    assert typical.details["p"] > 0.02
    assert abs(_value(typical) - 0.5) < 0.15


def test_nearest_neighbour_interval_and_p_hold_under_the_null() -> None:
    covered, p = 0, []
    for seed in range(50):
        found = nearest_neighbour_auc(**_sets(100 + seed, size=100), permutations=59, seed=seed)
        low, high = found.ci or (1, 1)
        covered += low <= 0.5 <= high
        p.append(found.details["p"])
    assert covered >= 45
    assert np.mean(np.array(p) <= 0.05) < 0.16
    assert 0.35 < np.mean(p) < 0.65


# C_T


def test_one_cell_is_the_mann_whitney_z_score() -> None:
    sets = _sets(6)
    found = data_copying(**sets, cells=1, permutations=10)
    t, h, g = sets["train"], sets["heldout"], sets["synthetic"]
    d_h, d_g = (np.linalg.norm(x[:, None] - t, axis=2).min(axis=1) for x in (h, g))
    u = mannwhitneyu(d_g, d_h).statistic
    z = (u - 200 * 200 / 2) / np.sqrt(200 * 200 * 401 / 12)
    assert found.value == pytest.approx(z, rel=1e-9)


def test_data_copying_tells_copies_honest_and_far_images_apart() -> None:
    honest = data_copying(**_sets(7, size=500))
    copies = data_copying(**_sets(7, copied=1.0, size=500))
    sets = _sets(7, size=500)
    far = data_copying(**(sets | {"synthetic": 3 * sets["synthetic"]}))
    assert abs(_value(honest)) < 2
    assert honest.details["p"] > 0.02
    assert honest.details["null_se"] == pytest.approx(0.57, abs=0.1)  # not 1
    assert _value(copies) < -10
    assert copies.details["p"] < 0.01
    assert _value(far) > 8
    assert far.details["p"] > 0.99
    with pytest.raises(SynthError, match="Use fewer cells"):
        data_copying(train=sets["train"], heldout=np.eye(8)[:2], synthetic=sets["synthetic"])


def test_data_copying_permutation_holds_its_level() -> None:
    p = [
        data_copying(**_sets(300 + s, size=80), permutations=99, seed=s).details["p"]
        for s in range(60)
    ]
    assert np.mean(np.array(p) <= 0.05) < 0.15
    assert 0.38 < np.mean(p) < 0.62


# MiFID


def test_mifid_is_the_distance_over_the_papers_penalty() -> None:
    train = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    made = np.array([[2.0, 0.02], [3.0, 3.1]])
    cosine = [2 / np.hypot(2, 0.02), 6.1 / (np.sqrt(2) * np.hypot(3, 3.1))]
    found = mifid(train=train, synthetic=made, allow_rank_deficient=True)
    penalty = 1 - np.mean(cosine)
    assert found.details["distance"] == pytest.approx(penalty, rel=1e-9)
    assert found.value == pytest.approx(found.details["frechet"] / penalty, rel=1e-6)
    alone = mifid(train=train, synthetic=made, eps=1e-9, allow_rank_deficient=True)
    assert alone.value == found.details["frechet"]


def test_mifid_punishes_copying_a_few_training_images() -> None:
    """The reversed direction, over training images, prefers this copier to fresh samples."""
    train, fresh = RandomState(8).randn(2, 400, 8) + 1.0
    copier = train[:100]
    assert _value(mifid(train=train, synthetic=copier)) > 1e6
    assert _value(mifid(train=train, synthetic=fresh)) < 100
    with pytest.raises(SynthError, match="no direction"):
        mifid(train=train, synthetic=np.zeros((9, 8)))


@pytest.mark.parametrize(
    ("train", "made", "real"), [(60, 60, None), (400, 60, 400), (400, 400, 60)]
)
def test_mifid_of_fewer_images_than_dimensions_is_refused(
    train: int, made: int, real: int | None
) -> None:
    """As the Fréchet distance is, from whichever side; equal sets give 70 where 0 is true."""
    stream = RandomState(3)
    sides = {"train": stream.randn(train, 128), "synthetic": stream.randn(made, 128)}
    sides |= {} if real is None else {"real": stream.randn(real, 128)}
    with pytest.raises(SynthError, match=r"mifid: fewer images than dimensions.*60 images, 128"):
        mifid(**sides)
    assert _value(mifid(**sides, allow_rank_deficient=True)) > 50


# copy rate


def test_copy_rate_lists_the_planted_copies() -> None:
    sets = _sets(9, dim=32)
    noise = RandomState(10).randn(6, 32)
    sets["synthetic"][[3, 50, 51, 52, 53, 54]] = sets["train"][[7, 1, 2, 3, 4, 5]] + 0.05 * noise
    found = copy_rate(**sets, pairs=8)
    pairs = found.details["pairs"]
    assert {(pair.synthetic, pair.train) for pair in pairs[:6]} == {
        (3, 7),
        (50, 1),
        (51, 2),
        (52, 3),
        (53, 4),
        (54, 5),
    }
    assert pairs[0].correlation > 0.99
    assert pairs[0].flagged
    assert 0.03 <= _value(found) < 0.15
    assert json.loads(json.dumps(found.to_json()))["details"]["pairs"][0]["flagged"]


def test_copy_rate_covers_its_expected_value_for_honest_generators() -> None:
    intervals = [copy_rate(**_sets(400 + seed)).ci or (1, 1) for seed in range(50)]
    assert sum(low <= 0.05 <= high for low, high in intervals) >= 45
    assert copy_rate(**_sets(11, copied=1.0)).value == 1.0
    with pytest.raises(SynthError, match="train: a constant row"):
        copy_rate(train=np.ones((3, 4)), heldout=np.eye(4), synthetic=np.eye(4))
    with pytest.raises(SynthError, match="quantile"):
        copy_rate(**_sets(11), quantile=1.0)


def _of_patients(seed: int, together: int = 1) -> dict[str, Any]:
    """30 held-out patients with ten images each, next to alike; 300 synthetic rows."""
    stream = RandomState(seed)
    person = np.repeat(stream.randn(30, 8), 10, axis=0)
    made = np.repeat(stream.randn(300 // together, 8), together, axis=0)
    return {
        "train": stream.randn(200, 8),
        "heldout": person + 0.02 * stream.randn(300, 8),
        "synthetic": made + 0.02 * stream.randn(300, 8),
        "heldout_groups": [str(row // 10) for row in range(300)],
        "synthetic_groups": [str(row // together) for row in range(300)],
    }


@pytest.mark.parametrize("together", [1, 10])
def test_copy_rate_interval_covers_when_patients_repeat(together: int) -> None:
    covered, naive = 0, 0
    for seed in range(100):
        sets = _of_patients(seed, together)
        found = copy_rate(**sets)
        alone = copy_rate(**{name: sets[name] for name in ("train", "heldout", "synthetic")})
        assert found.value == alone.value
        covered += _inside(0.05, found.ci)
        naive += _inside(0.05, alone.ci)
    assert covered >= 90
    assert naive < 75  # the test would see it


def test_copy_rate_of_single_images_is_as_without_groups() -> None:
    sets = _sets(420)
    own = [str(row) for row in range(200)]
    assert copy_rate(**sets, heldout_groups=own, synthetic_groups=own) == copy_rate(**sets)
    with pytest.raises(SynthError, match=r"heldout: one group a row.*got 3"):
        copy_rate(**sets, heldout_groups=["a", "b", "c"])


# all of them

_MEASURES = {
    "authenticity": authenticity,
    "nearest": nearest_neighbour_auc,
    "copying": data_copying,
    "rate": copy_rate,
    "memorization": memorization,
}


@pytest.mark.parametrize("name", _MEASURES)
@pytest.mark.parametrize("side", ["train", "heldout", "synthetic"])
def test_a_fault_is_said_of_the_side_that_has_it(name: str, side: str) -> None:
    sets = _sets(16, size=20)
    shown = {"heldout": "held_out"} if name == "memorization" else {}
    for wrong, message in (
        (np.full((20, 8), np.nan), "features hold NaN"),
        (sets[side][:1], "too few images"),
        (sets[side].ravel(), "features must be a matrix"),
    ):
        given = {shown.get(key, key): rows for key, rows in (sets | {side: wrong}).items()}
        with pytest.raises(SynthError, match=f"^{shown.get(side, side)}: {message}"):
            _MEASURES[name](**given)
    given = {shown.get(key, key): rows for key, rows in (sets | {side: np.ones((20, 9))}).items()}
    both = "train and" if side == "train" else f"train and {shown.get(side, side)}"
    with pytest.raises(SynthError, match=f"^{both}.*features have different dimensions"):
        _MEASURES[name](**given)


_SCORES: dict[str, tuple[Callable[..., Record], int]] = {
    "authenticity": (authenticity, -1),
    "nearest": (nearest_neighbour_auc, 1),
    "copying": (data_copying, -1),
    "rate": (copy_rate, 1),
}


@pytest.mark.parametrize("name", _SCORES)
def test_more_copies_are_worse_step_by_step_and_noise_restores(name: str) -> None:
    measure, sign = _SCORES[name]
    values = [sign * _value(measure(**_sets(12, copied=share))) for share in (0, 0.25, 0.5, 1)]
    assert values == sorted(values)
    assert len(set(values)) == 4
    sets = _sets(12, copied=1.0)
    sets["synthetic"] = sets["synthetic"] + RandomState(13).randn(200, 8)
    assert sign * _value(measure(**sets)) < values[2]


@pytest.mark.parametrize("name", _SCORES)
def test_rotation_and_order_do_not_matter(name: str) -> None:
    measure, _ = _SCORES[name]
    sets = _sets(14, copied=0.3)
    rotation, _ = np.linalg.qr(RandomState(15).randn(8, 8))
    order = RandomState(16).permutation(200)
    settings = {"cells": 1} if name == "copying" else {}
    plain = measure(**sets, **settings)
    mixed = measure(**(sets | {"synthetic": sets["synthetic"][order]}), **settings)
    assert mixed.value == pytest.approx(plain.value, rel=1e-9)
    if name != "rate":  # a correlation has axes
        turned = measure(**{side: rows @ rotation for side, rows in sets.items()}, **settings)
        assert turned.value == pytest.approx(plain.value, rel=1e-6)
    assert measure(**sets, **settings) == plain


# memorization, patients as units


def _clustered(seed: int, patients: int = 40, images: int = 3) -> dict[str, Any]:
    """Honest synthetic rows; held-out rows in tight clusters of one patient."""
    stream = RandomState(seed)
    train, synthetic = stream.randn(200, 6), stream.randn(100, 6)
    person = np.repeat(stream.randn(patients, 6), images, axis=0)
    held_out = np.sqrt(0.9) * person + np.sqrt(0.1) * stream.randn(*person.shape)
    return {
        "train": train,
        "held_out": held_out,
        "synthetic": synthetic,
        "held_out_groups": [f"p{row // images}" for row in range(len(held_out))],
    }


def test_memorization_intervals_cover_what_honest_sets_expect_when_patients_repeat() -> None:
    area, accused, naive = 0, 0, 0
    for seed in range(200):
        sets = _clustered(seed)
        found = memorization(**sets)
        alone = memorization(**(sets | {"held_out_groups": None}))
        assert found.auc.value == alone.auc.value
        area += _inside(0.5, found.auc.ci)
        naive += _inside(0.5, alone.auc.ci)
        assert found.closer.expected == pytest.approx(1 / 41)
        accused += found.closer.p < 0.05
    assert area >= 184  # at least 90 %, by more than two standard errors of 200 trials at 95 %
    assert accused <= 18
    assert naive < area


def test_memorization_of_copies_is_certain_and_of_one_patient_has_no_interval() -> None:
    sets = _clustered(0)
    copies = memorization(**(sets | {"synthetic": sets["train"][:50]}))
    assert copies.auc.value == copies.share_closer.value == 1.0
    assert copies.auc.ci is not None
    assert 0.5 < copies.auc.ci[0] < copies.auc.ci[1] == 1.0
    assert copies.closer.p < 1e-6
    assert copies.closer.at_most == 1.0
    assert "interval withheld: 40 unseen patients" in copies.share_closer.note
    alone = memorization(**(sets | {"held_out_groups": ["p"] * len(sets["held_out"])}))
    assert alone.auc.ci is None
    assert "too few patients" in alone.auc.note


def _inside(value: float, interval: tuple[float, float] | None) -> bool:
    assert interval is not None
    return interval[0] <= value <= interval[1]
