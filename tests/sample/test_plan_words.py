"""Recombined and templated texts: new, and read by the labeller as they were meant."""

import json
from dataclasses import asdict

import pytest

from sample.plan import make_plan
from sample.plan_recombine import folded
from synth.config.schema import Config
from synth.errors import UsageError
from synth.manifest import Dataset, DatasetInfo, Row, sha256_text
from synth.text import RuleLabeler

LABELER = RuleLabeler()
NAMES = ("cardiomegaly", "edema", "hernia", "no_finding", "nodule", "pleural_effusion")
TEXTS = [
    "Small left pleural effusion. The heart is mildly enlarged.",
    "There is a small left pleural effusion. No edema.",
    "Large right pleural effusion. No nodule.",
    "Hiatal hernia. No pleural effusion.",
    "Known hiatal hernia. Lungs are clear.",
    "No acute cardiopulmonary process.",
    "Possible nodule. Heart size is normal.",
    "Mild edema. Feeding tube was advanced by the ward.",
]


def row(index, text, split="train", **more):
    read = LABELER.label(text)
    labels = {name: read.values[name] for name in NAMES}
    return Row(
        file_name=f"{index}.png",
        sample_id=f"r{index}",
        split=split,
        labels=labels,
        attributes=read.attributes,
        text=text,
        text_used=text,
        label_source=LABELER.name,
        **more,
    )


@pytest.fixture
def reports(tmp_path):
    rows = [row(i, text) for i, text in enumerate(TEXTS)]
    rows.append(row(90, "Hiatal hernia. No edema.", "test"))
    return Dataset(tmp_path, DatasetInfo(name="made"), tuple(rows))


def planned(dataset, count=40, seed=0, conditions=(), **plan):
    config = {
        "run": {"seed": seed},
        "model": {"conditions": conditions},
        "sample": {"count": count, "plan": plan},
    }
    return make_plan(Config.model_validate(config), dataset)


def of_text(text):
    values = LABELER.label(text).values
    return {name: values[name] for name in NAMES}


def present(labels):
    return {(name, v) for name, v in labels.items() if v in (1, -1) and name != "no_finding"}


@pytest.mark.parametrize("words", ["recombine", "templates"])
def test_labels_are_those_of_the_labeller_on_the_new_text(reports, words):
    rows = {row.sample_id: row for row in reports.rows}
    for made in planned(reports, **{words: True}).rows:
        source = rows[made.source_sample_id]
        assert source.split == "train"
        assert made.labels == of_text(made.prompt)
        assert present(made.labels) == present(source.labels)


def test_no_report_of_any_split_is_repeated_word_for_word(reports):
    known = {folded(row.text_used) for row in reports.rows}
    plan = planned(reports, count=60, recombine=True)
    assert not known & {folded(row.prompt) for row in plan.rows}
    assert len({row.prompt for row in plan.rows}) > 30


def test_sides_and_severities_stay(reports):
    rows = {row.sample_id: row for row in reports.rows}
    for made in planned(reports, recombine=True, conditions=("side",)).rows:
        was, now = (
            LABELER.label(text).attributes.get("pleural_effusion", {})
            for text in (rows[made.source_sample_id].text_used, made.prompt)
        )
        assert [was.get(k) for k in ("side", "severity")] == [
            now.get(k) for k in ("side", "severity")
        ]
        assert made.conditions == ({"side": now["side"]} if "side" in now else {})


def test_nothing_present_is_denied_in_the_same_text(reports):
    for made in planned(reports, count=80, recombine=True).rows:
        text = made.prompt.lower()
        if made.labels["pleural_effusion"] == 1:
            assert "no pleural effusion" not in text
        if present(made.labels):
            assert "no acute" not in text
        if made.labels["edema"] == 1:
            assert "clear" not in text


def test_what_the_labeller_does_not_know_moves_to_no_other_report(reports):
    for made in planned(reports, count=80, recombine=True).rows:
        assert ("Feeding tube" not in made.prompt) or made.source_sample_id == "r7"


@pytest.mark.parametrize("words", ["recombine", "templates"])
def test_new_words_are_a_function_of_the_seed(reports, words):
    first, again, other = (planned(reports, seed=s, **{words: True}) for s in (0, 0, 1))
    assert first == again
    assert first.sha256 == again.sha256 != other.sha256
    assert words.removesuffix("e") in first.words


def test_quotas_count_what_the_new_texts_say(reports):
    wish = {"kind": "counts", "counts": {"hernia": 25}, "recombine": True}
    plan = planned(reports, **wish)
    assert sum(of_text(row.prompt)["hernia"] == 1 for row in plan.rows) >= 25
    assert plan.notes == ()


def test_a_lone_sentence_is_worded_anew_by_a_template(tmp_path):
    rows = (row(0, "Severe edema."), row(1, "Hiatal hernia."))
    dataset = Dataset(tmp_path, DatasetInfo(name="made"), rows)
    plan = planned(dataset, count=6, recombine=True)
    assert all(made.labels == of_text(made.prompt) for made in plan.rows)
    assert not {"Severe edema.", "Hiatal hernia."} & {made.prompt for made in plan.rows}


def test_a_text_that_states_nothing_cannot_be_worded_anew(tmp_path):
    dataset = Dataset(tmp_path, DatasetInfo(name="made"), (row(0, "Discussed by phone."),))
    with pytest.raises(UsageError, match="r0: this training text cannot be worded anew"):
        planned(dataset, recombine=True)
    with pytest.raises(UsageError, match="no label set of the training split"):
        planned(dataset, templates=True)


def test_a_template_that_is_a_training_report_is_not_used(tmp_path):
    texts = ["Severe edema.", "There is severe edema.", "Severe edema is seen."]
    rows = tuple(row(i, text) for i, text in enumerate(texts))
    plan = planned(Dataset(tmp_path, DatasetInfo(name="made"), rows), count=9, recombine=True)
    assert {made.prompt for made in plan.rows} == {"Severe edema is present."}
    rows += (row(3, "Severe edema is present."),)
    with pytest.raises(UsageError, match="cannot be worded anew"):
        planned(Dataset(tmp_path, DatasetInfo(name="made"), rows), recombine=True)


def test_the_work_list_is_what_the_digest_is_of(reports):
    plan = planned(reports)
    facts = [
        {name: value for name, value in asdict(row).items() if name != "guidance"}
        for row in plan.rows
    ]
    assert plan.sha256 == sha256_text(json.dumps(facts, sort_keys=True))
    assert [json.loads(line) for line in plan.lines()] == facts
