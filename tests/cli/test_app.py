import json
import os
import signal
import time

import pytest
import typer

from synth.cli.app import read_config, session
from synth.errors import Interrupted, SynthError, Unavailable, UsageError

COMMANDS = [
    *("demo", "prepare", "check", "train", "plan", "sample"),
    *("evaluate", "diff", "report", "export", "verify", "label", "doctor"),
]


def boundary(error: BaseException | None = None, *, as_json=False, show_traceback=False) -> int:
    def handler() -> None:
        with session(as_json=as_json, show_traceback=show_traceback) as terminal:
            terminal.answer({"a": 1}, ["done"])
            if error:
                raise error

    with pytest.raises(typer.Exit) as caught:
        handler()
    return caught.value.exit_code


def test_help_lists_every_command_in_order(synth):
    code, out, _ = synth("--help")
    places = [out.index(f"│ {name} ") for name in COMMANDS]
    assert code == 0
    assert places == sorted(places)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example_and_json(synth, name):
    code, out, _ = synth(name, "--help")
    assert code == 0
    assert f"Example: synth {name}" in out
    assert "--json" in out


def test_the_version(synth):
    code, out, _ = synth("--version")
    assert code == 0
    assert out.startswith("synth ")


@pytest.mark.parametrize(
    "arguments",
    [["trian"], ["train"], ["train", "--steps", "3"], ["prepare", "a", "b", "--size", "x"]],
)
def test_a_wrong_request_exits_with_2(synth, arguments):
    code, out, err = synth(*arguments)
    assert code == 2
    assert out == ""
    assert "Traceback" not in err


@pytest.mark.parametrize("name", ["check", "train", "plan", "sample"])
def test_a_wrong_configuration_is_one_error(synth, tmp_path, name):
    path = tmp_path / "c.yaml"
    path.write_text("train: {stpes: 3}")
    code, out, err = synth(name, path)
    assert code == 2
    assert out == ""
    assert err.startswith(f"error: {path}: 1 problem")
    assert "Did you mean `steps`?" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", ["check", "train", "plan", "sample"])
def test_a_missing_configuration_is_one_error(synth, tmp_path, name):
    code, _, err = synth(name, tmp_path / "c.yaml")
    assert code == 2
    assert "no such configuration file" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("name", ["train", "plan", "sample"])
def test_a_missing_dataset_is_one_error(synth, tmp_path, name):
    path = tmp_path / "c.yaml"
    path.write_text(f"data: {{dataset: {tmp_path}/absent}}\nrun: {{out: {tmp_path}/run}}")
    code, _, err = synth(name, path)
    assert code == 1
    assert err.splitlines()[-1].startswith(f"error: {tmp_path}/absent: not a dataset")


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(UsageError, match="not a run folder"):
        read_config(tmp_path, None)


def test_a_run_folder_stands_for_its_configuration(tmp_path):
    (tmp_path / "config.yaml").write_text("run: {out: elsewhere, seed: 4}")
    config = read_config(tmp_path, ["sample.count=3"])
    assert (config.run.out, config.run.seed, config.sample.count) == (tmp_path, 4, 3)


def test_a_run_folder_in_its_place_keeps_its_spelling(tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("run: {out: run}")
    monkeypatch.chdir(tmp_path)
    assert str(read_config(tmp_path / "run", None).run.out) == "run"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (None, 0),
        (SynthError("a"), 1),
        (Unavailable("a"), 1),
        (UsageError("a"), 2),
        (Interrupted("a"), 130),
        (KeyboardInterrupt(), 130),
        (ValueError("deep"), 1),
    ],
)
def test_exit_codes(error, code):
    assert boundary(error) == code


def test_a_bug_says_how_to_see_more(capsys):
    boundary(ValueError("deep\n inside"))
    _, err = capsys.readouterr()
    assert err.startswith("error: unexpected ValueError: deep inside. Add --traceback")
    assert err.count("\n") == 1


def test_the_traceback_on_request(capsys):
    boundary(SynthError("here"), show_traceback=True)
    _, err = capsys.readouterr()
    assert "Traceback (most recent call last)" in err
    assert err.splitlines()[-1] == "error: here"


def test_the_traceback_by_environment(synth, monkeypatch, tmp_path):
    monkeypatch.setenv("SYNTH_TRACEBACK", "1")
    code, _, err = synth("verify", tmp_path)
    assert code == 1
    assert "Traceback (most recent call last)" in err


def test_json_is_one_object_on_stdout(capsys):
    boundary(as_json=True)
    out, err = capsys.readouterr()
    assert json.loads(out) == {"a": 1}
    assert err == ""


def test_an_error_is_json_too(capsys):
    boundary(UsageError("wrong", where="train.steps"), as_json=True)
    out, err = capsys.readouterr()
    wrong = {"type": "UsageError", "message": "train.steps: wrong", "exit_code": 2}
    assert json.loads(out) == {"error": wrong}
    assert err == "error: train.steps: wrong\n"


def test_a_number_that_json_lacks_becomes_null(capsys):
    with pytest.raises(typer.Exit), session(as_json=True, show_traceback=False) as terminal:
        terminal.answer({"a": float("nan"), "b": [float("inf")]})
    out, _ = capsys.readouterr()
    assert json.loads(out, parse_constant=pytest.fail) == {"a": None, "b": [None]}


def test_sigterm_is_an_interruption_and_its_handler_is_restored():
    def handler() -> None:
        with session(as_json=False, show_traceback=False):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(typer.Exit) as caught:
        handler()
    assert caught.value.exit_code == 130
    assert signal.getsignal(signal.SIGTERM) is before
