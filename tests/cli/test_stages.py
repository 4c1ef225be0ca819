import json

import pytest

from synth.cli.stages import Stage, Stages
from synth.errors import UsageError
from synth.progress import Silent


def run(folder, settings_b="b", *, fail=False) -> list[str]:
    """Two stages; returns the names of those that ran."""
    ran: list[str] = []
    stages = Stages.open(folder, Silent())
    stages.run(Stage("a", lambda: ran.append("a"), ["a"]))
    if fail:
        with pytest.raises(ZeroDivisionError):
            stages.run(Stage("b", lambda: 1 // 0, [settings_b]))
        return ran
    stages.run(Stage("b", lambda: ran.append("b"), [settings_b]))
    assert [item.name for item in stages.done] == ["a", "b"]
    assert [item.name for item in stages.done if not item.kept] == ran
    return ran


def test_complete_stages_are_kept(tmp_path):
    assert run(tmp_path / "out") == ["a", "b"]
    assert run(tmp_path / "out") == []


def test_a_changed_setting_runs_its_stage_again(tmp_path):
    run(tmp_path)
    assert run(tmp_path, "other") == ["b"]


def test_a_changed_setting_runs_all_after_it_again(tmp_path):
    run(tmp_path)
    ran: list[str] = []
    stages = Stages.open(tmp_path, Silent())
    stages.run(Stage("a", lambda: ran.append("a"), ["other"]))
    stages.run(Stage("b", lambda: ran.append("b"), ["b"]))
    assert ran == ["a", "b"]


def test_a_failed_stage_runs_again(tmp_path):
    assert run(tmp_path, fail=True) == ["a"]
    assert run(tmp_path) == ["b"]


def test_a_strangers_folder_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds other things"):
        Stages.open(tmp_path, Silent())


RECORDS = ["{", "[]", "[1]", '[["a", 1]]', '{"a": 1}', '{"a": {"key": "k"}}', "1"]


@pytest.mark.parametrize("content", RECORDS)
def test_a_damaged_record_is_refused(tmp_path, content):
    (tmp_path / "demo.json").write_text(content)
    with pytest.raises(UsageError, match="not a demo's record"):
        Stages.open(tmp_path, Silent())


def test_seconds_are_remembered(tmp_path):
    run(tmp_path)
    seconds = json.loads((tmp_path / "demo.json").read_text())["a"]["seconds"]
    stages = Stages.open(tmp_path, Silent())
    stages.run(Stage("a", lambda: None, ["a"]))
    assert stages.done[0].seconds == seconds


@pytest.mark.parametrize("lost", ["made.html", "data/SHA256SUMS", "data/images/1.png"])
def test_a_stage_whose_output_is_gone_runs_again(tmp_path, lost):
    ran: list[int] = []

    def work():
        ran.append(1)
        (tmp_path / "data/images").mkdir(parents=True, exist_ok=True)
        (tmp_path / "data/images/1.png").write_bytes(b"1")
        (tmp_path / "data/SHA256SUMS").write_text(f"{'0' * 64}  images/1.png\n")
        (tmp_path / "made.html").write_text("made")

    stage = Stage("a", work, leaves=("made.html", "data/SHA256SUMS"))
    for _ in range(2):
        Stages.open(tmp_path, Silent()).run(stage)
    assert len(ran) == 1
    (tmp_path / lost).unlink()
    Stages.open(tmp_path, Silent()).run(stage)
    assert len(ran) == 2


def test_settings_of_what_was_begun_cannot_change(tmp_path):
    def stage(value, *, fail=False):
        def work():
            (tmp_path / "place").mkdir(exist_ok=True)
            if fail:
                raise ZeroDivisionError

        return Stage("a", work, begun="place", fixed={"train.batch": value})

    with pytest.raises(ZeroDivisionError):
        Stages.open(tmp_path, Silent()).run(stage(4, fail=True))
    Stages.open(tmp_path, Silent()).require_same([stage(4)])
    with pytest.raises(UsageError, match=r"other settings.*`train.batch`.*new OUT"):
        Stages.open(tmp_path, Silent()).require_same([stage(8)])
    (tmp_path / "place").rmdir()  # nothing left that holds them
    Stages.open(tmp_path, Silent()).require_same([stage(8)])
