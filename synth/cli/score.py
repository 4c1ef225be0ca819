"""``synth evaluate`` and ``synth report``: scores for any two sets of images, and one page."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synth.cli.app import Json, Overrides, Traceback, app, read_config, session
from synth.cli.evaluate_more import EvaluateCommand
from synth.errors import SynthError

if TYPE_CHECKING:
    from synth.config.schema import MetricsSection


@app.command(
    cls=EvaluateCommand,
    epilog="Example: synth evaluate --real dataset --synthetic run/synthetic --train dataset "
    "--out run. See also: synth evaluate doctor | compare | features | merge, each with --help.",
)
def evaluate(
    real: Annotated[
        Path,
        typer.Option(
            metavar="IMAGES",
            help="Real images to compare with: a dataset, a folder of images or DICOM files, "
            "WebDataset .tar archives, or statistics (.npz).",
        ),
    ],
    synthetic: Annotated[Path, typer.Option(metavar="IMAGES", help="Images to score; as --real.")],
    overrides: Overrides = None,
    train: Annotated[
        Path | None, typer.Option(metavar="IMAGES", help="What the model was trained on.")
    ] = None,
    before: Annotated[
        Path | None, typer.Option(metavar="IMAGES", help="The same plan before fine-tuning.")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(metavar="WEIGHTS", help="The generator: scores its autoencoder.")
    ] = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option(metavar="NAMES", help="Commas between; `all`, or `usual` (the default)."),
    ] = None,
    extractor: Annotated[
        list[str] | None,
        typer.Option(
            metavar="EXTRACTOR",
            help="pixel, random-conv, hf:MODEL, torchscript:FILE, onnx:FILE, timm:NAME, "
            "open_clip:NAME, xrv:WEIGHTS, inception:WEIGHTS. May be given several times.",
        ),
    ] = None,
    store: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Keep features; compute only new ones.")
    ] = None,
    white: Annotated[
        float | None,
        typer.Option(metavar="LEVEL", help="White in files deeper than 8 bits, such as 4095."),
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Write scores.json.")] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="CONFIG|RUN", help="Take its `metrics` section.")
    ] = None,
    as_json: Json = False,
    show_traceback: Traceback = False,
) -> None:
    """Score fidelity, diversity, memorization, label fidelity and downstream utility."""
    with session(as_json=as_json, show_traceback=show_traceback) as terminal:
        settings = _settings(config, overrides)
        from metrics.chosen import Choices, metric_names
        from metrics.run import evaluate as run
        from synth.cli.scores import score_tables
        from synth.cores import use_all_cores
        from synth.data.images_in import Reading

        choices = Choices(
            metrics=metric_names(metrics or ()),
            extractors=tuple(extractor or ()),
            store=store,
            reading=Reading(white=white),
        )
        use_all_cores()
        scores = run(
            real=real,
            synthetic=synthetic,
            train=train,
            before=before,
            weights=weights,
            settings=settings,
            out=out,
            progress=terminal,
            choices=choices,
        ).to_json()
        written = _written(out) if out else []
        terminal.answer(scores, [*score_tables(scores), *written])


def _settings(config: Path | None, overrides: list[str] | None) -> MetricsSection:
    if config is not None:
        return read_config(config, overrides).metrics
    from synth.config import load_config

    return load_config(None, overrides or ()).metrics


def _written(out: Path) -> list[str]:
    return [f"scores: {out / 'scores.json'}", f"page: synth report {quote(str(out))}"]


@app.command(epilog="Example: synth report run")
def report(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN", help="What --out of `synth evaluate` named, a run, or a demo's folder."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Default: report.html beside scores.json.")
    ] = None,
    real: Annotated[
        Path | None,
        typer.Option(metavar="IMAGES", help="The real images that were scored, if they moved."),
    ] = None,
    synthetic: Annotated[
        Path | None, typer.Option(metavar="IMAGES", help="The images that were scored; as --real.")
    ] = None,
    train: Annotated[
        Path | None, typer.Option(metavar="IMAGES", help="The training images; as --real.")
    ] = None,
    as_json: Json = False,
    show_traceback: Traceback = False,
) -> None:
    """Write one self-contained offline HTML page from scores.json and the images it names."""
    with session(as_json=as_json, show_traceback=show_traceback) as terminal:
        from metrics.report import write_report

        scores_path = find_scores(run)
        scores, beside = read_scores(scores_path), scores_path.parent
        folder = _trained(scores_path.parent if run.is_file() else run)
        older = _sets_of_run(folder, beside, scores)
        page = write_report(
            out or beside / "report.html",
            scores=scores,
            beside=beside,
            real=real or older.get("real"),
            synthetic=synthetic or older.get("synthetic"),
            train=train,
            run=folder,
            cohort=_if_there(beside / "cohort"),
            before=older.get("before"),
            progress=terminal,
        )
        terminal.answer({"report": str(page)}, [f"report: {page}"])


def _trained(run: Path) -> Path | None:
    """The folder of the training run; None where there is none, as beside two plain folders."""
    folders = (run, run / "run")
    return next((folder for folder in folders if (folder / "config.yaml").is_file()), None)


def _sets_of_run(run: Path | None, beside: Path, scores: dict[str, Any]) -> dict[str, Path]:
    """The sets that a run is configured for, where older scores do not say what was scored."""
    from metrics.report_sets import names_sets

    if run is None or names_sets(scores):
        return {}
    config = read_config(run, None)
    sets = {
        "real": config.data.dataset,
        "synthetic": config.sample.out or config.run.out / "synthetic",
    }
    before = _if_there(beside / "before")
    return sets if before is None else {**sets, "before": before}


def find_scores(run: Path) -> Path:
    """``scores.json`` itself, or of a run: in its folder, or beside it as ``synth demo`` leaves it.

    Raises:
        SynthError: the run is not scored.
    """
    if run.is_file():
        return run
    for folder in (run, run.resolve().parent) if run.is_dir() else ():
        if (folder / "scores.json").is_file():
            return folder / "scores.json"
    raise SynthError(
        "no scores.json in or beside the run",
        where=run,
        fix=f"Make it with `synth evaluate --real IMAGES --synthetic IMAGES --out {run}`.",
    )


def read_scores(path: Path) -> dict[str, Any]:
    """The content of ``scores.json``.

    Raises:
        SynthError: it is not a JSON object.
    """
    import json

    try:
        scores = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise SynthError("not valid JSON", where=path, got=error) from None
    if not isinstance(scores, dict):
        raise SynthError("not a JSON object", where=path)
    return scores


def _if_there(folder: Path) -> Path | None:
    return folder if folder.is_dir() else None
