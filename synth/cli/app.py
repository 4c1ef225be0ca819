"""The application and its error boundary: exit codes, one-line errors, JSON, interruption.

0 ok    1 error    2 usage    3 finished with quarantined items    130 interrupted, resumable
"""

from __future__ import annotations

import os
import signal
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer
from typer.models import CommandInfo

from synth.cli.terminal import Terminal
from synth.errors import Interrupted, SynthError, UsageError

if TYPE_CHECKING:
    from synth.config import Config

ORDER = (  # as a user meets them
    *("demo", "prepare", "check", "train", "ema", "plan", "sample", "edit", "regenerate"),
    *("evaluate", "diff", "report", "export", "verify", "label", "doctor"),
)

app = typer.Typer(
    name="synth",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Medical image synthesis: clinical data in, labelled synthetic datasets out, scored.",
    epilog="Start here: [bold]synth demo OUT[/bold]",
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object; progress on stderr.")]
Traceback = Annotated[
    bool,
    typer.Option("--traceback", envvar="SYNTH_TRACEBACK", help="Show where an error came from."),
]
Target = Annotated[Path, typer.Argument(metavar="CONFIG|RUN", help="A YAML file or a run folder.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="Overrides, such as train.steps=2000."),
]


def main() -> None:
    """Entry point of the console script ``synth``."""
    from synth.cli import (  # noqa: F401  each adds its own
        data,
        demo,
        diff,
        doctor,
        edit,
        export,
        label,
        model,
        regenerate,
        score,
    )

    for name in ("TQDM_DISABLE", "HF_HUB_DISABLE_PROGRESS_BARS", "DO_NOT_TRACK"):
        os.environ.setdefault(name, "1")  # one progress display, ours
    os.environ.setdefault("KINETO_LOG_LEVEL", "5")  # the profiler that probes attention kernels
    for name in ("TRANSFORMERS_VERBOSITY", "DIFFUSERS_VERBOSITY"):
        os.environ.setdefault(name, "error")
    app.registered_commands.sort(key=_order)
    app(prog_name="synth")


def _order(command: CommandInfo) -> int:
    return ORDER.index(getattr(command.callback, "__name__", ""))


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Options of ``synth`` itself."""
    if version:
        from synth.provenance import project_version

        typer.echo(f"synth {project_version()}")
        raise typer.Exit


@contextmanager
def session(*, as_json: bool, show_traceback: bool) -> Iterator[Terminal]:
    """Run a handler's body: errors become one line and an exit code, never a bare traceback."""
    terminal = Terminal(as_json=as_json)
    code = 0
    try:
        with _sigterm_as_interrupt():
            yield terminal
        terminal.finish()
        code = terminal.code
    except (typer.Exit, BrokenPipeError):
        raise
    except (KeyboardInterrupt, SynthError) as error:
        code = _report(terminal, _as_synth_error(error), show_traceback)
    except Exception as error:
        if show_traceback:
            raise
        name, text = type(error).__name__, " ".join(str(error).split()).rstrip(".")
        bug = SynthError(
            f"unexpected {name}: {text}" if text else f"unexpected {name}",
            fix="Add --traceback (or SYNTH_TRACEBACK=1) to see where, and please report it.",
        )
        code = _report(terminal, bug, show_traceback)
    finally:
        terminal.close()
    raise typer.Exit(code)


def read_config(target: Path, overrides: list[str] | None) -> Config:
    """The configuration of a YAML file or of a run folder (its ``config.yaml``).

    A run folder that was moved stays usable: ``run.out`` follows it.
    """
    from synth.config import load_config

    if not target.is_dir():
        return load_config(target, overrides or ())
    if not (target / "config.yaml").is_file():
        raise UsageError(
            "not a run folder: no config.yaml in it",
            where=target,
            fix="Give a YAML file, or a folder that `synth train` wrote.",
        )
    config = load_config(target / "config.yaml", overrides or ())
    if config.run.out.resolve() == target.resolve():
        return config
    return config.model_copy(update={"run": config.run.model_copy(update={"out": target})})


def _as_synth_error(error: BaseException) -> SynthError:
    if isinstance(error, SynthError):
        return error
    return Interrupted("interrupted", fix="The same command again continues.")


def _report(terminal: Terminal, error: SynthError, show_traceback: bool) -> int:
    if show_traceback:
        terminal.line(traceback.format_exc().rstrip())
    terminal.error(error)
    return error.exit_code


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """A scheduler's SIGTERM ends a command as Ctrl-C does: saved and resumable."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
