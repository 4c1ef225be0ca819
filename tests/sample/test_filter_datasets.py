"""Datasets made through filters: rejected images are made again, recorded, counted and shown."""

import json
from typing import ClassVar

import numpy as np
import pytest
from dual_encoders import clip_folder
from filter_images import FINDINGS, SIZE, Maker, honest, labels_at, make_dataset

from metrics.report import _environment
from metrics.report_filters import filter_view
from metrics.report_sets import ShownSet
from sample.filters.account import account
from sample.filters.base import Mark
from sample.filters.judge import Judge
from sample.filters.sheet import examples
from sample.plan import make_plan
from sample.regenerate import regenerate
from sample.retry import attempt_seed
from sample.run import generate_dataset
from synth.config.schema import Config, FilterSection
from synth.errors import Interrupted, SynthError
from synth.images import grey_to_u8, load_grey
from synth.manifest import open_dataset, read_info
from synth.seeding import numpy_rng

COUNT = 22
ON = {"labels": True, "memorization": True, "distribution": True, "quality": True}
NAMES = ("labels_agree", "not_memorized", "in_distribution", "quality", "not_near_duplicate")


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """The real dataset, and the cache of its calibration."""
    folder = tmp_path_factory.mktemp("filtered")
    return make_dataset(folder / "real"), folder / "cache"


@pytest.fixture
def config_of(shared, tmp_path):
    real, cache = shared

    def build(name="out", filters=None, **sample):
        on = {**ON, "near_duplicates": True} if filters is None else filters
        settings = {"reject": 0.004, "classifier_steps": 200, "image_size": SIZE, "cache": cache}
        return Config.model_validate(
            {
                "run": {"out": tmp_path / "run", "seed": 5},
                "data": {"dataset": real, "size": SIZE},
                "sample": {
                    **{"count": COUNT, "batch": 8, "out": tmp_path / name, "retries": 2},
                    **{"filters": {**settings, **on}, **sample},
                },
            }
        )

    return build


@pytest.fixture
def planted(config_of, monkeypatch):
    """Bad first attempts at known places; the plan's rows."""
    monkeypatch.setattr("sample.run.BatchMaker", Maker)
    monkeypatch.setattr("sample.shards_make.BatchMaker", Maker)
    config = config_of()
    rows = make_plan(config, open_dataset(config.data.dataset)).rows
    last, first = _twins(rows)
    images = {
        2: honest(_copied(rows), labels_at(_copied(rows))),  # a training image
        4: numpy_rng("noise").integers(0, 256, (SIZE, SIZE)).astype(np.uint8),
        6: np.full((SIZE, SIZE), 90, np.uint8),
        9: honest(4321, {n: 1 - (rows[9].labels[n] or 0) for n in FINDINGS}),  # the wrong labels
        last: _first(rows[first]) + 1,  # an earlier image again, a shade brighter
    }
    seeds = {rows[place].seed: image for place, image in images.items()}
    monkeypatch.setattr(Maker, "planted", seeds)
    monkeypatch.setattr(Maker, "made", [])
    return rows


def _copied(rows):
    """A training image with the labels of the third row."""
    return next(index for index in range(20) if labels_at(index) == rows[2].labels)


def _twins(rows):
    """Two places of the same labels where nothing else is planted, the later one first."""
    places = [place for place in range(COUNT) if place not in (2, 4, 6, 9)]
    return next(
        (last, first)
        for last in places
        for first in places
        if first < last and rows[first].labels == rows[last].labels
    )


def _first(row):
    """The image of a row's own seed."""
    return honest(row.seed % 2**31, {name: int(name in row.prompt) for name in FINDINGS})


