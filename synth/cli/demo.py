"""``synth demo``: the main job on the embedded default, from clinical files to a scored dataset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synth.cli.app import Json, Overrides, Traceback, app, session
from synth.cli.stages import Stage, Stages
from synth.cli.tables import duration, table
from synth.cores import usable_cores, use_all_cores
from synth.errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from synth.cli.terminal import Terminal
    from synth.config import Config
    from synth.progress import Progress

PATIENTS = 700
SIZE = 128  # pixels, where the configuration leaves it to the base model
_PLACES = ("run.out", "data.dataset", "sample.out")
# What may change in a dataset that is continued: where it is made, and the sheet beside it.
_FREE_SAMPLE = {"sample.out", "sample.batch", "sample.device", "sample.previews"}


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
        plan = demo_stages(out, config, patients, terminal)
        stages.require_same(plan)
        use_all_cores()
        for stage in plan:
            if stage.name == "sample":
                _show_plan(config, terminal)
            stages.run(stage)
        _answer(out, stages, terminal)


def demo_config(out: Path, overrides: list[str] | None = None) -> Config:
    """The shipped ``demo`` configuration with its folders inside ``out``.

    Raises:
        UsageError: an override is wrong, or sets one of these folders.
    """
    from synth.config import load_config, shipped_config

    config = load_config(shipped_config("demo"), overrides or ())
    for place in _PLACES:
        if any(_sets(place, override) for override in overrides or ()):
            raise UsageError(f"the demo puts {place} inside OUT", fix=f"Leave {place} out.")
    return config.model_copy(
        update={
            "run": config.run.model_copy(update={"out": out / "run"}),
            "data": config.data.model_copy(update={"dataset": out / "dataset"}),
            "sample": config.sample.model_copy(update={"out": out / "synthetic"}),
        }
    )


def _sets(place: str, override: str) -> bool:
    """Whether ``run.out=x`` or ``run={out: x}`` sets ``run.out``; the override is a valid one."""
    import yaml

    section, name = place.split(".")
    key, _, value = override.partition("=")
    if key.strip() != section:
        return key.strip() == place
    values = yaml.safe_load(value)
    return isinstance(values, dict) and name in values


def demo_stages(out: Path, config: Config, patients: int, progress: Progress) -> list[Stage]:
    """The stages in their order, with what each depends on and leaves; no setting is a place."""
    from train.folder import FREE_KEYS

    now = dict(_flat(config.model_dump(mode="json", exclude={"run": {"out"}})))
    free = {*_PLACES, *FREE_KEYS}
    cohort = {"patients": patients, **_chosen(now, ["run.seed"])}
    size = cohort | _chosen(now, ["data.size"])
    model = size | _chosen(now, ["model."])
    sample = _chosen(now, ["sample."], _FREE_SAMPLE)
    trained = model | _chosen(now, ["data.", "train."], free)
    train, drawn = _chosen(now, ["train."]), _chosen(now, ["sample."], {"sample.out"})
    steps = _chosen(now, ["train.steps"])  # more are allowed until images are made from them
    scores = _chosen(now, ["metrics."])

    return [
        Stage(
            "cohort",
            lambda: _cohort(out, patients, config.run.seed, progress),
            leaves=["cohort/dicom", "cohort/terms.txt", "cohort/reports.csv"],
            begun="cohort",
            fixed=cohort,
        ),
        Stage(
            "prepare",
            lambda: _prepare(out, config, progress),
            leaves=["dataset/SHA256SUMS"],
            begun="dataset",
            fixed=size,
        ),
        Stage(
            "before",
            lambda: _sample_before(out, config, progress),
            [drawn],
            leaves=["before/SHA256SUMS"],
            begun="before/dataset.json",
            fixed=model | sample,
        ),
        Stage(
            "train",
            lambda: _train(config, progress),
            [train],
            leaves=["run/config.yaml", "run/run.json", "run/weights/model_index.json"],
            begun="run/config.yaml",
            fixed=trained,
        ),
        Stage(
            "sample",
            lambda: _sample(config, progress),
            [drawn],
            leaves=["synthetic/SHA256SUMS"],
            begun="synthetic/dataset.json",
            fixed=trained | steps | sample,
        ),
        Stage("evaluate", lambda: _evaluate(out, config, progress), [scores], ["scores.json"]),
        Stage("report", lambda: _report(out, config), leaves=["report.html"]),
    ]


def _chosen(
    values: Mapping[str, object], prefixes: Sequence[str], left_out: set[str] | None = None
) -> dict[str, object]:
    """The settings whose dotted name begins so."""
    starts, without = tuple(prefixes), left_out or set()
    return {key: v for key, v in values.items() if key.startswith(starts) and key not in without}


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _cohort(out: Path, patients: int, seed: int, progress: Progress) -> None:
    from synth.data.phantom import write_cohort

    progress.stage("writing the phantom cohort")
    write_cohort(
        out / "cohort", patients=patients, seed=seed, workers=usable_cores(), progress=progress
    )


def _prepare(out: Path, config: Config, progress: Progress) -> None:
    from synth.data.prepare import prepare

    prepare(
        out / "cohort",
        out / "dataset",
        size=config.data.size or SIZE,
        seed=config.run.seed,
        secret=f"{config.run.seed}:",  # public: phantoms need none, and figures must come again
        workers=usable_cores(),
        progress=progress,
    )


def _sample_before(out: Path, config: Config, progress: Progress) -> None:
    """The same plan with the base weights, to show what fine-tuning teaches."""
    from sample.run import generate_dataset

    update = {"out": out / "before", "weights": config.model.weights}
    sample = config.sample.model_copy(update=update)
    generate_dataset(config.model_copy(update={"sample": sample}), progress)


def _train(config: Config, progress: Progress) -> None:
    from train.run import fine_tune

    fine_tune(config, progress)


def _show_plan(config: Config, terminal: Terminal) -> None:
    from sample.plan import make_plan
    from synth.cli.model import plan_table
    from synth.manifest import open_dataset

    terminal.show(plan_table(make_plan(config, open_dataset(config.data.dataset))))


def _sample(config: Config, progress: Progress) -> None:
    from sample.run import generate_dataset

    generate_dataset(config, progress)


def _evaluate(out: Path, config: Config, progress: Progress) -> None:
    from metrics.run import evaluate

    evaluate(
        real=out / "dataset",
        synthetic=out / "synthetic",
        train=out / "dataset",
        before=out / "before",
        weights=str(config.run.out / "weights"),
        settings=config.metrics,
        out=out,
        progress=progress,
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

    scores = read_scores(out / "scores.json")
    memory = max(s.memory_mib for s in stages.done)
    worker = max(s.worker_mib for s in stages.done)
    rows = [(s.name, duration(s.seconds), "kept" if s.kept else "") for s in stages.done]
    rows.append(("total", duration(sum(s.seconds for s in stages.done)), ""))
    shown: list[RenderableType] = [
        *score_tables(scores),
        table("Time", ("stage", "wall time", ""), rows),
        f"peak memory: {memory:.0f} MiB in the largest process, "
        f"{worker:.0f} MiB in its largest worker",
        f"report: {out / 'report.html'}",
    ]
    data: dict[str, Any] = {
        "out": str(out),
        "report": str(out / "report.html"),
        "scores": scores,
        "stages": {s.name: {"seconds": s.seconds, "kept": s.kept} for s in stages.done},
        "peak_memory_mib": memory,
        "peak_worker_memory_mib": worker,
    }
    terminal.answer(data, shown)
