"""The whole job, end to end, on a random pipeline and few phantoms."""

import json
import re
import shutil

import pytest

from synth.cli.demo import demo_config, demo_stages
from synth.errors import UsageError
from synth.manifest import open_dataset
from synth.progress import Silent

STAGES = ["cohort", "prepare", "before", "train", "sample", "evaluate", "report"]
SMALL = [
    *("data.size=32", "model.rank=2", "train.device=cpu", "sample.device=cpu"),
    *("train.steps=2", "train.batch=4", "train.validate_every=2", "train.preview_every=2"),
    *("train.checkpoint_every=2", "train.optim.warmup_steps=1"),
    *("sample.count=24", "sample.batch=12", "sample.steps=2", "sample.plan={kind: mirror}"),
    *("metrics.bootstrap=20", "metrics.classifier_steps=3", "metrics.image_size=16"),
    *("metrics.utility={steps: 2, seeds: 1, batch: 8}", "metrics.device=cpu"),
]


def test_the_whole_job(synth, tmp_path, tiny_pipeline):
    out = tmp_path / "out"
    arguments = ["demo", out, *SMALL, f"model.weights={tiny_pipeline}", "--patients", 40]
    first(synth, out, [*arguments, "--json"])
    again(synth, out, arguments)
    other_settings(synth, arguments)
    out = moved_and_emptied(synth, tmp_path, arguments)
    code, _, err = synth("report", out / "run", "--out", out / "again.html")
    assert code == 0, err
    assert (out / "again.html").is_file()
    for name in ("dataset", "synthetic", "before"):
        code, printed, _ = synth("verify", out / name)
        assert code == 0, printed


def first(synth, out, arguments):
    """Every stage runs and leaves its result."""
    code, printed, err = synth(*arguments)
    assert code == 0, err
    answer = json.loads(printed)
    assert list(answer["stages"]) == STAGES
    assert not any(stage["kept"] for stage in answer["stages"].values())
    assert answer["peak_memory_mib"] > 100
    assert (out / "cohort" / "reports.csv").is_file()
    assert (out / "run" / "weights" / "model_index.json").is_file()
    assert "<html" in (out / "report.html").read_text("utf-8")
    assert "metrics" in json.loads((out / "scores.json").read_text("utf-8"))
    after, before = open_dataset(out / "synthetic"), open_dataset(out / "before")
    assert [row.sample_id for row in after.rows] == [row.sample_id for row in before.rows]


def again(synth, out, arguments):
    """The same command keeps everything, and says so."""
    code, printed, err = synth(*arguments)
    assert code == 0, err
    lines = [line.split() for line in printed.splitlines()]
    assert [line[0] for line in lines if line[-1:] == ["kept"]] == STAGES
    assert f"report: {out / 'report.html'}" in printed
    memory = r"peak memory: \d+ MiB in the largest process, \d+ MiB in its largest worker"
    assert re.search(memory, " ".join(printed.split()))


def other_settings(synth, arguments):
    """What the folder holds cannot be turned into another demo, and it says so at once."""
    for change in ("train.batch=8", "train.steps=3", "sample.steps=3", "sample.count=25"):
        code, _, err = synth(*arguments, change)
        assert code == 2, err
        text = " ".join(err.split())
        assert "holds a demo with other settings" in text
        assert change.partition("=")[0] in text
        assert "new OUT" in text


def moved_and_emptied(synth, tmp_path, arguments):
    """A moved demo is kept whole, and only what was deleted is made again."""
    moved = tmp_path / "moved"
    (tmp_path / "out").rename(moved)
    (moved / "report.html").unlink()
    shutil.rmtree(moved / "synthetic")
    shutil.rmtree(moved / "run" / "weights")
    code, printed, err = synth("demo", moved, *arguments[2:], "--json")
    assert code == 0, err
    stages = json.loads(printed)["stages"]
    assert [n for n, s in stages.items() if not s["kept"]] == ["train", "sample", "report"]
    assert (moved / "report.html").is_file()
    assert len(open_dataset(moved / "synthetic").rows) == 24
    return moved


def test_folders_lie_inside_out(tmp_path):
    config = demo_config(tmp_path, ["train.steps=3"])
    assert config.train.steps == 3
    for place in (config.run.out, config.data.dataset, config.sample.out):
        assert place.parent == tmp_path


def test_wrong_weights_fail_before_any_work(synth, tmp_path):
    code, _, err = synth("demo", tmp_path / "out", f"model.weights={tmp_path}/absent")
    assert code == 1
    assert "no such weights folder" in err
    assert not (tmp_path / "out").exists()


def test_a_strangers_folder_is_left_alone(synth, tmp_path, tiny_pipeline):
    (tmp_path / "thesis.txt").write_text("mine")
    code, _, err = synth("demo", tmp_path, f"model.weights={tiny_pipeline}")
    assert code == 2
    assert "holds other things" in err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    "override", ["run.out=x", "data.dataset=x", "sample.out=demo/synthetic", "run={out: x}"]
)
def test_places_are_not_for_the_user_to_set(tmp_path, override):
    with pytest.raises(UsageError, match=r"the demo puts .* inside OUT"):
        demo_config(tmp_path, [override])


def test_keys_know_the_model_and_no_place(tmp_path):
    def keys(out, *overrides):
        plan = demo_stages(out, demo_config(out, list(overrides)), 40, Silent())
        return {stage.name: json.dumps([*stage.settings, stage.fixed]) for stage in plan}

    here = keys(tmp_path)
    assert here == keys(tmp_path / "elsewhere")
    assert str(tmp_path) not in str(here)
    changed = keys(tmp_path, "model.rank=3")
    assert changed["before"] != here["before"]
    assert changed["cohort"] == here["cohort"]
