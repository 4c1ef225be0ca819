import json
from collections import Counter

import pytest

from sample.plan import make_plan, write_plan
from synth.errors import SynthError, UsageError
from synth.manifest import Dataset, DatasetInfo, Row, open_dataset
from synth.seeding import seed_from


def planned(config, dataset, **sample):
    sample = {"count": 22} | sample
    return make_plan(
        config.model_validate(
            config.model_dump() | {"sample": config.sample.model_dump() | sample}
        ),
        dataset,
    )


@pytest.fixture
def real(tiny_dataset):
    return open_dataset(tiny_dataset)


def row(index, labels, *, split="train", text=None):
    return Row(
        file_name=f"{index}.png",
        sample_id=f"r{index}",
        split=split,
        labels=labels,
        text_used=f"text {index}" if text is None else text,
    )


def dataset_of(rows, folder):
    return Dataset(folder, DatasetInfo(name="made"), tuple(rows))


def test_a_plan_is_a_function_of_its_seed(config, real):
    assert planned(config, real) == planned(config, real)
    assert planned(config, real).sha256 == planned(config, real).sha256
    other = config.model_copy(update={"run": config.run.model_copy(update={"seed": 4})})
    assert planned(other, real).sha256 != planned(config, real).sha256


def test_rows_carry_text_labels_and_seed_of_one_training_row(config, real):
    plan = planned(config, real)
    rows = {row.sample_id: row for row in real.rows}
    assert [row.sample_id for row in plan.rows] == [f"syn-{i:06d}" for i in range(22)]
    for made in plan.rows:
        source = rows[made.source_sample_id]
        assert source.split == "train"
        assert (made.prompt, made.labels) == (source.text_used, source.labels)
        assert made.seed == seed_from("sample", config.run.seed, made.sample_id)


def test_mirror_uses_every_row_before_any_again(config, real):
    uses = Counter(row.source_sample_id for row in planned(config, real, count=28).rows)
    assert set(uses.values()) == {2}
    assert len(uses) == 14


def test_counts_are_reached_and_the_rest_mirrors(config, real):
    plan = planned(config, real, count=40, plan={"kind": "counts", "counts": {"hernia": 20}})
    by_finding = {count.finding: count for count in plan.table()}
    assert len(plan.rows) == 40
    hernia = by_finding["hernia"]
    assert hernia.planned >= 20
    assert hernia.planned == sum(row.labels["hernia"] == 1 for row in plan.rows)
    assert hernia.real == sum(row.labels["hernia"] == 1 for row in real.split("train"))
    assert hernia.total == hernia.real + hernia.planned


def test_counts_alone_make_exactly_what_was_asked(config, tmp_path):
    rows = [row(i, {"mass": 1}) for i in range(3)] + [row(i, {"mass": 0}) for i in range(3, 9)]
    plan = planned(
        config, dataset_of(rows, tmp_path), count=6, plan={"kind": "counts", "counts": {"mass": 6}}
    )
    assert Counter(row.source_sample_id for row in plan.rows) == {"r0": 2, "r1": 2, "r2": 2}


def test_distinct_prompts_come_before_repeats(config, tmp_path):
    texts = ["same"] * 9 + ["other", "third"]
    rows = [row(i, {"mass": 1}, text=text) for i, text in enumerate(texts)]
    plan = planned(
        config, dataset_of(rows, tmp_path), count=3, plan={"kind": "counts", "counts": {"mass": 3}}
    )
    assert {row.prompt for row in plan.rows} == {"same", "other", "third"}


def test_a_row_with_two_findings_counts_for_both(config, tmp_path):
    rows = [row(0, {"mass": 1, "edema": 1}), row(1, {"mass": 0, "edema": 1})]
    wishes = {"kind": "counts", "counts": {"mass": 5, "edema": 5}}
    plan = planned(config, dataset_of(rows, tmp_path), count=5, plan=wishes)
    assert {row.source_sample_id for row in plan.rows} == {"r0"}


def test_uncertain_and_unstated_labels_show_nothing(config, tmp_path):
    rows = [row(0, {"mass": -1}), row(1, {"mass": None}), row(2, {"mass": 1})]
    plan = planned(
        config, dataset_of(rows, tmp_path), count=4, plan={"kind": "counts", "counts": {"mass": 4}}
    )
    assert {row.source_sample_id for row in plan.rows} == {"r2"}
    assert plan.table()[0][1:] == (1, 4, 5)


def test_balance_raises_every_finding_and_names_the_impossible(config, tmp_path):
    rows = [row(i, {"mass": int(i < 2), "edema": int(i >= 2), "hernia": 0}) for i in range(20)]
    plan = planned(
        config, dataset_of(rows, tmp_path), count=30, plan={"kind": "balance", "target": 12}
    )
    counts = {count.finding: count.planned for count in plan.table()}
    assert counts["mass"] >= 12
    assert counts["edema"] >= 12
    assert counts["hernia"] == 0
    assert "hernia" in plan.notes[0]