def rows_of(out):
    """Rows without what says how batches were cut."""
    left_out = {"batch", "batch_index"}
    return [row.model_dump(exclude=left_out) for row in open_dataset(out).rows]


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def test_each_planted_image_is_made_again_for_its_own_reason(config_of, planted, family):
    last, first = _twins(planted)
    summary = generate_dataset(config_of(), family=family)
    rows = open_dataset(summary.out).rows
    expected = {
        2: ("not_memorized",),
        4: ("in_distribution", "quality"),
        6: ("not_constant",),
        9: ("labels_agree",),
        last: ("not_near_duplicate",),
    }
    for place, row in enumerate(rows):
        assert list(row.filters) == ["finite", "not_constant", "not_duplicate", *NAMES]
        assert all(row.filters.values())
        assert row.rejected_because == []
        assert {"p_hernia", "contrast", "real_distance"} <= set(row.filter_scores)
        assert row.nearest_real_distance == row.filter_scores["nearest_train_pixel"] > 0
        if place in expected:
            (one,) = row.rejected_attempts
            assert set(expected[place]) <= set(one["failed"])
            assert (one["attempt"], one["seed"]) == (0, planted[place].seed)
            assert one["reasons"]
            assert one["scores"]
            shown = grey_to_u8(load_grey(summary.out / one["file_name"]))
            assert (shown == Maker.planted[planted[place].seed]).all()
            assert (row.attempt, row.seed) == (1, attempt_seed(planted[place].seed, 1))
        else:
            assert (row.attempt, row.rejected_attempts) == (0, [])
    assert f"looks like {planted[first].sample_id}" in rows[last].rejected_attempts[0]["reasons"][0]
    (copy,) = rows[2].rejected_attempts
    assert copy["failed"] == ["not_memorized"]
    assert all(f"real-{_copied(planted):04d}" in reason for reason in copy["reasons"])
    assert (summary.made, summary.flagged, summary.retried) == (COUNT, 0, 5)
    found = summary.filters
    assert (found["images"], found["accepted"], found["attempts"]) == (COUNT, COUNT, COUNT + 5)
    assert found["rejected_by"]["not_memorized"] >= 1


def test_numbers_are_in_the_dataset_its_card_and_the_answer(config_of, planted, family):
    summary = generate_dataset(config_of(), family=family)
    info = read_info(summary.out).model_extra["filters"]
    assert info["accepted"] == COUNT
    assert set(info["limits"]) == set(ON)
    assert info["limits"]["labels"]["hernia"]["present"] > 0
    assert set(info["files"]) == {"classifier.safetensors", "gallery.safetensors"}
    hernia = info["findings"]["hernia"]
    assert hernia["images"] == sum(row.labels["hernia"] == 1 for row in planted)
    card = (summary.out / "README.md").read_text()
    assert "## Filters" in card
    assert "22 of 22 images pass every filter; 5 of 27 attempts were rejected" in card
    assert json.loads(json.dumps(summary.to_json()))["filters"]["attempts"] == COUNT + 5
    assert "rejected.png" in (summary.out / "SHA256SUMS").read_text()
    assert not any("gallery" in name for name in contents(summary.out))  # real features stay out
    titles = [one.title for one in examples(open_dataset(summary.out).rows)]
    assert len(titles) == 5
    assert load_grey(summary.out / "rejected.png").shape[1] > 5 * 192


def test_verdicts_do_not_depend_on_the_batch(config_of, planted, family):
    first = generate_dataset(config_of("first"), family=family).out
    second = generate_dataset(config_of("second", batch=5), family=family).out
    assert rows_of(first) == rows_of(second)


@pytest.mark.parametrize("stop", ["batch", "settle", "sheet"])
def test_a_kill_at_any_point_ends_in_the_same_dataset(
    config_of, planted, family, monkeypatch, stop
):
    whole = contents(generate_dataset(config_of("a/out"), family=family).out)
    config, calls = config_of("b/out"), []
    target = {
        "batch": "sample.shards_make.require_finite",
        "settle": "sample.filters.settle.append_jsonl",
        "sheet": "sample.run.write_sheet",
    }[stop]

    def killed(*_args, **_options):
        calls.append(1)
        if stop != "batch" or len(calls) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(target, killed)
        with pytest.raises((KeyboardInterrupt, Interrupted)):
            generate_dataset(config, family=family)
    summary = generate_dataset(config, family=family)
    assert contents(summary.out) == whole
    Maker.made.clear()
    again = generate_dataset(config, family=family)
    assert (again.made, again.kept, Maker.made) == (0, COUNT, [])
    assert again.filters == summary.filters
    assert contents(summary.out) == whole


