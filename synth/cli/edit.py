"""``synth edit``: a real image changed as a text says, everywhere or in a region."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synth.cli.app import Json, Overrides, Target, Traceback, app, read_config, session
from synth.errors import UsageError

if TYPE_CHECKING:
    from synth.manifest import Label

_VALUES: dict[str, Label] = {"1": 1, "0": 0, "-1": -1, "null": None}


@app.command(
    epilog="Example: synth edit run --sample-id s0001 --prompt 'Large left pleural effusion.' "
    "--box 60,70,120,128 --out edited"
)
def edit(
    target: Target,
    overrides: Overrides = None,
    prompt: Annotated[str, typer.Option(help="What the image shall show.")] = "",
    out: Annotated[Path, typer.Option(metavar="DIR", help="The dataset to add to.")] = Path(
        "edited"
    ),
    sample_id: Annotated[
        str | None, typer.Option(metavar="ID", help="An image of the run's dataset.")
    ] = None,
    image: Annotated[Path | None, typer.Option(metavar="FILE", help="Or an image file.")] = None,
    box: Annotated[
        str | None,
        typer.Option(metavar="x0,y0,x1,y1", help="Change only this, in pixels of the model."),
    ] = None,
    mask: Annotated[
        Path | None, typer.Option(metavar="PNG", help="Or change only what is white here.")
    ] = None,
    strength: Annotated[
        float, typer.Option(help="0 reconstructs the image, 1 starts from noise.")
    ] = 0.6,
    label: Annotated[
        list[str] | None,
        typer.Option(metavar="FINDING=VALUE", help="Over what the prompt says. Repeatable."),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Variants to make.")] = 1,
    as_json: Json = False,
    show_traceback: Traceback = False,
) -> None:
    """Add or remove a finding in a real image; what lies outside the region stays as it is."""
    with session(as_json=as_json, show_traceback=show_traceback) as terminal:
        config = read_config(target, overrides)
        corners, labels = _box(box), _labels(label or [])
        from sample.edit_run import edit_image
        from sample.edit_source import EditRequest
        from synth.cores import use_all_cores

        use_all_cores()
        request = EditRequest(
            prompt=prompt,
            strength=strength,
            out=out,
            sample_id=sample_id,
            image=image,
            box=corners,
            mask=mask,
            labels=labels,
            count=count,
        )
        done = edit_image(config, request, terminal)
        kept = len(done.sample_ids) - done.made
        text = f"{done.made} images made, {kept} kept: {done.out}"
        terminal.answer(done.to_json(), [text])


def _box(text: str | None) -> tuple[int, ...]:
    if text is None:
        return ()
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UsageError(
            "not a box", where="--box", got=text, expected="such as 60,70,120,128"
        ) from None


def _labels(items: list[str]) -> dict[str, Label]:
    labels: dict[str, Label] = {}
    for item in items:
        name, _, value = item.partition("=")
        if not name or value not in _VALUES:
            raise UsageError(
                "not a label", where="--label", got=item, expected="FINDING=1, 0, -1 or null"
            )
        labels[name] = _VALUES[value]
    return labels
