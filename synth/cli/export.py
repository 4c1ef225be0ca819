"""``synth export``: a dataset in the layout that the next tool loads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from synth.cli.app import Json, Traceback, app, session
from synth.errors import UsageError

if TYPE_CHECKING:
    from synth.data.export.run import ExportSummary
    from synth.manifest import Split

Format = Literal["parquet", "webdataset", "monai", "chexpert", "dicom", "imagefolder"]


@app.command(
    epilog="Example: synth export synthetic --to parquet --out augmented --merge dataset "
    "--synthetic-weight equal"
)
def export(
    dataset: Annotated[
        Path, typer.Argument(metavar="DATASET", help="A prepared or synthetic dataset.")
    ],
    to: Annotated[Format, typer.Option("--to", help="The layout.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="A new folder.")],
    merge: Annotated[
        Path | None,
        typer.Option(metavar="REAL", help="Add this dataset's images, for augmentation."),
    ] = None,
    split: Annotated[
        str, typer.Option(metavar="NAMES", help="Export these splits alone.")
    ] = "train,val,test",
    synthetic_weight: Annotated[
        str,
        typer.Option(
            metavar="NUMBER|equal",
            help="Weight of a synthetic image beside 1 for a real one; equal: as much in all.",
        ),
    ] = "1",
    local_use: Annotated[
        bool,
        typer.Option(
            "--local-use", help="The export stays with those bound by the terms of its sources."
        ),
    ] = False,
    shard_size: Annotated[
        int, typer.Option(min=1, help="Images a file: parquet, webdataset.")
    ] = 1000,
    sop_class: Annotated[
        Literal["sc", "dx"], typer.Option(help="dicom: Secondary Capture or Digital X-Ray.")
    ] = "sc",
    bits: Annotated[
        Literal["auto", "8", "16"], typer.Option(help="dicom: stored bits; auto: as the file.")
    ] = "auto",
    report: Annotated[
        bool, typer.Option("--sr", help="dicom: the text as a Basic Text SR document too.")
    ] = False,
    body_part: Annotated[str, typer.Option(help="dicom: Body Part Examined.")] = "CHEST",
    view: Annotated[
        Literal["PA", "AP", "LATERAL"] | None,
        typer.Option(help="dicom: the view of images whose row names none."),
    ] = None,
    as_json: Json = False,
    show_traceback: Traceback = False,
) -> None:
    """Write a dataset as Parquet, WebDataset, MONAI, CheXpert, DICOM or Hugging Face folders."""
    with session(as_json=as_json, show_traceback=show_traceback) as terminal:
        _check(to, shard=shard_size != 1000, dicom=(sop_class, bits, report, body_part, view))
        from synth.data.export.layout import Options
        from synth.data.export.run import export_dataset

        summary = export_dataset(
            dataset,
            out,
            to=to,
            merge=merge,
            splits=_splits(split),
            weight=synthetic_weight,
            local_use=local_use,
            options=Options(shard_size, sop_class, bits, report, body_part, view),
            progress=terminal,
        )
        terminal.answer(summary.to_json(), _shown(summary))


def _splits(text: str) -> tuple[Split, ...]:
    from synth.data.splits import SPLITS

    named = [part.strip() for part in text.split(",") if part.strip()]
    unknown = sorted(set(named) - set(SPLITS))
    if unknown or not named:
        expected = "some of " + ",".join(SPLITS)
        raise UsageError("no such split", where="--split", got=text, expected=expected)
    return tuple(split for split in SPLITS if split in named)


def _check(to: str, *, shard: bool, dicom: tuple[object, ...]) -> None:
    """Refuse options that the format would not look at."""
    if shard and to not in ("parquet", "webdataset"):
        raise UsageError(f"{to} has no shards", where="--shard-size", fix="Leave it out.")
    if to != "dicom" and dicom != ("sc", "auto", False, "CHEST", None):
        raise UsageError(
            f"--sop-class, --bits, --sr, --body-part and --view are for dicom, not for {to}",
            fix="Leave them out, or use --to dicom.",
        )


def _shown(summary: ExportSummary) -> list[str]:
    splits = ", ".join(f"{count} {split}" for split, count in summary.splits.items())
    kept = f", {summary.kept} kept from a run that was stopped" if summary.kept else ""
    lines = [
        f"{summary.images} images ({splits}), {summary.synthetic} of them synthetic",
        f"{summary.written} files written{kept}: {summary.out}",
    ]
    if summary.terms:
        shared = "may" if summary.redistribution else "may not"
        sold = "" if summary.commercial else "; no commercial use"
        lines.append(f"the export {shared} be passed on under its terms{sold}: see README.md")
    return lines
