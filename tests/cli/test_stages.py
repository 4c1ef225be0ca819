import json

import pytest

from synth.cli.stages import Stages
from synth.errors import UsageError
from synth.progress import Silent


def run(folder, settings_b="b", *, fail=False) -> list[str]:
    """Two stages; returns the names of those that ran."""
    ran: list[str] = []
    stages = Stages.open(folder, Silent())
    stages.run("a", ["a"], lambda: ran.append("a"))
    if fail:
        with pytest.raises(ZeroDivisionError):
            stages.run("b", [settings_b], lambda: 1 // 0)
        return ran
    stages.run("b", [settings_b], lambda: ran.append("b"))
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
    stages.run("a", ["other"], lambda: ran.append("a"))
    stages.run("b", ["b"], lambda: ran.append("b"))
    assert ran == ["a", "b"]


def test_a_failed_stage_runs_again(tmp_path):
    assert run(tmp_path, fail=True) == ["a"]
    assert run(tmp_path) == ["b"]


def test_a_strangers_folder_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds other things"):
        Stages.open(tmp_path, Silent())


def test_a_damaged_record_is_refused(tmp_path):
    (tmp_path / "demo.json").write_text("{")
    with pytest.raises(UsageError, match="not a demo's record"):
        Stages.open(tmp_path, Silent())


def test_seconds_are_remembered(tmp_path):
    run(tmp_path)
    seconds = json.loads((tmp_path / "demo.json").read_text())["a"]["seconds"]
    stages = Stages.open(tmp_path, Silent())
    stages.run("a", ["a"], lambda: None)
    assert stages.done[0].seconds == seconds
