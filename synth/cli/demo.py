"""``synth demo``: the main job on the embedded default, from clinical files to a scored dataset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synth.cli.app import Json, Overrides, Traceback, app, session
from synth.cli.stages import Stages
from synth.cli.tables import duration, table
from synth.cores import usable_cores, use_all_cores

if TYPE_CHECKING:
    from rich.console import RenderableType

    from synth.cli.terminal import Terminal
    from synth.config import Config

PATIENTS = 700
SIZE = 128  # pixels, where the configuration leaves it to the base model


@app.command(epilog="Example: synth demo demo   (the same command again reuses what is there)")
def demo(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to write.")],
    overrides: Overrides = None,
    patients: Annotated[int, typer.Option(min=20, help="Phantom patients.")] = PATIENTS,
    as_json: Json = False,
    show_traceback: Traceback = False,
) -> None:
    """Run every stage on phantoms: cohort, prepare, train, sample, evaluate, report."""
    with session(as_json=as_json, show_traceback=show_traceback) as terminal:
        from synth.families.weights import resolve_weights

        config = demo_config(out, overrides)
        resolve_weights(config.model.weights)  # a wrong name fails now, not after the cohort
        stages = Stages.open(out, terminal)
        use_all_cores()
        _run(out, config, patients, stages, terminal)
        _answer(out, stages, terminal)


def demo_config(out: Path, overrides: list[str] | None = None) -> Config:
    """The shipped ``demo`` configuration with its folders inside ``out``."""
    from synth.config import load_config, shipped_config

    config = load_config(shipped_config("demo"), overrides or ())
    return config.model_copy(
        update={
            "run": config.run.model_copy(update={"out": out / "run"}),
            "data": config.data.model_copy(update={"dataset": out / "dataset"}),
            "sample": config.sample.model_copy(update={"out": out / "synthetic"}),
        }
    )


def _run(out: Path, config: Config, patients: int, stages: Stages, terminal: Terminal) -> None:
    sections = config.model_dump(mode="json")
    seed, size = config.run.seed, config.data.size
    stages.run("cohort", [patients, seed], lambda: _cohort(out, patients, seed, terminal))
    stages.run("prepare", [size], lambda: _prepare(out, config, terminal))
    stages.run("before", [sections["sample"]], lambda: _sample_before(out, config, terminal))
    keys = [sections["model"], sections["data"], sections["train"]]
    stages.run("train", keys, lambda: _train(config, terminal))
    _show_plan(config, terminal)
    stages.run("sample", [sections["sample"]], lambda: _sample(config, terminal))
    stages.run("evaluate", [sections["metrics"]], lambda: _evaluate(out, config, terminal))
    stages.run("report", [], lambda: _report(out, config))


def _cohort(out: Path, patients: int, seed: int, terminal: Terminal) -> None:
    from synth.data.phantom import write_cohort

    terminal.stage("writing the phantom cohort")
    write_cohort(
        out / "cohort", patients=patients, seed=seed, workers=usable_cores(), progress=terminal
    )


def _prepare(out: Path, config: Config, terminal: Terminal) -> None:
    from synth.data.prepare import prepare

    prepare(
        out / "cohort",
        out / "dataset",
        size=config.data.size or SIZE,
        seed=config.run.seed,
        workers=usable_cores(),
        progress=terminal,
    )


def _sample_before(out: Path, config: Config, terminal: Terminal) -> None:
    """The same plan with the base weights, to show what fine-tuning teaches."""
    from sample.run import generate_dataset

    update = {"out": out / "before", "weights": config.model.weights}
    sample = config.sample.model_copy(update=update)
    generate_dataset(config.model_copy(update={"sample": sample}), terminal)


def _train(config: Config, terminal: Terminal) -> None:
    from train.run import fine_tune

    fine_tune(config, terminal)


def _show_plan(config: Config, terminal: Terminal) -> None:
    from sample.plan import make_plan
    from synth.cli.model import plan_table
    from synth.manifest import open_dataset

    terminal.show(plan_table(make_plan(config, open_dataset(config.data.dataset))))


def _sample(config: Config, terminal: Terminal) -> None:
    from sample.run import generate_dataset

    generate_dataset(config, terminal)


def _evaluate(out: Path, config: Config, terminal: Terminal) -> None:
    from metrics.run import evaluate

    evaluate(
        real=out / "dataset",
        synthetic=out / "synthetic",
        train=out / "dataset",
        before=out / "before",
        weights=str(config.run.out / "weights"),
        settings=config.metrics,
        out=out,
        progress=terminal,
    )


def _report(out: Path, config: Config) -> None:
    from metrics.report import write_report
    from synth.cli.score import read_scores

    write_report(
        out / "report.html",
        scores=read_scores(out / "scores.json"),
        real=out / "dataset",
        synthetic=out / "synthetic",
        run=config.run.out,
        cohort=out / "cohort",
        before=out / "before",
    )


def _answer(out: Path, stages: Stages, terminal: Terminal) -> None:
    from synth.cli.score import read_scores
    from synth.cli.scores import score_tables

    scores, memory = read_scores(out / "scores.json"), max(s.memory_mib for s in stages.done)
    rows = [(s.name, duration(s.seconds), "kept" if s.kept else "") for s in stages.done]
    rows.append(("total", duration(sum(s.seconds for s in stages.done)), ""))
    shown: list[RenderableType] = [
        *score_tables(scores),
        table("Time", ("stage", "wall time", ""), rows),
        f"peak memory: {memory:.0f} MiB",
        f"report: {out / 'report.html'}",
    ]
    data: dict[str, Any] = {
        "out": str(out),
        "report": str(out / "report.html"),
        "scores": scores,
        "stages": {s.name: {"seconds": s.seconds, "kept": s.kept} for s in stages.done},
        "peak_memory_mib": memory,
    }
    terminal.answer(data, shown)
