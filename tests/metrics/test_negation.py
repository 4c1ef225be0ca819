"""A model that reads "no" is told from one that does not."""

from __future__ import annotations

import numpy as np
import pytest

from metrics.arrays import Floats
from metrics.leaning import Judged, judged
from metrics.negation import LEAST, negation
from synth.errors import SynthError
from synth.text.findings import NAMES
from synth.text.label import RuleLabeler
from synth.text.negation import denying, stating

FINDINGS = ("edema", "hernia", "nodule", "effusion", "mass")
AXES = np.eye(12)[:5]


def images(
    seed: int, *, count: int = 120, signal: float = 1.0, each: int = 1
) -> tuple[Floats, Floats, list[str]]:
    """Images that point along the axes of their findings, their labels and patients."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(rng.random((count // each, 5)) < 0.4, each, axis=0).astype(float)
    rows = signal * (2 * labels - 1) @ AXES + rng.normal(size=(count, 12))
    rows += np.repeat(rng.normal(size=(count // each, 12)), each, axis=0)
    return rows, labels, [str(patient) for patient in np.repeat(np.arange(count // each), each)]


def against(seed: int, denied: Floats, **more: float) -> Judged:
    rows, labels, groups = images(seed, **more)  # type: ignore[arg-type]
    return judged(images=rows, stating=AXES, denying=denied, labels=labels, groups=groups)


def test_a_model_that_reads_no_is_found_out_as_one() -> None:
    found = negation(
        synthetic=against(0, -AXES), real=against(1, -AXES), findings=FINDINGS, resamples=100
    )
    assert set(found.findings) == set(FINDINGS)
    assert not found.withheld
    for row in found.findings.values():
        assert row["auroc"].ci[0] > 0.6
        assert row["balanced_accuracy"].ci[0] > 0.5
        assert row["p"] <= row["p_holm"] < 0.01
        assert row["auroc"].details["p"] > 0.001  # as real images
        assert row["n_positive"] + row["n_negative"] == 120
    assert found.macro.ci is not None
    assert found.macro.ci[0] > 0.7
    assert found.macro.floor is not None
    signs = found.macro.details
    assert (signs["findings"], signs["above_half"], signs["p_sign"]) == (5, 5, 0.0625)
    assert "5 of 5 findings" in found.macro.note  # five heads in a row happen


def test_many_findings_show_that_a_model_reads_no_and_accidents_do_not() -> None:
    rng = np.random.default_rng(11)
    labels = (rng.random((200, 12)) < 0.4).astype(float)
    rows = np.hstack([(2 * labels - 1) + rng.normal(size=(200, 12)), np.ones((200, 1))])
    axes = np.eye(13)[:12]
    sides = {"images": rows, "labels": labels, "stating": axes}
    names = [f"f{index}" for index in range(12)]
    reads = judged(denying=-axes, **sides)
    found = negation(synthetic=reads, real=reads, findings=names, resamples=20)
    assert found.macro.note == ""
    assert found.macro.details["p_sign"] == pytest.approx(2 * 0.5**12)
    # A word that moves half of the sentences towards their finding, and half away from it.
    here = 5.0 * np.eye(13)[12]
    moved = axes * np.where(np.arange(12) % 2, 0.5, 1.5)[:, None]
    accident = judged(denying=moved + here, **{**sides, "stating": axes + here})
    found = negation(synthetic=accident, real=accident, findings=names, resamples=20)
    assert any(row["p_holm"] < 0.001 for row in found.findings.values())
    assert 'reads "no" is not shown' in found.macro.note


def test_a_model_that_ignores_no_is_at_chance() -> None:
    found = negation(synthetic=against(2, AXES), findings=FINDINGS, resamples=20)
    for row in found.findings.values():
        assert row["auroc"].value == row["balanced_accuracy"].value == 0.5
        assert row["auroc"].ci is None
        assert "both sentences alike" in row["auroc"].note
        assert row["p"] == 1.0
    assert found.macro.value == 0.5
    assert found.macro.ci is None


@pytest.mark.parametrize("each", [1, 2])
def test_no_that_is_read_as_any_other_word_is_at_chance(each: int) -> None:
    """It moves every sentence alike, and not along its finding."""
    here, there = np.eye(12)[8], np.eye(12)[9]
    alarms, values = 0, []
    for seed in range(60):
        rows, labels, groups = images(seed, each=each)
        given = judged(
            images=rows, stating=AXES + here, denying=AXES + there, labels=labels, groups=groups
        )
        found = negation(synthetic=given, findings=FINDINGS, resamples=20)
        alarms += any(row["p_holm"] < 0.05 for row in found.findings.values())
        values.append(found.macro.value)
    assert np.mean(values) == pytest.approx(0.5, abs=0.02)
    assert alarms <= 8  # of 60 at 5 %: more would have 0.3 % probability


def test_accuracy_intervals_hold_for_patients_with_several_images() -> None:
    truth = negation(
        synthetic=against(9, -AXES, count=20_000), findings=FINDINGS, resamples=20
    ).findings["edema"]["balanced_accuracy"]
    covered = 0
    for seed in range(50):
        given = against(seed, -AXES, count=180, each=3)
        row = negation(synthetic=given, findings=FINDINGS, resamples=20).findings["edema"]
        low, high = row["balanced_accuracy"].ci
        covered += low <= truth.value <= high
    assert covered >= 44  # at 95 %: fewer would have 0.4 % probability


def test_perfect_separation_has_a_bound_and_a_p() -> None:
    labels = np.repeat([[1.0], [0.0]], 12, axis=0)
    rows = np.hstack([2 * labels - 1, np.zeros((24, 1))])
    given = judged(images=rows, stating=[[1.0, 0.0]], denying=[[-1.0, 0.0]], labels=labels)
    row = negation(synthetic=given, findings=("edema",), resamples=20).findings["edema"]
    assert row["auroc"].value == row["balanced_accuracy"].value == 1.0
    assert row["auroc"].ci == pytest.approx((0.025 ** (1 / 12), 1.0))
    assert row["balanced_accuracy"].ci == pytest.approx((0.025 ** (1 / 12), 1.0))
    assert row["p"] == pytest.approx(2 * 0.5**12)
    turned = judged(images=-rows, stating=[[1.0, 0.0]], denying=[[-1.0, 0.0]], labels=labels)
    row = negation(synthetic=turned, findings=("edema",), resamples=20).findings["edema"]
    assert row["auroc"].value == row["balanced_accuracy"].value == 0.0
    assert row["p"] == pytest.approx(2 * 0.5**12)


def test_too_few_patients_withhold_a_finding() -> None:
    rows, labels, groups = images(4)
    labels[:, 1] = 0.0
    labels[: LEAST - 1, 1] = 1.0
    labels[:, 2] = np.nan  # nothing known
    labels[:, 3] = -1.0  # uncertain
    sides = {"stating": AXES, "denying": -AXES, "groups": groups}
    given = judged(images=rows, labels=labels, **sides)
    found = negation(synthetic=given, findings=FINDINGS, resamples=20)
    assert set(found.findings) == {"edema", "mass"}
    assert found.withheld["hernia"] == f"{LEAST - 1} patients with it, {120 - LEAST + 1} without"
    assert set(found.withheld) == {"hernia", "nodule", "effusion"}
    few = judged(images=rows[:30], labels=images(4)[1][:30], **{**sides, "groups": groups[:30]})
    whole = judged(images=rows, labels=images(4)[1], **sides)
    beside = negation(synthetic=whole, real=few, findings=FINDINGS, resamples=20)
    ceilings = [row["auroc"].floor is not None for row in beside.findings.values()]
    assert not all(ceilings)  # of some finding 30 images show too little
    assert beside.macro.floor is None  # and a mean over fewer findings is no ceiling
    nine = judged(images=rows[:9], labels=labels[:9], **{**sides, "groups": None})
    with pytest.raises(SynthError, match="present and absent often enough"):
        negation(synthetic=nine, findings=FINDINGS)


def test_wrong_inputs_are_refused() -> None:
    rows, labels, groups = images(5)
    given = {"images": rows, "stating": AXES, "denying": -AXES, "labels": labels}
    for change, match in (
        ({"stating": AXES[:, :8]}, "not of one space"),
        ({"denying": AXES[:3]}, "not of one space"),
        ({"labels": labels[:, :2]}, "one label an image and finding"),
        ({"denying": np.zeros_like(AXES)}, "vector of zeros"),
        ({"groups": groups[:5]}, "one group a row"),
    ):
        with pytest.raises(SynthError, match=match):
            judged(**{**given, **change})  # type: ignore[arg-type]


@pytest.mark.parametrize("finding", [name for name in NAMES if name != "no_finding"])
def test_the_labeller_reads_every_sentence_as_it_is_meant(finding: str) -> None:
    labeller = RuleLabeler()
    assert labeller.label(stating(finding)).values[finding] == 1
    assert labeller.label(denying(finding)).values[finding] == 0


def test_sentences_differ_by_one_word() -> None:
    assert stating("pleural_effusion") == "There is a pleural effusion."
    assert denying("pleural_effusion") == "There is no pleural effusion."
    assert stating("lung_opacity") == "There is a lung opacity."
    assert stating("interstitial_pattern") == "There is an interstitial pattern."
    assert (stating("my_finding"), denying("my_finding")) == (
        "There is my finding.",
        "There is no my finding.",
    )
