"""One bad finding among good ones is found, and no finding is accused without cause."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from planted_findings import FACTS, draws, images, replaced, sides

from metrics.c2st import c2st
from metrics.chosen import Choices
from metrics.distances import Features
from metrics.group_scores import LEAST, LEAST_SHARES, kernel_widths
from metrics.groups import Sides
from metrics.ingest import ImageSet
from metrics.kernel import kernel_estimate
from metrics.nearest_share import nearest_share
from metrics.per_finding import per_finding
from metrics.records import Floor
from synth.errors import SynthError


def test_a_finding_drawn_as_another_is_the_only_one_found() -> None:
    honest, _ = per_finding(sides(0))
    assert all(scores.p_holm is not None and scores.p_holm > 0.05 for scores in honest.values())
    found, missing = per_finding(replaced(sides(0), "hernia", "edema"))
    assert not missing
    bad = {name for name, scores in found.items() if (scores.p_holm or 0.0) < 0.05}
    assert bad == {"hernia"}
    assert found["hernia"].p_holm == pytest.approx(4 * (found["hernia"].p or 0.0))
    kd = found["hernia"].records["kd"]
    assert kd.ci is not None
    assert kd.ci[0] > 0
    assert kd.floor is not None
    assert abs(kd.floor.value) < kd.value
    share = found["hernia"].records["nearest_share"]
    assert share.value < share.details["chance"] < share.details["real"]


@pytest.fixture
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """A p-value is valid at any number of permutations; fewer are faster."""
    monkeypatch.setattr("metrics.group_scores._DRAWS", 199)


@pytest.mark.usefixtures("few_draws")
def test_alike_sets_are_accused_no_more_often_than_the_level_says() -> None:
    alarms = 0
    for seed in range(100):
        found, _ = per_finding(sides(seed, each=12))
        alarms += any((scores.p_holm or 1.0) < 0.05 for scores in found.values())
    assert alarms <= 11  # of 100 at 5 %: more would have 0.4 % probability


@pytest.mark.usefixtures("few_draws")
def test_several_images_of_a_patient_are_not_evidence() -> None:
    alarms = 0
    for seed in range(40):
        found, _ = per_finding(sides(1000 + seed, each=48, real_of_patient=4))
        alarms += any((scores.p_holm or 1.0) < 0.05 for scores in found.values())
        assert next(iter(found.values())).patients_real == 12
    assert alarms <= 6  # of 40 at 5 %: more would have 0.3 % probability


def test_kernel_distance_is_that_of_the_whole_set_on_those_rows() -> None:
    given = sides(1)
    rows = np.flatnonzero(given.real.labels[:, 2] == 1)
    made = np.flatnonzero(given.synthetic.labels[:, 2] == 1)
    own = given.real_features.take(rows)
    expected = kernel_estimate(
        real=own.values,
        synthetic=given.synthetic_features.values[made],
        real_groups=own.groups,
    )
    kd = per_finding(given)[0]["nodule"].records["kd"]
    assert (kd.value, kd.se, kd.ci) == (expected.value, expected.se, expected.ci)
    assert (kd.n_real, kd.n_synthetic, kd.extractor) == (30, 30, "test-1")


def test_small_findings_are_withheld_with_the_reason() -> None:
    given = sides(2, each=LEAST_SHARES - 1)
    labels = given.real.labels.copy()
    labels[np.flatnonzero(labels[:, 1] == 1)[LEAST - 1 :], 1] = np.nan
    real = images(labels, given.real.groups, "r")
    found, missing = per_finding(
        Sides(real, given.synthetic, given.real_features, given.synthetic_features, FACTS)
    )
    assert set(found) == {"edema", "nodule", "effusion"}
    assert "hernia (9 real of 9 patients, 19 synthetic)" in missing[0].why
    scores = found["edema"].to_json()
    assert "recall" not in scores
    assert "fewer than 20 images" in scores["withheld"]["precision, recall, density, coverage"]
    assert "fewer than 20 images" in scores["withheld"]["vendi"]
    assert "fewer than 10 × 8 images" in scores["withheld"]["fd"]
    assert {"kd", "mmd", "nearest_share"} <= set(scores)


def test_large_findings_have_a_frechet_distance_and_a_vendi_score() -> None:
    given = sides(6, each=80)
    records = per_finding(given)[0]["nodule"].records
    assert records["fd"].value == pytest.approx(0.0, abs=0.5)
    assert records["fd"].n_real == 80
    assert records["vendi"].details["ratio"] == pytest.approx(1.0, abs=0.15)
    assert records["fd"].extractor == records["vendi"].extractor == "test-1"


def test_what_else_is_asked_for_is_measured_of_each_finding() -> None:
    given = sides(7, each=40)
    rng = np.random.default_rng(8)
    values, labels = draws(rng, 40)
    asked = Choices(metrics=("per-finding", "c2st", "sliced-wasserstein", "authenticity", "mmd"))
    more = replace(
        given,
        train=images(labels, None, "t"),
        train_features=Features(values, None),
        choices=asked,
    )
    plain, found = per_finding(given)[0]["hernia"], per_finding(more)[0]["hernia"]
    assert set(found.records) - set(plain.records) == {"c2st", "sliced-wasserstein", "authenticity"}
    assert found.records["mmd"] == plain.records["mmd"]  # the family's own test stays
    own = given.real_features.take(np.flatnonzero(given.real.labels[:, 1] == 1))
    made = given.synthetic_features.take(np.flatnonzero(given.synthetic.labels[:, 1] == 1))
    expected = c2st(
        real=own.values,
        synthetic=made.values,
        real_groups=own.groups,
        synthetic_groups=made.groups,
    )
    assert found.records["c2st"].value == expected.value
    assert found.records["authenticity"].details  # of the training images with it
    untrained = per_finding(replace(more, train=None, train_features=None))[0]["hernia"]
    assert "fewer than 10 training images" in untrained.withheld["authenticity"]


def test_many_images_of_few_patients_are_withheld() -> None:
    found, missing = per_finding(sides(3, each=36, real_of_patient=6))
    assert not found
    assert "36 real of 6 patients" in missing[0].why


def test_no_finding_in_common_is_said() -> None:
    given = sides(4)
    other = ImageSet(
        Path("o"),
        given.synthetic.names,
        given.synthetic.ids,
        given.synthetic.image_u8,
        None,
        ("fracture",),
        np.ones((len(given.synthetic), 1)),
    )
    found, missing = per_finding(
        Sides(given.real, other, given.real_features, given.synthetic_features, FACTS)
    )
    assert not found
    assert missing[0].why == "real and synthetic labels have no finding in common"


def test_equal_features_have_no_kernel_width() -> None:
    same = np.ones((30, 4))
    with pytest.raises(SynthError, match="equal features"):
        kernel_widths(same, seed=0)


def test_nearest_share_by_hand() -> None:
    real = np.array([[0.0], [1.0], [10.0], [11.0]])
    member = [True, True, False, False]
    record = nearest_share(real=real, synthetic=np.array([[0.1], [0.9], [9.0]]), member=member)
    assert record.value == pytest.approx(2 / 3)
    assert record.details == {"chance": 0.5, "real": 1.0}
    assert record.floor == Floor(1.0, 2)
    # Of one patient, the two members have no neighbour but the others.
    paired = nearest_share(
        real=real, synthetic=real[:1], member=member, real_groups=["a", "a", "b", "c"]
    )
    assert paired.details["real"] == 0.0
    with pytest.raises(SynthError, match="all real images, or none"):
        nearest_share(real=real, synthetic=real, member=[True] * 4)
