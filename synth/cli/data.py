"""``synth prepare`` and ``synth verify``: from clinical files to a checked dataset."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from synth.cli.account import account
from synth.cli.app import Json, Traceback, app, session
from synth.cli.tables import table
from synth.errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from synth.text.prompts import Source

MAX_SHOWN = 20


@app.command(
    epilog="Example: synth prepare hospital-export dataset --size 512   (the same command resumes)"
)
def prepare(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="DICOM, PNG or JPEG files and their reports.")
    ],
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="The folder to write.")],
    size: Annotated[int, typer.Option(min=8, help="Side of the images in pixels.")] = 128,
    seed: Annotated[int, typer.Option(min=0, help="Decides the splits.")] = 0,
    splits: Annotated[
        str, typer.Option(help="Fractions of patients for train,val,test.")
    ] = "0.7,0.1,0.2",
    preset: Annotated[
        Literal["dicom-voi", "mimic-cxr-jpg", "chexpert", "xrv", "percentile"],
        typer.Option(help="The grey-scale recipe."),
    ] = "dicom-voi",
    voi: Annotated[
        Literal["auto", "window", "lut", "none", "percentile"],
        typer.Option(help="Which window the recipe dicom-voi applies."),
    ] = "auto",
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="FLAG", help="Quarantine images with it: burned_in_text. Repeatable."),
    ] = None,
    views: Annotated[
        str, typer.Option(help="Quarantine all but these: PA,AP.", show_default="all")
    ] = "",
    policy: Annotated[
        str, typer.Option(help="Which report section is the prompt, the first that is there.")
    ] = "impression,findings,last_paragraph,full",
    comparisons: Annotated[
        Literal["drop", "keep"], typer.Option(help="Comparisons with earlier images, in prompts.")
    ] = "drop",
    keep_raw_text: Annotated[
        bool,
        typer.Option("--keep-raw-text", help="Keep reports unscrubbed too, identifiers and all."),
    ] = False,
    label_mode: Annotated[
        Literal["default", "chexpert"],
        typer.Option(help="How several mentions of a finding become one label."),
    ] = "default",
    require_report: Annotated[
        bool, typer.Option(help="Quarantine images that have neither report nor labels.")
    ] = True,
    terms: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Terms of use; default SOURCE/terms.txt.")
    ] = None,
    secret: Annotated[
        str,
        typer.Option(
            envvar="SYNTH_SECRET", help="Words that key the pseudonyms.", show_default=False
        ),
    ] = "",
    key_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            envvar="SYNTH_KEY_FILE",
            help="Key of the pseudonyms; default: one of your own, made once.",
            show_default=False,
        ),
    ] = None,
    near_duplicates: Annotated[
        bool, typer.Option(help="Report images that look the same in different splits.")
    ] = True,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0: one a usable core.")] = 0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read headers and tables alone, write nothing.")
    ] = False,
    as_json: Json = False,
    show_traceback: Traceback = False,
) -> None:
    """Read images and reports into a de-identified, labelled, patient-disjoint dataset."""
    with session(as_json=as_json, show_traceback=show_traceback) as terminal:
        fractions = _fractions(splits)
        from synth.cores import usable_cores
        from synth.data.prepare import prepare as run

        summary = run(
            source,
            dataset,
            size=size,
            seed=seed,
            splits=fractions,
            preset=preset,
            voi=voi,
            exclude=tuple(exclude or ()),
            views=_names(views.upper()),
            policy=_policy(policy),
            drop_comparisons=comparisons == "drop",
            keep_raw_text=keep_raw_text,
            label_mode=label_mode,
            near_duplicates=near_duplicates,
            require_report=require_report,
            terms=terms,
            secret=secret,
            key_file=key_file,
            workers=workers or usable_cores(),
            dry_run=dry_run,
            progress=terminal,
        )
        facts = asdict(summary) | {"folder": str(dataset)}
        terminal.answer(facts, account(summary), code=summary.exit_code)


def _names(text: str) -> tuple[str, ...]:
    """The parts of a list with commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _policy(text: str) -> tuple[Source, ...]:
    from typing import get_args

    from synth.text.prompts import Source

    known: tuple[Source, ...] = get_args(Source)
    chosen = tuple(name for part in _names(text) for name in known if name == part)
    if not chosen or len(chosen) != len(_names(text)):
        raise UsageError("unknown section", where="--policy", got=text, expected=", ".join(known))
    return chosen


def _fractions(text: str) -> tuple[float, float, float]:
    try:
        train, val, test = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(
            "not three fractions", where="--splits", got=text, expected="such as 0.7,0.1,0.2"
        ) from None
    if min(train, val, test) < 0 or abs(train + val + test - 1) > 1e-6:
        raise UsageError("the fractions must add up to 1", where="--splits", got=text)
    return train, val, test


@app.command(epilog="Example: synth verify dataset --json")
def verify(
    dataset: Annotated[
        Path, typer.Argument(metavar="DATASET", help="A prepared or synthetic dataset.")
    ],
    as_json: Json = False,
    show_traceback: Traceback = False,
) -> None:
    """Decode every image; check hashes, schema, label values and patient-disjoint splits."""
    with session(as_json=as_json, show_traceback=show_traceback) as terminal:
        from synth.data.verify import verify_dataset

        found = verify_dataset(dataset, progress=terminal)
        if not found.problems:
            terminal.answer(found.to_json(), [f"{dataset}: {found.images} images, no problems"])
            return
        rows = [(item.kind, item.where, item.problem) for item in found.problems[:MAX_SHOWN]]
        title = f"{dataset}: {len(found.problems)} problems in {found.images} images"
        more = len(found.problems) - len(rows)
        tail = [f"and {more} more: add --json for all of them"] if more else []
        shown: list[RenderableType] = [
            table(title, ("kind", "where", "problem"), rows, words=True),
            *tail,
        ]
        terminal.answer(found.to_json(), shown, code=1)
