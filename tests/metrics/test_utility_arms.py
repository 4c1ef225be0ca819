"""Planted defects, equal steps, and the controls of downstream utility."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from metrics.arrays import Floats
from metrics.ingest import ImageSet
from metrics.intervals import wilson
from metrics.report_utility import utility_choice, utility_more
from metrics.utility import downstream_utility, refuse_leak
from metrics.utility_arms import Arm, Labelled, altered, arms_of, stages_of
from metrics.utility_fit import Job, Material, run
from metrics.utility_groups import thresholds, underdiagnosis, worst_group
from metrics.utility_held_out import held_out
from synth.config.schema import UtilitySection
from synth.data.images_in import Picture
from synth.errors import SynthError, UsageError
from synth.manifest import Row

QUICK = UtilitySection(steps=24, seeds=2, batch=16)


def phantoms(prefix: str, seed: int, count: int = 48, *, flip: bool = False) -> ImageSet:
    """Images whose upper half is brighter where the finding is present."""
    truth = np.arange(count) % 2
    images = np.random.default_rng(seed).integers(0, 130, (count, 1, 32, 32), dtype=np.uint8)
    images[truth == 1, :, :16] += 60
    names = tuple(f"{prefix}{index}" for index in range(count))
    labels = ((1 - truth) if flip else truth).astype(np.float64)[:, None]
    return ImageSet(Path(prefix), names, names, torch.from_numpy(images), names, ("spot",), labels)


def with_rows(images: ImageSet, **columns: Sequence[Any]) -> ImageSet:
    rows = [
        Row.model_validate(
            {"file_name": name, "sample_id": name, "split": "test"}
            | {key: values[index] for key, values in columns.items()}
        )
        for index, name in enumerate(images.names)
    ]
    pictures = tuple(Picture(row.file_name, Path(row.file_name), row=row) for row in rows)
    return replace(images, pictures=pictures)


def utility(
    synthetic: ImageSet, settings: UtilitySection = QUICK, **changes: Any
) -> dict[str, Any]:
    sides = {"real": phantoms("t", 0), "test": phantoms("h", 1, 80)}
    return downstream_utility(
        synthetic=synthetic,
        findings=("spot",),
        settings=settings,
        image_size=32,
        **({"resamples": 100} | sides | changes),
    )


@dataclass
class Spy:
    """A trainer that counts; it knows nothing but how many images it saw."""

    calls: list[dict[str, Any]] = field(default_factory=list)

    def fit(
        self,
        images_u8: Tensor,
        labels: Floats,
        *,
        validation: tuple[Tensor, Floats] | None,
        findings: Sequence[str],
        steps: int,
        batch: int,
        learning_rate: float | None,
        seed: int,
        start: object | None = None,
    ) -> Guess:
        self.calls.append(
            {"n": len(images_u8), "steps": steps, "rate": learning_rate, "seed": seed}
            | {"validation": validation, "start": start, "batch": batch}
        )
        return Guess(1.0 if learning_rate is None else learning_rate, len(findings))


@dataclass(frozen=True)
class Guess:
    """Good where the rate is 0.5, its opposite elsewhere."""

    rate: float
    findings: int

    def probabilities(self, image_u8: Tensor) -> NDArray[np.float32]:
        upper = image_u8[:, 0, :16].float().mean(dim=(1, 2)).numpy() / 255
        right = upper if self.rate == 0.5 else 1 - upper
        return np.repeat(right[:, None], self.findings, axis=1).astype(np.float32)


def test_every_arm_takes_the_same_steps_and_the_same_search() -> None:
    spy = Spy()
    settings = UtilitySection(
        steps=11, seeds=3, batch=4, alphas=(0.25, 0.5), learning_rates=(0.1, 0.5)
    )
    found = utility(phantoms("s", 2), settings, trainer=spy)
    arms = found["arms"]
    assert len(arms) == 7
    assert {(arm["steps"], arm["candidates"]) for arm in arms.values()} == {(11, 2)}
    assert sum(call["steps"] for call in spy.calls) == 7 * 3 * 2 * 11
    assert all(arm["learning_rates"] == [0.5] * 3 for arm in arms.values())
    stopped = {id(call["validation"][0]) for call in spy.calls}
    assert len(stopped) == 1  # the same real patients stop and choose in every arm
    assert {call["batch"] for call in spy.calls} == {4}


def test_pretraining_goes_on_from_the_synthetic_weights() -> None:
    spy = Spy()
    only = UtilitySection(steps=11, seeds=1, batch=4, arms=("synthetic-then-real",))
    utility(phantoms("s", 2, 20), only, trainer=spy)
    real, first, second = spy.calls  # `real` is always trained
    assert real["steps"] == first["steps"] + second["steps"] == 11
    assert (first["n"], first["start"]) == (20, None)
    assert second["n"] == real["n"]
    assert isinstance(second["start"], Guess)


def test_the_embedded_network_starts_from_where_it_was_and_keeps_its_best() -> None:
    from metrics.utility_trainer import EmbeddedTrainer

    data, held = phantoms("t", 0), phantoms("v", 5)
    trainer = EmbeddedTrainer(32)
    common: dict[str, Any] = {"findings": ("spot",), "batch": 8, "seed": 0, "learning_rate": None}

    def fit(steps: int, **more: Any) -> NDArray[np.float32]:
        more = {"validation": None} | more
        fitted = trainer.fit(data.image_u8, data.labels, steps=steps, **common, **more)
        return fitted.probabilities(held.image_u8)

    first = trainer.fit(data.image_u8, data.labels, steps=6, validation=None, **common)
    assert not np.array_equal(fit(6, start=first), fit(6))
    # Labels of nothing but the opposite: the best look is the one before most was learnt.
    opposite = (held.image_u8, 1 - held.labels)
    assert not np.array_equal(fit(24, validation=opposite), fit(24))
    with pytest.raises(SynthError, match="not a classifier"):
        fit(2, start="weights")


def test_flipped_synthetic_labels_lower_synthetic_and_leave_real_alone() -> None:
    good, bad = utility(phantoms("s", 2)), utility(phantoms("s", 2, flip=True))
    assert bad["arms"]["synthetic"]["macro_auroc"] < 0.35
    assert good["arms"]["synthetic"]["macro_auroc"] > 0.8
    assert bad["arms"]["synthetic"]["delta_ci"][1] < 0
    assert bad["arms"]["synthetic"]["findings"]["spot"]["p_holm"] < 0.01
    for key in ("macro_auroc", "ci", "findings"):
        assert bad["arms"]["real"][key] == good["arms"]["real"][key]
    assert set(good["arms"]) == {
        *("real", "real+synthetic", "synthetic", "synthetic-then-real", "real+augmented")
    }


def test_real_images_again_are_no_gain() -> None:
    again = replace(phantoms("t", 0), groups=None)
    found = utility(again)["arms"]
    for name in ("real+synthetic", "synthetic"):
        low, high = found[name]["delta_ci"]
        assert low <= 0 <= high


def test_without_early_stopping_nothing_is_set_aside() -> None:
    off = utility(phantoms("s", 2), QUICK.model_copy(update={"early_stopping": False}))
    assert (off["n_validation"], off["arms"]["real"]["n_train"]) == (0, 48)
    on = utility(phantoms("s", 2))
    assert on["validation"] == "15 % of the training patients"
    assert on["n_validation"] + on["arms"]["real"]["n_train"] == 48


def test_the_validation_split_chooses_and_never_judges() -> None:
    held = with_rows(phantoms("h", 1, 80), split=["val"] * 30 + ["test"] * 50)
    parts = held_out(phantoms("t", 0), held, findings=("spot",), seed=0)
    assert (len(parts.train), parts.source) == (48, "validation split")
    assert parts.validation is not None
    assert parts.validation.ids == held.ids[:30]
    assert parts.test.ids == held.ids[30:]


def test_patients_set_aside_stay_whole() -> None:
    train = phantoms("t", 0, 80)
    train = replace(train, groups=tuple(f"p{index // 5}" for index in range(80)))
    parts = held_out(train, phantoms("h", 1), findings=("spot",), seed=0)
    assert parts.validation is not None
    assert not set(parts.validation.groups or ()) & set(parts.train.groups or ())
    assert len(parts.validation) + len(parts.train) == 80


def test_a_search_without_patients_to_choose_by_is_refused() -> None:
    few = phantoms("t", 0, 4)
    with pytest.raises(UsageError, match="no real validation patients"):
        utility(phantoms("s", 2), UtilitySection(learning_rates=(1e-3, 1e-2)), real=few)


@pytest.mark.parametrize(
    ("info", "row", "kind"),
    [
        ({"trained_on": {"patients": ["h3"]}}, {}, "patients"),
        ({"training_patients": ["h3"]}, {}, "patients"),
        ({"trained_on": {"samples": ["x", "h3"]}}, {}, "source reports"),
        ({}, {"source_patient_id": "h3"}, "patients"),
        ({}, {"source_sample_ids": ["x", "h3"]}, "source reports"),
        ({}, {"source_study_id": "study-3"}, "studies"),
    ],
)
def test_what_a_synthetic_set_says_of_its_origin_is_held_against_it(
    tmp_path: Path, info: dict[str, Any], row: dict[str, Any], kind: str
) -> None:
    test = with_rows(phantoms("h", 1, 10), study_id=[f"study-{index}" for index in range(10)])
    (tmp_path / "dataset.json").write_text(json.dumps(info))
    columns = {key: [value] * 10 for key, value in row.items()}
    made = with_rows(replace(phantoms("s", 2, 10), groups=None, folder=tmp_path), **columns)
    with pytest.raises(SynthError, match=f"test {kind} are among"):
        refuse_leak(made, test)
    clean = with_rows(replace(phantoms("s", 2, 10), groups=None))
    refuse_leak(clean, test)


def test_shares_are_nested_and_never_repeat_an_image() -> None:
    arms, left_out = arms_of(("real", "synthetic"), (2.0, 0.5), n_real=10, n_synthetic=12)
    assert [arm.name for arm in arms] == ["real", "real+0.5x synthetic", "synthetic"]
    assert left_out == {"real+2x synthetic": "needs 20 synthetic images, there are 12"}
    values = torch.arange(12, dtype=torch.uint8)[:, None, None, None]
    made = Labelled(values, np.arange(12.0)[:, None])
    real = Labelled(values[:10] + 100, np.zeros((10, 1)))

    def drawn(alpha: float, seed: int) -> set[int]:
        arm = Arm("share", alpha)
        (stage,) = stages_of(arm, real, made, steps=3, finetune=0.5, flips=False, seed=seed)
        return set(stage.data.images[10:].flatten().tolist())

    assert drawn(0.5, 0) < drawn(0.9, 0)
    assert drawn(0.5, 0) != drawn(0.5, 1)


def test_altered_copies_follow_the_seed_keep_labels_and_are_not_mirrored() -> None:
    ramp = torch.linspace(0, 255, 32).round().to(torch.uint8).expand(40, 1, 32, 32)
    real = Labelled(ramp, (np.arange(40) % 2).astype(np.float64)[:, None])
    one, again = (altered(real, 70, flips=False, seed=3) for _ in range(2))
    assert torch.equal(one.images, again.images)
    assert not torch.equal(one.images, altered(real, 70, flips=False, seed=4).images)
    assert one.labels.sum() in range(30, 41)  # each image once before any twice
    gradient = one.images[..., 24:].float().mean((1, 2, 3)) - one.images[..., :8].float().mean(
        (1, 2, 3)
    )
    assert (gradient > 0).all()
    mirrored = altered(real, 70, flips=True, seed=3).images.float()
    assert (mirrored[..., 24:].mean((1, 2, 3)) < mirrored[..., :8].mean((1, 2, 3))).any()


def test_worst_group_and_underdiagnosis_by_hand() -> None:
    # Women: every finding seen. Men: half of the sick are called healthy, and ranked by chance.
    truth = np.tile([1.0, 0.0], 40)[:, None]
    sex = np.repeat(["F", "M"], 40)
    scores = truth.copy()
    scores[40:, 0] = np.tile([1.0, 1.0, 0.0, 0.0], 10)
    groups = {"sex": {name: sex == name for name in ("F", "M")}}
    worst = worst_group([scores], truth, groups)
    assert worst is not None
    assert (worst["attribute"], worst["group"], worst["auroc"]) == ("sex", "M", 0.5)
    assert worst["by"]["sex"]["gap"] == 0.5
    found = underdiagnosis([scores], [0.5], truth, groups)
    assert (found["rate"], found["missed"], found["n"]) == (0.25, 0.25, 40)
    gap = found["by"]["sex"]
    assert (gap["worst"], gap["gap"], gap["missed_gap"]) == ("M", 0.5, 0.5)
    # Newcombe 1998, method 10, of 10 of 20 against 0 of 20.
    (low, high), (_, other) = wilson(10, 20), wilson(0, 20)
    expected = [0.5 - np.hypot(0.5 - low, other), high]
    assert gap["gap_ci"] == pytest.approx(expected)


def test_thresholds_come_from_validation_patients() -> None:
    labels = np.array([[1.0]] * 6 + [[0.0]] * 6)
    scores = np.r_[np.linspace(0.12, 0.2, 6), np.linspace(0.0, 0.1, 6)][:, None]
    assert thresholds(scores, labels) == pytest.approx(0.12)
    assert thresholds(None, None) == 0.5
    assert thresholds(scores[:8], labels[:8]) == pytest.approx(0.5)  # too few without


def test_groups_and_calibration_are_in_the_record() -> None:
    test = with_rows(phantoms("h", 1, 80), sex=["F", "F", "M", "M"] * 20, view=["PA"] * 80)
    spy = Spy()
    found = utility(phantoms("s", 2), UtilitySection(steps=2, seeds=1), trainer=spy, test=test)
    arm = found["arms"]["synthetic"]
    assert set(arm["worst_group"]["by"]) == {"sex"}
    spot = arm["findings"]["spot"]
    upper = 1 - test.image_u8[:, 0, :16].double().mean(dim=(1, 2)).numpy() / 255
    assert spot["brier"] == pytest.approx(((upper - test.labels[:, 0]) ** 2).mean(), abs=1e-6)
    assert 0 <= spot["ece"] <= 1
    assert spot["auprc"] < 0.5  # the spy is wrong without a rate
    assert (spot["delta"], spot["p"], arm["recovered"]) == (0.0, 1.0, None)
    assert found["curve"] == [
        {"alpha": 0.0, "arm": "real"},
        {"alpha": 48 / 41, "arm": "real+synthetic"},
    ]
    json.dumps(found)


def test_a_job_is_the_same_twice() -> None:
    data = phantoms("t", 0)
    both = Labelled(data.image_u8, data.labels)
    material = Material(both, both, both, data.image_u8, ("spot",), QUICK, 32)
    job = Job(Arm("synthetic-then-real"), 1, material)
    one, two = run(job), run(job)
    assert np.array_equal(one.test, two.test)
    assert one.steps == QUICK.steps


def test_the_report_shows_what_else_an_arm_is_worth() -> None:
    test = with_rows(phantoms("h", 1, 80), sex=["F", "F", "M", "M"] * 20)
    settings = UtilitySection(steps=2, seeds=1, alphas=(0.5,))
    scores = {"utility": utility(phantoms("s", 2), settings, trainer=Spy(), test=test)}
    rows = utility_more(scores)
    assert [row.name for row in rows][:2] == ["real", "real+0.5x synthetic"]
    assert (rows[0].changed, rows[1].changed) == ("–", "0 of 1")
    assert "sex" in rows[1].group
    assert rows[1].between
    assert utility_choice(scores).endswith("(15 % of the training patients).")
    assert utility_more({"utility": {"arms": {"real": {"macro_auroc": 0.9}}}}) == ()