def test_a_lost_image_comes_back_as_it_was_settled(config_of, planted, family):
    summary = generate_dataset(config_of(), family=family)
    whole = contents(summary.out)
    (summary.out / open_dataset(summary.out).rows[_twins(planted)[0]].file_name).unlink()
    assert generate_dataset(config_of(), family=family).made == 1
    assert contents(summary.out) == whole


def test_where_the_budget_ends_it_is_reported_and_recorded(config_of, planted, family, monkeypatch):
    row = planted[9]
    wrong = {n: 1 - (row.labels[n] or 0) for n in FINDINGS}
    seeds = {attempt_seed(row.seed, number): honest(4321 + number, wrong) for number in (0, 1, 2)}
    last, twin = (planted[place] for place in _twins(planted))
    seeds |= {attempt_seed(last.seed, n): _first(twin) + 1 + n for n in (0, 1, 2)}
    monkeypatch.setattr(Maker, "planted", {**Maker.planted, **seeds})

    class Notes:
        notes: ClassVar[list[str]] = []

        def stage(self, text):
            pass

        def note(self, text):
            self.notes.append(text)

        def update(self, done, total, text=""):
            pass

    summary = generate_dataset(config_of(), Notes(), family=family)
    rows = open_dataset(summary.out).rows
    assert summary.flagged == 2
    kept = rows[9]
    assert (kept.attempt, kept.filters["labels_agree"]) == (0, False)
    assert kept.rejected_because
    assert [one["attempt"] for one in kept.rejected_attempts] == [1, 2]
    other = rows[_twins(planted)[0]]
    assert (other.attempt, other.filters["not_near_duplicate"]) == (0, False)
    assert f"looks like {twin.sample_id}" in other.rejected_because[0]
    assert [one["attempt"] for one in other.rejected_attempts] == [1, 2]
    assert any("budget ended" in note and "2 images short" in note for note in Notes.notes)
    assert "2 images short" in (summary.out / "README.md").read_text()
    whole = contents(summary.out)
    (summary.out / "SHA256SUMS").unlink()  # as if killed at the very end: the walk is repeated
    generate_dataset(config_of(), family=family)
    assert contents(summary.out) == whole


def test_other_filters_are_another_dataset(config_of, planted, family):
    generate_dataset(config_of(), family=family)
    with pytest.raises(SynthError, match="filters"):
        generate_dataset(config_of(filters={"quality": True}), family=family)
    with pytest.raises(SynthError, match="filters"):
        generate_dataset(config_of(filters={}), family=family)


def test_without_filters_nothing_of_them_is_there(config_of, planted, family):
    summary = generate_dataset(config_of(filters={}), family=family)
    row = open_dataset(summary.out).rows[2].model_dump()
    assert not {"filter_scores", "rejected_because", "rejected_attempts"} & set(row)
    assert set(row["filters"]) == {"finite", "not_constant", "not_duplicate"}
    assert "filters" not in read_info(summary.out).model_extra
    assert "filters" not in summary.to_json()
    assert "Filters" not in (summary.out / "README.md").read_text()
    assert not list(summary.out.glob("rejected*"))


def test_workers_make_the_same_filtered_dataset(config_of, planted, family):
    one = generate_dataset(config_of("one/out"), family=family).out
    two = generate_dataset(config_of("two/out", engine="shared", shard=8), family=family).out
    assert contents(one) == contents(two)


def test_hugging_face_datasets_loads_the_folder(config_of, planted, family, tmp_path):
    from datasets import load_dataset

    out = generate_dataset(config_of(), family=family).out
    loaded = load_dataset(
        "imagefolder", data_dir=str(out), split="train", cache_dir=str(tmp_path / "hf")
    )
    assert len(loaded) == COUNT
    assert sum(all(row["filters"].values()) for row in loaded) == COUNT


