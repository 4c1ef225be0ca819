"""``synth prepare`` and ``synth verify``: from clinical files to a checked dataset."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from synth.cli.app import Json, Traceback, app, session
from synth.cli.tables import table
from synth.errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from synth.data.prepare import PrepareSummary

MAX_SHOWN = 20
MAX_SUFFIXES = 5


@app.command(
    epilog="Example: synth prepare hospital-export dataset --size 512   (the same command resumes)"
)
def prepare(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="DICOM, PNG or JPEG files and their reports.")
    ],
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="The folder to write.")],
    size: Annotated[int, typer.Option(min=8, help="Side of the images in pixels.")] = 128,
    seed: Annotated[int, typer.Option(min=0, help="Decides the splits and pseudonyms.")] = 0,
    splits: Annotated[
        str, typer.Option(help="Fractions of patients for train,val,test.")
    ] = "0.7,0.1,0.2",
    voi: Annotated[
        Literal["auto", "window", "lut", "none", "percentile"],
        typer.Option(help="Which grey-scale window to apply."),
    ] = "auto",
    require_report: Annotated[
        bool, typer.Option(help="Quarantine images that have neither report nor labels.")
    ] = True,
    terms: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Terms of use; default SOURCE/terms.txt.")
    ] = None,
    secret: Annotated[
        str, typer.Option(envvar="SYNTH_SECRET", help="Key of the pseudonyms.", show_default=False)
    ] = "",
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0: one a usable core.")] = 0,
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
            voi=voi,
            require_report=require_report,
            terms=terms,
            secret=secret,
            workers=workers or usable_cores(),
            progress=terminal,
        )
        if not secret and not summary.phantom:
            terminal.note(
                "note: whoever knows the seed can recompute the pseudonyms from identifiers; "
                "give --secret or SYNTH_SECRET"
            )
        facts = asdict(summary) | {"folder": str(dataset)}
        terminal.answer(facts, _account(summary), code=summary.exit_code)


def _account(summary: PrepareSummary) -> list[RenderableType]:
    counts = f"{summary.inputs} inputs, {summary.duplicates} duplicates, {summary.new} new"
    lines: list[RenderableType] = [f"{summary.ok} images in {summary.folder} ({counts})"]
    if summary.updated:
        lines.append(f"{summary.updated} updated from changed reports")
    if summary.findings:
        rows = [(name, str(count)) for name, count in summary.findings.items()]
        lines.append(table("Images by finding", ("finding", "images"), rows))
    if summary.reports_without_image:
        lines.append(f"{summary.reports_without_image} reports without an image")
    if summary.skipped:
        lines.append(f"{summary.skipped} files skipped ({_suffixes(summary.skipped_suffixes)})")
    if summary.quarantined:
        why = ", ".join(f"{code} {count}" for code, count in summary.codes.items())
        place = summary.folder / "quarantine.jsonl"
        lines.append(f"{summary.quarantined} quarantined ({why}): see {place}")
    return lines


def _suffixes(counts: dict[str, int]) -> str:
    """The commonest first: ``.docx 2, .xml 1``."""
    shown = [f"{suffix} {count}" for suffix, count in list(counts.items())[:MAX_SUFFIXES]]
    more = sum(list(counts.values())[MAX_SUFFIXES:])
    return ", ".join(shown + ([f"others {more}"] if more else []))


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
