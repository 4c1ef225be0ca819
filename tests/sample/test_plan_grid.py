from collections import Counter

import pytest

from sample.plan import make_plan
from synth.config import load_config
from synth.config.schema import Config
from synth.errors import SynthError, UsageError
from synth.manifest import Dataset, DatasetInfo, Row
from synth.text import RuleLabeler

TEXTS = [
    ("Small left pleural effusion.", "PA", "F"),
    ("Small left pleural effusion again.", "AP", "M"),
    ("Large right pleural effusion. Mild edema.", "AP", "F"),
    ("Moderate cardiomegaly.", "PA", "M"),
    ("Normal chest.", "PA", "F"),
]
NAMES = ("cardiomegaly", "edema", "hernia", "pleural_effusion")


@pytest.fixture
def reports(tmp_path):
    labeler = RuleLabeler()
    rows = []
    for index, (text, view, sex) in enumerate(TEXTS):
        read = labeler.label(text)
        rows.append(
            Row(
                file_name=f"{index}.png",
                sample_id=f"r{index}",
                split="train",
                view=view,
                sex=sex,
                labels={name: read.values[name] for name in NAMES},
                attributes=read.attributes,
                text_used=text,
            )
        )
    return Dataset(tmp_path, DatasetInfo(name="made"), tuple(rows))


def planned(dataset, grid, *, count=12, conditions=("view", "side", "sex"), **plan):
    section = {"kind": "grid", "grid": grid, **plan}
    config = {"model": {"conditions": conditions}, "sample": {"count": count, "plan": section}}
    return make_plan(Config.model_validate(config), dataset)


def test_every_cell_gets_its_images_and_the_rest_mirrors(reports):
    grid = {"finding": ["pleural_effusion"], "side": ["left", "right"], "each": 4}
    plan = planned(reports, grid, count=9)
    assert plan.cells == (("left pleural_effusion", 2, 4), ("right pleural_effusion", 1, 4))
    sources = Counter(row.source_sample_id for row in plan.rows)
    assert sources["r0"] >= 2
    assert sources["r1"] >= 2
    assert sources["r2"] >= 4
    assert len(plan.rows) == 9
    assert plan.words == "grid: finding × side, 2 cells"
    assert plan.to_json()["cells"][0]["planned"] == 4


def test_without_a_number_the_cells_share_equally(reports):
    plan = planned(reports, {"view": ["PA", "AP"], "sex": ["F", "M"]}, count=10)
    assert [cell.planned for cell in plan.cells] == [3, 3, 2, 2]
    made = Counter((row.conditions["view"], row.conditions["sex"]) for row in plan.rows)
    assert made == {("PA", "F"): 3, ("PA", "M"): 3, ("AP", "F"): 2, ("AP", "M"): 2}


def test_cells_that_no_text_fits_stay_empty_and_are_named(reports):
    grid = {"finding": ["pleural_effusion"], "severity": ["small", "large"], "sex": ["F", "M"]}
    plan = planned(reports, grid)
    assert [cell.planned for cell in plan.cells] == [4, 4, 4, 0]
    assert "1 of 4 cells (large pleural_effusion, M)" in plan.notes[0]
    assert "3 of 4 cells have fewer distinct texts" in plan.notes[1]


def test_templates_fill_the_empty_cells(reports):
    grid = {"finding": ["pleural_effusion"], "side": ["left", "right"], "severity": ["severe"]}
    plan = planned(reports, grid | {"sex": ["M"]}, templates=True)
    assert [(cell.real, cell.planned) for cell in plan.cells] == [(0, 6), (0, 6)]
    labeler = RuleLabeler()
    sides = Counter()
    for row in plan.rows:
        said = labeler.label(row.prompt).attributes["pleural_effusion"]
        assert said["severity"] == "severe"
        assert row.conditions["sex"] == "M"
        sides[said["side"]] += 1
    assert sides == {"left": 6, "right": 6}
    assert any("edema" in row.prompt for row in plan.rows)  # from real label sets


def test_all_findings_are_those_that_training_texts_show(reports):
    plan = planned(reports, {"finding": ["all"]})
    assert [cell.cell for cell in plan.cells] == ["cardiomegaly", "edema", "pleural_effusion"]


def test_an_axis_that_the_model_cannot_see_is_noted(reports):
    plan = planned(reports, {"sex": ["F", "M"]}, conditions=())
    assert any("not conditioned on sex" in note for note in plan.notes)


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"finding": ["edma"]}, "no such finding.*Did you mean `edema`"),
        ({"finding": ["hernia"]}, r"no training image.*pleural_effusion \(3\)"),
        (
            {"finding": ["pleural_effusion"], "severity": ["smal"]},
            "fits any cell.*got smal.*one of large, small.*Did you mean `small`",
        ),
        ({"sex": ["F", "M"], "each": 9}, "more images than.*Set sample.count=18"),
    ],
)
def test_impossible_grids_are_explained(reports, grid, message):
    with pytest.raises(UsageError, match=message):
        planned(reports, grid)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ("{kind: grid}", "needs `grid`"),
        ("{kind: grid, grid: {each: 3}}", "a grid needs an axis"),
        ("{kind: grid, grid: {side: [left]}}", "those of a finding"),
        ("{kind: grid, grid: {sex: [F, F]}}", "twice"),
        ("{kind: mirror, grid: {sex: [F]}}", "did you mean `grid`"),
        ("{kind: balance, target: 3, prevalence: 0.1}", "not both"),
        ("{recombine: true, templates: true}", "not both"),
        ("{kind: prompts, prompts: a.txt, recombine: true}", "as they are"),
        ("{kind: mirror, prompts: a.txt}", "did you mean `prompts`"),
    ],
)
def test_plans_that_make_no_sense_are_refused(tmp_path, plan, message):
    path = tmp_path / "c.yaml"
    path.write_text(f"sample: {{plan: {plan}}}")
    with pytest.raises(SynthError, match=message):
        load_config(path)