def test_the_report_shows_rates_and_rejected_images(config_of, planted, family, monkeypatch):
    row = planted[9]
    wrong = {n: 1 - (row.labels[n] or 0) for n in FINDINGS}
    seeds = {attempt_seed(row.seed, number): honest(4321 + number, wrong) for number in (1, 2)}
    monkeypatch.setattr(Maker, "planted", {**Maker.planted, **seeds})
    made = open_dataset(generate_dataset(config_of(), family=family).out)
    view = filter_view(ShownSet(made))
    assert view.summary.startswith("21 of 22 images pass every filter, after 28 attempts")
    assert view.rejected_by[0][0] == "label consistency"
    assert {"memorization", "near-duplicate", "plain quality"} <= {n for n, _ in view.rejected_by}
    assert {rate.finding for rate in view.findings} == set(FINDINGS)
    rates = [int(rate.rate.rstrip("%")) for rate in view.findings]
    assert rates == sorted(rates)
    assert rates[0] < 100
    titles = [example.title for example in view.examples]
    assert len(titles) == 7
    assert all(example.reasons for example in view.examples)
    assert any(title.startswith("syn-000009, attempt 2") for title in titles)
    page = _environment().from_string('{% include "filters.html" %}').render(filters=view)
    assert page.count("<img") == 7
    assert "not seen (" in page or "seen unasked (" in page
    plain = open_dataset(generate_dataset(config_of("plain", filters={}), family=family).out)
    assert filter_view(ShownSet(plain)).summary == ""


class Even:
    """A filter without calibration: half of all images have an odd sum of grey levels."""

    name = "quality"

    def __call__(self, image_u8, wish):
        odd = int(image_u8.sum()) % 2
        return Mark({"odd": float(odd)}, ("odd",) if odd else ())


def test_an_image_made_again_for_a_filter_can_be_regenerated(config_of, family, monkeypatch):
    section = FilterSection(quality=True, near_duplicates=True)
    record = {"settings": section.model_dump(mode="json")}
    judge = Judge((Even(),), section, record)
    monkeypatch.setattr("sample.run.open_judge", lambda *_args, **_options: judge)
    config = config_of(steps=3, guidance=2.0)
    summary = generate_dataset(config, family=family)
    made = open_dataset(summary.out)
    later = [row for row in made.rows if row.attempt]
    assert len(later) >= 4
    assert summary.filters["attempts"] > COUNT
    for row in (made.rows[0], *later[:3]):
        assert regenerate(summary.out, row.sample_id, config, family=family).verdict == "identical"
    other = generate_dataset(config_of("small", steps=3, guidance=2.0, batch=1), family=family)
    again = {row.sample_id: row for row in open_dataset(other.out).rows}
    assert [again[row.sample_id].pixel_sha256 for row in later] == [
        row.pixel_sha256 for row in later
    ]


def test_the_account_of_nothing():
    assert account([])["accept_rate"] == 0.0


def test_images_unlike_their_texts_by_a_dual_encoder(config_of, monkeypatch, tmp_path, family):
    monkeypatch.setattr("sample.run.BatchMaker", Maker)
    monkeypatch.setattr("sample.shards_make.BatchMaker", Maker)
    monkeypatch.setattr(Maker, "planted", {})
    monkeypatch.setattr(Maker, "made", [])
    encoder = clip_folder(tmp_path / "clip")
    config = config_of(filters={"alignment": f"hf:{encoder}", "reject": 0.3})
    summary = generate_dataset(config, family=family)
    limit = read_info(summary.out).model_extra["filters"]["limits"]["alignment"]
    rows = open_dataset(summary.out).rows
    attempts = [(row.model_extra["filter_scores"], row.filters["text_agrees"]) for row in rows]
    assert len(rows) == COUNT
    for scores, agrees in attempts:
        assert set(scores) == {"text_cosine", "text_truncated"}
        assert agrees == (scores["text_cosine"] >= limit)
    rejected = [one for row in rows for one in row.model_extra.get("rejected_attempts") or ()]
    assert rejected  # of 22 at 30 %: none would have 0.04 % probability
    assert all(one["scores"]["text_cosine"] < limit for one in rejected)
    assert "unlike its text" in " ".join(rejected[0]["reasons"])
