"""What the user sees: results on stdout, progress on stderr, drawn where there is a terminal."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from synth.cli.pace import Pace
from synth.errors import OK, SynthError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

PLAIN_INTERVAL = 10.0  # seconds between two lines of one stage


@dataclass
class Terminal:
    """Implements ``synth.progress.Progress`` and collects a command's answer.

    Args:
        as_json: print the answer as one JSON object instead of tables.
    """

    as_json: bool = False
    code: int = OK
    _bar: _Bar | None = field(default=None, init=False)
    _plain: _Plain = field(default_factory=lambda: _Plain(), init=False)
    _data: dict[str, Any] = field(default_factory=dict, init=False)
    _shown: list[RenderableType] = field(default_factory=list, init=False)

    def stage(self, text: str) -> None:
        """A new stage begins."""
        if sys.stderr.isatty():
            self._bar = self._bar or _Bar.start()
            self._bar.stage(text)
        else:
            self._plain.stage(text)

    def update(self, done: int, total: int, text: str = "") -> None:
        """``done`` of ``total`` items of the stage are finished."""
        if self._bar:
            self._bar.update(done, total, text)
        elif not sys.stderr.isatty():
            self._plain.update(done, total, text)

    def note(self, text: str) -> None:
        """A line worth keeping."""
        self.line(text)

    def line(self, text: str) -> None:
        """Write one line to stderr, above the progress display if there is one."""
        if self._bar:
            self._bar.line(text)
        else:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()

    def show(self, item: RenderableType) -> None:
        """Draw something on the way, such as a table, on stderr."""
        from rich.console import Console

        tty = sys.stderr.isatty()
        drawn = (
            self._bar.display.console
            if self._bar
            else Console(stderr=True, width=None if tty else 100)
        )
        drawn.print(item)

    def answer(
        self, data: dict[str, Any], shown: Sequence[RenderableType] = (), *, code: int = OK
    ) -> None:
        """What the command found: an object for machines, tables and lines for people."""
        self._data, self._shown, self.code = data, list(shown), code

    def finish(self) -> None:
        """Print the answer on stdout."""
        self.close()
        if self.as_json:
            _print_json(self._data)
            return
        out = console()
        for item in self._shown:
            out.print(item, soft_wrap=isinstance(item, str), markup=False, highlight=False)

    def error(self, error: SynthError) -> None:
        """Print ``error: …`` on stderr, and with ``--json`` an error object on stdout."""
        self.close()
        sys.stderr.write(f"error: {error.render()}\n")
        if self.as_json:
            kind = type(error).__name__
            _print_json(
                {"error": {"type": kind, "message": error.render(), "exit_code": error.exit_code}}
            )

    def close(self) -> None:
        """Stop drawing."""
        if self._bar:
            self._bar.stop()
            self._bar = None


def console() -> Console:
    """A rich console on stdout; without a terminal it is 100 columns wide and plain."""
    from rich.console import Console

    return Console() if sys.stdout.isatty() else Console(width=100)


def _print_json(data: dict[str, Any]) -> None:
    text = json.dumps(_finite(data), indent=2, ensure_ascii=False, allow_nan=False, default=str)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _finite(value: Any) -> Any:
    """NaN and infinity as null: JSON (RFC 8259 section 6) has neither."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


@dataclass
class _Bar:
    """Progress bars on a terminal: finished stages stay above the running one."""

    display: RichProgress
    task: TaskID | None = None
    pace: Pace = field(default_factory=Pace)

    @classmethod
    def start(cls) -> _Bar:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
        )

        display = Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[pace]}", markup=False),
            TextColumn("{task.fields[text]}", style="dim", markup=False),
            console=Console(stderr=True),
        )
        display.start()
        return cls(display)

    def stage(self, text: str) -> None:
        self._end_task()
        self.task = self.display.add_task(text, total=None, text="", pace="")
        self.pace = Pace()

    def update(self, done: int, total: int, text: str) -> None:
        if self.task is None:
            self.stage("working")
        assert self.task is not None
        pace = self.pace.words(done, total, time.monotonic())
        self.display.update(self.task, completed=done, total=total, text=text, pace=pace)

    def line(self, text: str) -> None:
        self.display.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def stop(self) -> None:
        self._end_task()
        self.display.stop()

    def _end_task(self) -> None:
        if self.task is None:
            return
        task = self.display.tasks[self.display.task_ids.index(self.task)]
        if task.total is None:  # a stage that never counted anything
            self.display.update(self.task, total=1, completed=1)
        self.display.stop_task(self.task)
        self.task = None


@dataclass
class _Plain:
    """Lines in a log file: at most one every ten seconds a stage."""

    title: str = ""
    said: float = 0.0
    pace: Pace = field(default_factory=Pace)

    def stage(self, text: str) -> None:
        self.title, self.said, self.pace = text, time.monotonic(), Pace()
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def update(self, done: int, total: int, text: str) -> None:
        now = time.monotonic()
        pace = self.pace.words(done, total, now)
        if now - self.said < PLAIN_INTERVAL:
            return
        self.said = now
        shown = f"  {done}/{total} {text}".rstrip()
        sys.stderr.write(f"{shown} ({pace})\n" if pace else f"{shown}\n")
        sys.stderr.flush()
