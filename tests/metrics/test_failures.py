from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metrics.chosen import Choices
from metrics.failures import LEAST, SHOWN, misjudged, outlying, repeated
from metrics.memorization import memorization
from metrics.run import evaluate
from synth.config.schema import MetricsSection, UtilitySection

QUICK = MetricsSection(
    bootstrap=20,
    classifier_steps=5,
    image_size=32,
    utility=UtilitySection(steps=3, seeds=1, batch=8),
)


def judged(made, asked, *, state=1, real=None, truth=None, most=10, findings=("a", "b")):
    """``misjudged`` with a judge that sees finding a well (0.8 to 1) and b not at all."""
    if real is None:
        real = np.column_stack([np.linspace(0.8, 1.0, 41), np.linspace(0.0, 1.0, 41)])
    truth = np.full(real.shape, float(state)) if truth is None else truth
    return misjudged(
        state=state,
        probabilities=np.asarray(made),
        asked=np.asarray(asked),
        real_probabilities=real,
        truth=truth,
        findings=findings,
        most=most,
    )


def test_what_real_images_do_too_is_no_failure():
    nan = np.nan
    made = [[0.9, 0.5], [0.10, 0.5], [0.5, 0.04], [0.0, 0.0]]
    asked = [[1.0, nan], [1.0, nan], [nan, 1.0], [0.0, nan]]
    found = judged(made, asked)
    assert [(one.row, one.finding, one.beyond) for one in found] == [
        (1, "a", True),  # lower than every real image with it
        (2, "b", True),  # lower than all but two of 41
        (0, "a", False),
    ]
    assert found[0].score == 0.10
    assert found[0].limit == pytest.approx(0.8 + 0.05 * 0.2)  # 5 % of the way up
    assert found[1].limit == pytest.approx(0.05)


def test_denied_findings_are_the_mirror_image():
    real = 1.0 - np.column_stack([np.linspace(0.8, 1.0, 41), np.linspace(0.0, 1.0, 41)])
    made, asked = [[0.95, 0.5], [0.1, 0.5], [0.99, 0.5]], [[0.0, 1.0], [0.0, 1.0], [1.0, 1.0]]
    found = judged(made, asked, state=0, real=real)
    assert [(one.row, one.reason, one.beyond) for one in found] == [
        (0, "present", True),
        (1, "present", False),
    ]
    assert found[0].limit == pytest.approx(0.2 - 0.05 * 0.2)


def test_each_finding_has_its_turn_and_no_image_comes_twice():
    made = [[0.0, 0.9], [0.01, 0.9], [0.02, 0.9], [0.9, 0.4]]
    found = judged(made, np.ones((4, 2)), most=3)
    assert [(one.row, one.finding) for one in found] == [(0, "a"), (3, "b"), (1, "a")]


def test_too_few_real_images_set_no_limit():
    real = np.linspace(0.8, 1.0, LEAST - 1)[:, None]
    found = judged([[0.1]], [[1.0]], real=real, findings=("a",))
    assert found[0].limit is None
    assert found[0].beyond is None


def test_a_rare_finding_counts_and_one_that_no_real_image_has_comes_last():
    truth = np.ones((41, 2))
    truth[3:, 1] = 0.0  # three real images show b
    found = judged([[0.05, np.nan], [np.nan, 0.02]], np.eye(2), truth=truth, real=np.ones((41, 2)))
    assert [(one.row, one.finding) for one in found] == [(1, "b"), (0, "a")]
    truth[:, 1] = 0.0
    found = judged([[0.05, np.nan], [np.nan, 0.02]], np.eye(2), truth=truth, real=np.ones((41, 2)))
    assert [one.finding for one in found] == ["a", "b"]
    assert found[1].beyond is None


def test_the_farthest_image_and_the_limit_of_other_patients():
    line = np.repeat(np.arange(30.0), 2)[:, None] @ np.ones((1, 2)) / np.sqrt(2)
    patients = [f"p{index // 2}" for index in range(60)]  # two equal images each, 1 apart
    made = np.array([[0.0, 0.1], [0.0, 5.0]])
    found = outlying(real=line, synthetic=made, real_groups=patients, most=5)
    assert [one.row for one in found] == [1, 0]
    assert found[0].limit == pytest.approx(1.0)  # not 0, which a patient's own image would give
    nearest = np.linalg.norm(line - made[1], axis=1)
    assert found[0].score == pytest.approx(nearest.min())
    assert nearest[found[0].other] == pytest.approx(nearest.min())
    assert [one.beyond for one in found] == [True, False]


