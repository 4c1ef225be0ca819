"""``synth evaluate`` and ``synth report``: scores for any two sets of images, and one page."""

from __future__ import annotations

from pathlib import Path
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
        written = [f"scores: {out / 'scores.json'}"] if out else []
        terminal.answer(scores, [*score_tables(scores), *written])


def _settings(config: Path | None, overrides: list[str] | None) -> MetricsSection:
    if config is not None:
        return read_config(config, overrides).metrics
    from synth.config import load_config

    return load_config(None, overrides or ()).metrics


@app.command(epilog="Example: synth report run")
def report(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run folder, or a folder made by `synth demo`.")
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Default: report.html beside scores.json.")
    ] = None,
    as_json: Json = False,
    show_traceback: Traceback = False,
) -> None:
    """Write one self-contained offline HTML page from a run and its scores.json."""
    with session(as_json=as_json, show_traceback=show_traceback) as terminal:
        from metrics.report import write_report

        scores_path = find_scores(run)
        folder = run if (run / "config.yaml").is_file() else run / "run"
        config = read_config(folder, None)
        beside = scores_path.parent
        page = write_report(
            out or beside / "report.html",
            scores=read_scores(scores_path),
            real=config.data.dataset,
            synthetic=config.sample.out or config.run.out / "synthetic",
            run=folder,
            cohort=_if_there(beside / "cohort"),
            before=_if_there(beside / "before"),
        )
        terminal.answer({"report": str(page)}, [f"report: {page}"])


def find_scores(run: Path) -> Path:
    """``scores.json`` of a run: in its folder, or beside it as ``synth demo`` leaves it.

    Raises:
        SynthError: the run is not scored.
    """
    for folder in (run, run.resolve().parent):
        if (folder / "scores.json").is_file():
            return folder / "scores.json"
    raise SynthError(
        "no scores.json in or beside the run",
        where=run,
        fix=f"Make it with `synth evaluate --real DATASET --synthetic FOLDER --out {run}`.",
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
