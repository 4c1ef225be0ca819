"""What stands after ``synth evaluate``: ``doctor``, ``compare``, ``features`` and ``merge``."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from synth.cli.app import Json, Traceback, session
from synth.cli.diff import First, Out, Second, compared
from synth.cli.tables import table
from synth.errors import SynthError

if TYPE_CHECKING:
    from metrics.extractor_check import Finding

more = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

White = Annotated[
    float | None,
    typer.Option(metavar="LEVEL", help="White in files deeper than 8 bits, such as 4095."),
]
Store = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Keep features; compute only new ones.")
]


class EvaluateCommand(TyperCommand):
    """``synth evaluate`` itself, unless its first word is one of the commands here.

    A group could not do that: what follows ``evaluate`` may be an override, ``metrics.seed=1``.
    """

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        """The context of the command that is meant."""
        chosen = _commands().get(args[0]) if args else None
        if chosen is None:
            return super().make_context(info_name, args, parent, **extra)
        return chosen.make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)


@cache
def _commands() -> dict[str, Any]:
    return dict(typer.main.get_group(more).commands)


@more.command(epilog="Example: synth evaluate doctor hf:models/dinov2 dataset")
def doctor(
    extractor: Annotated[str, typer.Argument(metavar="EXTRACTOR", help="As in --extractor.")],
    images: Annotated[Path, typer.Argument(metavar="IMAGES", help="Images it will be used on.")],
    white: White = None,
    most: Annotated[int, typer.Option("--images", help="At most so many images.", min=20)] = 128,
    as_json: Json = False,
    show_traceback: Traceback = False,
) -> None:
    """Check an extractor on your images before believing any number made with it."""
    with session(as_json=as_json, show_traceback=show_traceback) as terminal:
        from metrics.extractor_check import check_extractor
        from synth.data.images_in import Reading

        found = check_extractor(
            extractor, images, reading=Reading(white=white), most=most, progress=terminal
        )
        failed = [item.check for item in found if item.state == "fails"]
        terminal.answer(
            {"ok": not failed, "checks": [vars(item) for item in found]}, [_checks(found)]
        )
        if failed:
            raise SynthError("the extractor fails " + ", ".join(failed), where=extractor)


def _checks(found: list[Finding]) -> Any:
    rows = [(item.check, item.state, item.found) for item in found]
    return table("Extractor", ("check", "", "found"), rows, words=True)


@more.command(epilog="Example: synth evaluate compare run-a run-b")
def compare(
    first: First,
    second: Second,
    out: Out = None,
    as_json: Json = False,
    show_traceback: Traceback = False,
) -> None:
    """Compare two evaluations; the same as ``synth diff``."""
    compared(first, second, out, as_json=as_json, show_traceback=show_traceback)


@more.command(epilog="Example: synth evaluate features shard-3 --extractor pixel --out 3.npz")
def features(
    images: Annotated[Path, typer.Argument(metavar="IMAGES", help="As in --real.")],
    extractor: Annotated[str, typer.Option(metavar="EXTRACTOR", help="As in synth evaluate.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Statistics: mu, sigma and n, .npz.")],
    store: Store = None,
    white: White = None,
    as_json: Json = False,
    show_traceback: Traceback = False,
) -> None:
    """Compute features and write their statistics, to merge, keep, or give to another tool."""
    with session(as_json=as_json, show_traceback=show_traceback) as terminal:
        from metrics.chosen import Choices
        from metrics.statistics import image_moments
        from synth.data.images_in import Reading

        choices = Choices(extractors=(extractor,), store=store, reading=Reading(white=white))
        found = image_moments(images, choices=choices, progress=terminal)
        found.save(out)
        facts = {"images": found.n, "extractor": found.extractor, "statistics": str(out)}
        terminal.answer(facts, [f"{name}: {value}" for name, value in facts.items()])


@more.command(epilog="Example: synth evaluate merge all.npz 1.npz 2.npz 3.npz")
def merge(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The statistics to write.")],
    parts: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Those of the parts.")],
    as_json: Json = False,
    show_traceback: Traceback = False,
) -> None:
    """Merge the statistics of shards, exactly: as if all images had been in one."""
    with session(as_json=as_json, show_traceback=show_traceback) as terminal:
        from metrics.statistics import merged_moments

        found = merged_moments(parts)
        found.save(out)
        facts = {"images": found.n, "extractor": found.extractor, "statistics": str(out)}
        terminal.answer(facts, [f"{name}: {value}" for name, value in facts.items()])
