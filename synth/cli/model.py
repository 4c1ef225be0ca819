"""``synth check``, ``train``, ``plan`` and ``sample``: one configuration, four verbs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synth.cli.app import Json, Overrides, Target, Traceback, app, read_config, session
from synth.cli.tables import duration, table

if TYPE_CHECKING:
    from rich.table import Table

    from sample.plan import Plan

NEEDED = ("dataset", "family", "weights", "attention")  # for a look at the model


@app.command(epilog="Example: synth check configs/demo.yaml data.dataset=dataset")
def check(
    target: Target,
    overrides: Overrides = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="Do not load the model: no estimates, no picture.")
    ] = False,
    sheet: Annotated[
        Path | None,
        typer.Option(
            metavar="PNG", help="Picture of ten training pairs. [dim]<run.out>/check.png[/dim]"
        ),
    ] = None,
    as_json: Json = False,
    show_traceback: Traceback = False,
) -> None:
    """Validate everything, estimate memory, disk and time, and draw ten training pairs."""
    with session(as_json=as_json, show_traceback=show_traceback) as terminal:
        config = read_config(target, overrides)
        from synth.cli.checks import look, run_checks
        from synth.cli.outlook import outlook_checks, outlook_tables

        checks, outlook = run_checks(config), None
        if not fast and all(item.ok for item in checks if item.name in NEEDED):
            outlook, problems = look(config, terminal, sheet)
            checks += outlook_checks(outlook) if outlook else problems
        failed = [item for item in checks if not item.ok]
        rows = [("ok" if item.ok else "FAILED", item.name, item.detail) for item in checks]
        data = {
            "ok": not failed,
            "checks": [{"name": c.name, "ok": c.ok, "detail": c.detail} for c in checks],
            "outlook": outlook.to_json() if outlook else None,
        }
        shown = [table(str(target), ("", "what", "detail"), rows, words=True)]
        shown += outlook_tables(outlook) if outlook else []
        terminal.answer(data, shown, code=1 if failed else 0)


@app.command(epilog="Example: synth train config.yaml train.steps=2000   (the same again resumes)")
def train(
    target: Target,
    overrides: Overrides = None,
    as_json: Json = False,
    show_traceback: Traceback = False,
) -> None:
    """Fine-tune the base model on the training split; the same command again resumes."""
    with session(as_json=as_json, show_traceback=show_traceback) as terminal:
        config = read_config(target, overrides)
        from synth.cores import use_all_cores
        from train.run import fine_tune

        use_all_cores()
        result = fine_tune(config, terminal)
        facts = {"run": str(result.folder), "weights": str(result.weights), **result.facts}
        spent = f"{result.steps} steps, {result.images_seen} images, {duration(result.seconds)}"
        terminal.answer(facts, [f"{spent}: {result.weights}"])


@app.command(epilog="Example: synth ema run --width 0.07 --out run/weights-0.07")
def ema(
    target: Target,
    width: Annotated[
        float, typer.Option(help="Width of the average, as a fraction of the training.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The pipeline folder to write.")],
    at: Annotated[
        int | None, typer.Option(help="Images seen where it ends; the last snapshot by default.")
    ] = None,
    as_json: Json = False,
    show_traceback: Traceback = False,
) -> None:
    """Export a finished run with an average of another length (needs train.ema.profiles)."""
    with session(as_json=as_json, show_traceback=show_traceback) as terminal:
        config = read_config(target, None)
        from train.reweight import export_average

        digest = export_average(config, out, width=width, images_seen=at)
        facts = {"weights": str(out), "width": width, "weights_sha256": digest}
        terminal.answer(facts, [f"{out}: a diffusers pipeline, average of width {width:g}"])


@app.command(epilog="Example: synth plan config.yaml sample.count=500 --out worklist.jsonl")
def plan(
    target: Target,
    overrides: Overrides = None,
    out: Annotated[
        Path | None, typer.Option(metavar="JSONL", help="Write the work list, one row an image.")
    ] = None,
    as_json: Json = False,
    show_traceback: Traceback = False,
) -> None:
    """Show what would be sampled: counts per finding before and after."""
    with session(as_json=as_json, show_traceback=show_traceback) as terminal:
        config = read_config(target, overrides)
        from sample.plan import make_plan, write_plan
        from synth.manifest import open_dataset

        made = make_plan(config, open_dataset(config.data.dataset))
        for note in made.notes:
            terminal.note(note)
        if out is not None:
            write_plan(made, out)
        shown = [plan_table(made), *([cell_table(made)] if made.cells else [])]
        terminal.answer(made.to_json(), shown)


@app.command(epilog="Example: synth sample run sample.out=extra sample.count=200")
def sample(
    target: Target,
    overrides: Overrides = None,
    engine: Annotated[
        str | None,
        typer.Option(help="local, shared (one worker of many) or ray. [dim]sample.engine[/dim]"),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that share the work. [dim]sample.workers[/dim]")
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="Be worker I of N that share the folder, as in an array."),
    ] = None,
    as_json: Json = False,
    show_traceback: Traceback = False,
) -> None:
    """Generate the labelled synthetic dataset; the same command again resumes."""
    with session(as_json=as_json, show_traceback=show_traceback) as terminal:
        options = {"engine": engine, "workers": workers}
        given = [f"sample.{name}={value}" for name, value in options.items() if value is not None]
        config = read_config(target, [*(overrides or ()), *given])
        from sample.engines import engine_for, generate_with_workers, parse_part
        from sample.run import generate_dataset
        from synth.cores import use_all_cores

        part = parse_part(shard) if shard is not None else None
        if part is None and (launcher := engine_for(config)) is not None:
            made = generate_with_workers(config, launcher, terminal)
        else:
            use_all_cores()
            made = generate_dataset(config, terminal, part=part)
        text = f"{made.made} images made in {duration(made.seconds)}, {made.kept} kept: {made.out}"
        terminal.answer(made.to_json(), [text])


def plan_table(plan: Plan) -> Table:
    """Counts per finding: real training images, planned, both; less what no image shows."""
    shown = [count for count in plan.table() if count.total]
    rows = [(c.finding, str(c.real), f"+{c.planned}", str(c.total)) for c in shown]
    title = f"{len(plan.rows)} images to make"
    return table(title, ("finding", "real", "synthetic", "together"), rows)


def cell_table(plan: Plan) -> Table:
    """Counts per cell of a grid: real training texts that fit it, and images planned."""
    rows = [(cell.cell, str(cell.real), f"+{cell.planned}") for cell in plan.cells]
    return table(f"{len(rows)} cells", ("cell", "real texts", "synthetic"), rows)
