"""``synth regenerate``: one image of a synthetic dataset again, compared with its row."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synth.cli.app import Json, Traceback, app, read_config, session
from synth.errors import SynthError

if TYPE_CHECKING:
    from sample.verdict import Regenerated
    from synth.config import Config


@app.command(epilog="Example: synth regenerate run/synthetic syn-000007 --out again.png")
def regenerate(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="A synthetic dataset.")],
    sample_id: Annotated[str, typer.Argument(metavar="SAMPLE_ID", help="The image.")],
    run: Annotated[
        Path | None,
        typer.Option(metavar="CONFIG|RUN", help="What made it; by default the dataset's parent."),
    ] = None,
    weights: Annotated[
        str | None, typer.Option(metavar="DIR", help="The weights; by default the run's.")
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The real image that an edited one was made from."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="PNG", help="Where to write the image; nowhere.")
    ] = None,
    as_json: Json = False,
    show_traceback: Traceback = False,
) -> None:
    """Make one image again from its row and verify it; exit code 1 where it differs."""
    with session(as_json=as_json, show_traceback=show_traceback) as terminal:
        config = _config(dataset, run, weights)
        import sample.regenerate
        from sample.verdict import save
        from synth.cores import use_all_cores

        use_all_cores()
        made = sample.regenerate.regenerate(dataset, sample_id, config, terminal, source=source)
        if out is not None:
            save(made, out)
        code = 1 if made.verdict in ("different", "unverified") else 0
        terminal.answer(made.to_json(), _lines(made), code=code)


def _config(dataset: Path, run: Path | None, weights: str | None) -> Config:
    """The run's configuration, or the default one with the weights given.

    Raises:
        SynthError: there is neither.
    """
    from synth.config.schema import Config

    near = [run] if run else [dataset.resolve().parent, dataset.resolve().parent / "run"]
    found = next((place for place in near if run or (place / "config.yaml").is_file()), None)
    if found is None and weights is None:
        raise SynthError(
            "the weights that made the dataset are not known",
            where=dataset,
            got=f"no config.yaml in {near[0]}",
            fix="Give the run with --run, or the weights with --weights.",
        )
    config = read_config(found, None) if found else Config()
    if weights is None:
        return config
    sample = config.sample.model_copy(update={"weights": weights})
    return config.model_copy(update={"sample": sample})


def _lines(made: Regenerated) -> list[str]:
    told = {
        "identical": "identical, every pixel",
        "within tolerance": f"off by at most {made.largest} grey levels of {made.tolerance} that "
        "rounding may account for",
        "different": f"DIFFERENT, by up to {made.largest} grey levels",
        "unverified": "not the pixels that the row names, and no whole file to compare with",
    }[made.verdict]
    return [f"{made.sample_id}: {told}", *(f"  {note}" for note in made.notes)]
