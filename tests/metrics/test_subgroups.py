"""Groups of patients are judged apart, and the widest gap with care for having been picked."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from metrics.chosen import Choices
from metrics.distances import ExtractorFacts, Features
from metrics.groups import GroupScores, Sides
from metrics.ingest import ImageSet, open_images, take
from metrics.records import Estimate, recorded
from metrics.run import evaluate
from metrics.subgroups import per_subgroup, widest_gap
from synth.config.schema import MetricsSection

FACTS = ExtractorFacts("test", "test-1", "ab", "none")


def images(sex: list[str | None], prefix: str) -> ImageSet:
    names = tuple(f"{prefix}{index}" for index in range(len(sex)))
    return ImageSet(
        Path(prefix),
        names,
        names,
        torch.zeros((len(sex), 1, 2, 2), dtype=torch.uint8),
        None,
        (),
        np.empty((len(sex), 0)),
        subgroups={"sex": tuple(sex)},
    )


def sides(shift: float, *, sexes: tuple[str | None, ...] = ("F", "M")) -> Sides:
    """Synthetic women lie ``shift`` away from real ones; men do not."""
    rng = np.random.default_rng(0)
    sex = [sexes[index % len(sexes)] for index in range(120)]
    real, made = rng.normal(size=(120, 4)), rng.normal(size=(120, 4))
    made[[value == "F" for value in sex]] += shift
    return Sides(
        images(sex, "r"), images(sex, "s"), Features(real, None), Features(made, None), FACTS
    )


def test_the_group_served_worse_is_named_with_its_gap() -> None:
    found, missing = per_subgroup(sides(1.0))
    assert not missing
    women, men = found.scores["sex"]["F"], found.scores["sex"]["M"]
    assert women.p_holm is not None
    assert women.p_holm < 0.01
    assert men.p_holm is not None
    assert men.p_holm > 0.05
    gap = found.gaps["sex"]
    assert (gap.worst, gap.best, gap.pairs) == ("F", "M", 1)
    assert gap.ci is not None
    assert gap.ci[0] > 0
    assert gap.p is not None
    assert gap.p < 0.05


def test_equal_service_has_a_gap_around_zero() -> None:
    gap = per_subgroup(sides(0.0))[0].gaps["sex"]
    assert gap.ci is not None
    assert gap.ci[0] < 0 < gap.ci[1]
    assert gap.p is not None
    assert gap.p > 0.05


def test_the_interval_of_a_picked_gap_grows_with_the_pairs() -> None:
    def scores(value: float) -> GroupScores:
        without = tuple(value + 0.01 * np.arange(10))
        estimate = Estimate(value, 0.1, None, "", without=without)
        record = recorded(estimate, n_real=20, n_synthetic=20, higher_is_better=False)
        return GroupScores({"kd": record}, None, 20, 20, 20, {})

    two = widest_gap({"a": scores(0.0), "b": scores(1.0)})
    four = widest_gap({"a": scores(0.0), "b": scores(1.0), "c": scores(0.5), "d": scores(0.2)})
    assert two is not None
    assert four is not None
    assert two.ci is not None
    assert four.ci is not None
    assert (four.worst, four.best, four.pairs) == ("b", "a", 6)
    assert two.ci[1] - two.value == pytest.approx(2.262157 * 0.1 * 2**0.5)
    assert four.ci[1] - four.value > two.ci[1] - two.value
    assert four.p == pytest.approx(6 * (two.p or 0.0))
    assert widest_gap({"a": scores(0.0)}) is None


def test_what_one_side_does_not_state_is_not_scored() -> None:
    given = sides(0.0)
    silent = replace(given.synthetic, subgroups={})
    found, missing = per_subgroup(replace(given, synthetic=silent))
    assert not found.scores
    assert missing[0].why == "synthetic images do not state: sex"
    nobody = replace(given, synthetic=silent, real=replace(given.real, subgroups={}))
    assert "no image states" in per_subgroup(nobody)[1][0].why
    other = replace(given, synthetic=replace(silent, subgroups={"sex": ("O",) * 120}))
    assert "no value in common" in per_subgroup(other)[1][0].why


def test_tiny_groups_and_unstated_rows_are_left_out() -> None:
    given = sides(0.0, sexes=("F", *("M", None) * 8))
    found, missing = per_subgroup(given)
    assert set(found.scores["sex"]) == {"M"}
    assert "sex F (8 real of 8 patients" in missing[0].why
    assert not found.gaps


def test_columns_come_from_rows_and_from_what_an_image_was_conditioned_on(
    tmp_path: Path, tiny_dataset: Path
) -> None:
    folder = tmp_path / "made"
    shutil.copytree(tiny_dataset, folder)
    table = folder / "metadata.jsonl"
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    for index, row in enumerate(rows):
        row |= {"sex": None, "view": "AP", "source": "archive", "site": "St. Mary"}
        row["conditions"] = {"sex": "F"} if index % 2 else {}
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = open_images(folder, 32)
    assert found.subgroups["sex"][:2] == (None, "F")
    assert found.subgroups["view"][0] == "AP"
    assert found.subgroups["site"][0] == "St. Mary"
    assert found.subgroups["source"][0] == "archive"
    assert take(found, [1, 0]).subgroups["sex"] == ("F", None)


def test_evaluate_writes_them_with_fingerprints(tmp_path: Path, tiny_dataset: Path) -> None:
    folder = tmp_path / "made"
    shutil.copytree(tiny_dataset, folder)
    choices = Choices(metrics=("per-finding", "per-subgroup"), extractors=("pixel",))
    scores = evaluate(
        real=folder,
        synthetic=folder,
        settings=MetricsSection(bootstrap=10),
        choices=choices,
        out=tmp_path,
    )
    written = json.loads((tmp_path / "scores.json").read_text())
    assert written["per_finding"] == json.loads(json.dumps(scores.to_json()["per_finding"]))
    assert {item["what"] for item in written["not_computed"]} >= {"per-finding"}
    found = [*written["per_finding"].values()]
    found += [held for groups in written["per_subgroup"].values() for held in groups.values()]
    for held in found:
        assert held["kd"]["fingerprint"]
        assert held["kd"]["extractor"] == "pixel-32"