def test_only_findings_that_the_dataset_has_are_named_impossible(config, tmp_path):
    rows = [row(i, {"mass": 1, "edema": 0, "hernia": None, "nodule": 0}) for i in range(3)]
    rows.append(row(9, {"mass": 0, "edema": 1}, split="test"))
    info = DatasetInfo(name="made", findings=["edema", "mass"])
    dataset = Dataset(tmp_path, info, tuple(rows))
    plan = planned(config, dataset, count=5, plan={"kind": "balance", "target": 2})
    assert plan.notes == ("no training text asks for edema: no image of these is made",)


def test_balance_to_a_prevalence(config, tmp_path):
    rows = [row(i, {"mass": int(i < 2), "edema": int(i % 4 == 3)}) for i in range(20)]
    dataset = dataset_of(rows, tmp_path)
    plan = planned(config, dataset, count=40, plan={"kind": "balance", "prevalence": 0.3})
    counts = {count.finding: count.planned for count in plan.table()}
    assert counts["mass"] >= 12
    assert counts["edema"] >= 12
    assert plan.words == "balance: every finding in at least 0.3 of the images"
    with pytest.raises(UsageError, match=r"Lower sample.plan.prevalence: about 0.500"):
        planned(config, dataset, count=40, plan={"kind": "balance", "prevalence": 0.9})


def test_more_images_than_distinct_texts_is_noted(config, tmp_path):
    rows = [row(i, {"mass": 1}, text="same" if i else "other") for i in range(9)]
    dataset = dataset_of(rows, tmp_path)
    for wanted, noted in ((2, False), (3, True)):
        plan = planned(config, dataset, plan={"kind": "counts", "counts": {"mass": wanted}})
        assert any("(mass 3 from 2)" in note for note in plan.notes) == noted


def test_co_occurrence_is_that_of_real_rows(config, tmp_path):
    rows = [row(i, {"mass": 1, "edema": int(i < 3), "hernia": 0}) for i in range(12)]
    plan = planned(
        config,
        dataset_of(rows, tmp_path),
        count=60,
        plan={"kind": "counts", "counts": {"edema": 9}},
    )
    real = {json.dumps(r.labels, sort_keys=True) for r in rows}
    assert {json.dumps(r.labels, sort_keys=True) for r in plan.rows} <= real


def test_a_plan_of_old_settings_records_no_new_ones(config, real):
    value = planned(config, real).to_json()
    assert list(value) == ["kind", "target", "counts", "images", "sha256", "findings", "notes"]


def test_the_work_list_is_written_and_nothing_else_overwritten(config, real, tmp_path):
    plan = planned(config, real)
    write_plan(plan, tmp_path / "list.jsonl")
    write_plan(plan, tmp_path / "list.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "list.jsonl").read_text().splitlines()]
    assert [row["seed"] for row in rows] == [row.seed for row in plan.rows]
    with pytest.raises(UsageError, match="something else"):
        write_plan(planned(config, real, count=3), tmp_path / "list.jsonl")


def test_any_beginning_of_a_plan_is_a_mix(config, real):
    plan = planned(config, real, count=100, plan={"kind": "counts", "counts": {"hernia": 60}})
    shown = [row.labels["hernia"] == 1 for row in plan.rows]
    assert 10 < sum(shown[:40]) < 40


def test_texts_come_from_the_training_split_only(config, tmp_path):
    rows = [row(0, {}), row(1, {}, split="val"), row(2, {}, split="test"), row(3, {}, text=" ")]
    plan = planned(config, dataset_of(rows, tmp_path))
    assert {row.source_sample_id for row in plan.rows} == {"r0"}


def test_json_has_counts_and_no_rows(config, real):
    plan = planned(config, real, plan={"kind": "counts", "counts": {"hernia": 9}})
    value = json.loads(json.dumps(plan.to_json()))
    assert value["images"] == 22
    assert value["counts"] == {"hernia": 9}
    assert {finding["finding"] for finding in value["findings"]} == set(real.findings)
    assert "rows" not in value


def test_no_text_to_condition_on(config, tmp_path):
    with pytest.raises(SynthError, match="no training image has a text"):
        planned(config, dataset_of([row(0, {}, text="")], tmp_path))


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"hernja": 5}, "no such finding.*Did you mean `hernia`"),
        ({"hernia": 40, "nodule": 3}, "more images than are asked for.*got 22.*sample.count="),
    ],
)
def test_impossible_wishes_are_explained(config, real, counts, message):
    with pytest.raises(UsageError, match=message):
        planned(config, real, plan={"kind": "counts", "counts": counts})


def test_a_finding_that_no_training_text_mentions(config, tmp_path):
    rows = [row(0, {"mass": 1, "edema": 0}), row(1, {"edema": 1}, split="test")]
    with pytest.raises(UsageError, match=r"no training image.*expected one of mass \(1\)"):
        planned(config, dataset_of(rows, tmp_path), plan={"kind": "counts", "counts": {"edema": 5}})
