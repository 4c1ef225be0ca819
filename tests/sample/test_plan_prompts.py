import json

import pytest

from sample.plan import make_plan
from synth.config.schema import Config
from synth.errors import SynthError, UsageError
from synth.manifest import Dataset, DatasetInfo, Row
from synth.seeding import seed_from

NAMES = ("edema", "hernia", "mass", "no_finding")


def row(index, split, text, **labels):
    return Row(
        file_name=f"{index}.png",
        sample_id=f"r{index}",
        split=split,
        labels=dict.fromkeys(NAMES) | labels,
        text_used=text,
        label_source="rules-v2",
    )


@pytest.fixture
def real(tmp_path):
    rows = (
        row(0, "train", "Hiatal hernia.", hernia=1),
        row(1, "train", "Mild edema.", edema=1),
        row(2, "test", "Large mass in the left lung.", mass=1),
    )
    return Dataset(tmp_path, DatasetInfo(name="made"), rows)


def planned(dataset, name, content, *, count=4, conditions=()):
    path = dataset.folder / name
    path.write_text(content, encoding="utf-8")
    section = {"kind": "prompts", "prompts": path}
    config = {
        "run": {"seed": 5},
        "model": {"conditions": conditions},
        "sample": {"count": count, "plan": section},
    }
    return make_plan(Config.model_validate(config), dataset)


def given(labels):
    return {name: value for name, value in labels.items() if value is not None}


def test_a_line_of_a_txt_file_is_labelled_by_the_labeller(real):
    plan = planned(real, "p.txt", "Severe edema.\n\n  No edema.  Hiatal hernia. \n")
    assert [row.prompt for row in plan.rows] == ["Severe edema.", "No edema. Hiatal hernia."] * 2
    assert given(plan.rows[0].labels) == {"edema": 1, "no_finding": 0}
    assert given(plan.rows[1].labels) == {"edema": 0, "hernia": 1, "no_finding": 0}
    assert [row.source_sample_id for row in plan.rows[:2]] == ["p.txt:1", "p.txt:3"]
    assert plan.rows[2].seed == seed_from("sample", 5, "syn-000002")
    assert plan.words == "prompts: the texts of p.txt"
    assert {c.finding: (c.real, c.planned) for c in plan.table()}["hernia"] == (1, 2)


def test_columns_of_a_csv_file_are_labels_conditions_and_guidance(real):
    text = 'prompt,hernia,edema,sex,guidance\n"Hernia, large.",1,-1,F,5\nEdema,,,,\n'
    plan = planned(real, "p.csv", "\ufeff" + text, conditions=("sex", "side"))
    first, second = plan.rows[:2]
    assert (first.prompt, first.guidance, first.conditions) == ("Hernia, large.", 5.0, {"sex": "F"})
    assert first.labels == {"edema": -1, "hernia": 1, "mass": None, "no_finding": None}
    assert (second.guidance, second.conditions) == (None, {})
    assert second.labels["edema"] == 1


def test_a_jsonl_file_has_labels_as_an_object_or_a_list(real):
    rows = [
        {"text": "A hernia.", "labels": {"hernia": 1, "mass": 0}},
        {"text": "A hernia.", "labels": ["hernia"]},
        {"text": "A hernia."},
    ]
    plan = planned(real, "p.jsonl", "\n".join(map(json.dumps, rows)))
    assert [given(row.labels) for row in plan.rows[:3]] == [
        {"hernia": 1, "mass": 0},
        {"hernia": 1},
        {"hernia": 1, "no_finding": 0},
    ]


def test_what_a_user_should_know_is_noted(real):
    plan = planned(real, "p.csv", "text,mass\nNo mass.,1\nBla bla.,\n", count=2)
    assert plan.notes == (
        "the labeller finds nothing in p.csv:3: their labels stay unknown",
        "labels say otherwise than the labeller reads: mass 1 in p.csv:2",
        "no training image shows mass: the model has not learnt it",
    )
    leak = planned(real, "p.txt", "Large mass in the left lung.")
    assert "test split, word for word: p.txt:1" in leak.notes[0]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.txt", "\n \n", "no text"),
        ("p.xml", "a", "expected .csv, .jsonl or .txt"),
        ("p.csv", "text,hernja\na,1\n", "p.csv:2: unknown column.*Did you mean `hernia`"),
        ("p.csv", "text,hernia\na,2\n", "bad label for `hernia`.*got 2.*expected 1, 0, -1"),
        ("p.csv", "text\na,b\n", "more values than the header"),
        ("p.csv", "text,sex\na,W\n", "bad `sex`.*expected one of F, M, O"),
        ("p.csv", "text,guidance\na,0.5\n", "bad `guidance`"),
        ("p.csv", "text,hernia\n,1\n", "p.csv:2: no text"),
        ("p.jsonl", '{"text": "a", "labels": {"hernja": 1}}', "Did you mean `hernia`"),
        ("p.jsonl", '{"text": "a", "labels": 3}', "not labels"),
        ("p.txt", "a\n" * 5, "more texts than images.*got 4.*Set sample.count=5"),
    ],
)
def test_a_bad_file_is_explained(real, name, content, message):
    with pytest.raises(UsageError, match=message):
        planned(real, name, content)


def test_broken_files(real):
    with pytest.raises(SynthError, match=r"p.jsonl:1: not a JSON line"):
        planned(real, "p.jsonl", "text\n{}\n")
    (real.folder / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="no such file"):
        make_plan(
            Config.model_validate(
                {"sample": {"plan": {"kind": "prompts", "prompts": real.folder / "none.txt"}}}
            ),
            real,
        )