def test_a_repeat_is_one_pair():
    rng = np.random.default_rng(0)
    real, made = rng.normal(size=(40, 8)), rng.normal(size=(40, 8))
    made[31] = made[4]
    found = repeated(real=real, synthetic=made, most=4)
    assert {found[0].row, found[0].other} == {4, 31}
    assert found[0].score == 0.0
    assert found[0].beyond
    assert len({frozenset((one.row, one.other)) for one in found}) == 4
    apart = np.linalg.norm(real[:, None] - real[None], axis=2) + 1e9 * np.eye(40)
    assert found[1].limit == pytest.approx(np.quantile(apart.min(axis=1), 0.01))
    fewer = repeated(real=real[:39], synthetic=made, most=1)
    assert fewer[0].limit is None  # nearest distances grow where there are fewer images
    assert repeated(real=real, synthetic=made[:1], most=1) == []


def test_the_histogram_counts_every_image_and_knows_the_limit():
    rng = np.random.default_rng(0)
    train = rng.normal(size=(200, 4))
    held, made = rng.normal(size=(150, 4)), rng.normal(size=(99, 4))
    made[:30] = train[:30]
    made = np.vstack([made, np.full((1, 4), 1e4)])
    found = memorization(train=train, held_out=held, synthetic=made)
    shown = found.histogram()
    assert len(shown["edges"]) == 41
    assert (sum(shown["synthetic"]), sum(shown["held_out"])) == (100, 150)
    assert shown["synthetic"][0] >= 30  # the copies
    assert shown["synthetic"][-1] == 1  # beyond all bins, and no bin is stretched to reach it
    assert shown["edges"][-1] < 10
    assert shown["limit"] == found.held_out.min()  # of 150 patients the closest one sets it
    same = memorization(train=train, held_out=train[:9], synthetic=train[:7])
    assert same.histogram()["synthetic"][0] == 7  # all at distance 0


def test_failures_of_a_dataset_scored_against_itself(tiny_dataset: Path) -> None:
    scores = evaluate(real=tiny_dataset, synthetic=tiny_dataset, settings=QUICK).to_json()
    found = scores["failures"]
    assert 0 < len(found) <= sum(SHOWN.values()) == 24
    copies = [one for one in found if one["reason"] == "copy"]
    assert copies[0]["synthetic"] == copies[0]["other"]
    assert copies[0]["score"] == 0.0
    for one in found:
        assert (tiny_dataset / one["synthetic"]).is_file()
        assert one["other"] is None or (tiny_dataset / one["other"]).is_file()
        assert one["other_set"] == {"far": "real", "copy": "train", "repeat": "synthetic"}.get(
            one["reason"]
        )


def test_only_what_is_asked_for_and_copies_by_their_files(tiny_dataset: Path) -> None:
    chosen = Choices(metrics=("copy-rate",), extractors=("random-conv",))
    scores = evaluate(
        real=tiny_dataset, synthetic=tiny_dataset, settings=QUICK, choices=chosen
    ).to_json()
    assert scores["failures"] == []
    pairs = scores["metrics"]["copy-rate"]["details"]["pairs"]
    assert pairs[0]["correlation"] == pytest.approx(1.0)
    assert pairs[0]["synthetic"] == pairs[0]["real"]
    assert (tiny_dataset / pairs[0]["real"]).is_file()


def test_plain_folders_have_far_images_and_repeats_alone(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("real", "made"):
        (tmp_path / name).mkdir()
        for index in range(24):
            pixels = rng.integers(0, 256, (32, 32), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{index:02d}.png")
    twin = tmp_path / "made" / "05.png"
    twin.write_bytes((tmp_path / "made" / "17.png").read_bytes())
    scores = evaluate(real=tmp_path / "real", synthetic=tmp_path / "made", settings=QUICK)
    by = {reason: [f for f in scores.failures if f["reason"] == reason] for reason in SHOWN}
    assert {reason: len(found) for reason, found in by.items()} == SHOWN | {
        "absent": 0,
        "present": 0,
        "copy": 0,  # there are no training images
    }
    first = by["repeat"][0]
    assert {first["synthetic"], first["other"]} == {"05.png", "17.png"}
    assert first["score"] == 0.0
    assert first["beyond"]
