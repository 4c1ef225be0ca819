import io

import pytest

from synth.cli import terminal as module
from synth.cli.tables import duration, interval, number, p_value
from synth.cli.terminal import Terminal


class Teletype(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self, seconds):
        self.seconds = seconds

    def monotonic(self) -> float:
        return next(self.seconds)


def test_plain_lines_where_there_is_no_terminal(capsys, monkeypatch):
    clock = iter([0.0, 1.0, 11.0, 12.0, 30.0])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    terminal = Terminal()
    terminal.stage("reading")
    for done in range(1, 5):
        terminal.update(done, 4, "files")
    terminal.note("a note")
    terminal.close()
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "reading",
        "  2/4 files (10.0 s each, 0:20 left)",
        "  4/4 files (9.7 s each)",
        "a note",
    ]


def test_bars_on_a_terminal(monkeypatch):
    screen = Teletype()
    monkeypatch.setattr(module.sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    clock = iter([10.0, 20.0])
    terminal = Terminal()
    terminal.stage("reading [x]")
    with monkeypatch.context() as patched:
        patched.setattr(module, "time", Clock(clock))
        terminal.update(1, 40, "files")
        terminal.update(21, 40, "files")
    terminal.note("a [note]")
    terminal.stage("writing")
    terminal.close()
    drawn = screen.getvalue()
    assert "reading [x]" in drawn  # brackets are text, not markup
    assert "a [note]" in drawn
    assert "21/40" in drawn
    assert "2.0/s, 0:10 left" in drawn


def test_updates_before_any_stage_are_harmless(monkeypatch):
    Terminal().update(1, 2)
    monkeypatch.setattr(module.sys, "stderr", Teletype())
    terminal = Terminal()
    terminal.update(1, 2)
    terminal.close()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((0.91449, "0.914"), (12, "12"), (1234, "1234"), (23456.7, "23,457"), (0.0, "0.000")),
        *((2.9e-4, "2.9e−04"), (-3e-6, "−3.0e−06"), (0.0042, "0.0042"), (123.456, "123")),
        *((None, "–"), (float("nan"), "–"), (True, "–"), ("3", "–")),
    ],
)
def test_numbers(value, text):
    assert number(value) == text


def test_intervals_and_durations():
    assert interval([0.1, 0.25], 2) == "0.10 – 0.25"
    assert interval([1e-4, 4e-4]) == "1.0e−04 – 4.0e−04"
    assert interval([-1e-5, 0.002]) == "0.0000 – 0.0020"
    assert interval(None) == interval([0.1, None]) == interval([0.1]) == ""
    assert p_value(0.0421) == "0.042"
    assert p_value(2e-5) == "< 0.001"
    assert duration(59.94) == "59.9 s"
    assert duration(125.0) == "2 min 05 s"
