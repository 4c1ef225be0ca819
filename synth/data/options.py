"""The options a dataset was begun with, and the folder it may be written to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from synth.data.splits import check_fractions
from synth.errors import SynthError, UsageError
from synth.manifest import DatasetInfo, write_json

MAKER = "synth prepare"


class PrepareOptions(BaseModel):
    """All that decides the bytes of a dataset; kept in ``dataset.json`` under ``preprocessing``."""

    model_config = ConfigDict(frozen=True)

    # Options that a dataset of an earlier version lacks have a default: what it was made with.
    size: int
    seed: int
    splits: tuple[float, float, float]
    stratify: bool
    voi: str
    policy: tuple[str, ...]
    drop_comparisons: bool
    require_report: bool
    labeler: str
    pseudonyms: str  # a check value of the pseudonym key, not the key
    preset: str = "dicom-voi"
    views: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    label_mode: str = "default"
    keep_raw_text: bool = False
    near_duplicates: bool = True

    def as_json(self) -> dict[str, Any]:
        """As they stand in ``dataset.json``."""
        return self.model_dump(mode="json")


def claim_folder(source: Path, out: Path, options: PrepareOptions) -> None:
    """Make sure that ``out`` may be written, and mark it as this dataset.

    Raises:
        UsageError: as :func:`check_folder`.
        SynthError: the same.
    """
    if check_folder(source, out, options) is not None:
        return
    out.mkdir(parents=True, exist_ok=True)
    fresh = DatasetInfo(name=out.name, size=options.size, preprocessing=options.as_json())
    extra = {"made_by": MAKER, "complete": False}
    write_json(out / "dataset.json", {**fresh.model_dump(mode="json"), **extra})


def check_folder(source: Path, out: Path, options: PrepareOptions) -> DatasetInfo | None:
    """Whether ``out`` may be written; changes nothing.

    Returns:
        The facts of the dataset that these options began there; ``None`` if there is none yet.

    Raises:
        UsageError: overlapping folders, bad sizes or fractions, or other options than it was begun
            with.
        SynthError: ``out`` holds something else.
    """
    if not 8 <= options.size <= 8192:
        raise UsageError("the image size must lie between 8 and 8192 pixels", got=options.size)
    check_fractions(options.splits)
    inside, outside = out.resolve(), source.resolve()
    if inside == outside or outside in inside.parents or inside in outside.parents:
        raise UsageError(
            "the dataset must not lie inside the source, nor the source inside it",
            where=out,
            fix="Choose a folder elsewhere.",
        )
    info = _existing(out)
    changed = _changed(info, options) if info else []
    if changed:
        raise UsageError(
            "the dataset was begun with other options",
            where=out,
            got=", ".join(changed),
            fix="Use the same options, or a new folder.",
        )
    return info


def _changed(info: DatasetInfo, options: PrepareOptions) -> list[str]:
    """Options that differ from those in ``dataset.json``, in words."""
    fields = PrepareOptions.model_fields
    optional = {name: field.default for name, field in fields.items() if not field.is_required()}
    defaults = options.model_copy(update=optional).as_json()
    earlier = {name: defaults[name] for name in optional} | info.preprocessing
    return [
        "another key of the pseudonyms"  # its check value says nothing to a person
        if name == "pseudonyms"
        else f"{name} {earlier.get(name)!r} -> {value!r}"
        for name, value in options.as_json().items()
        if earlier.get(name) != value
    ]


def _existing(out: Path) -> DatasetInfo | None:
    """The dataset that ``out`` holds; ``None`` if it is free."""
    if not out.exists():
        return None
    if not out.is_dir():
        raise SynthError("is a file, not a folder", where=out)
    if not any(path for path in out.iterdir() if not path.match(".dataset.json.*.tmp")):
        # empty, but for what a run left that was killed, or found no space, while it claimed it
        return None
    path = out / "dataset.json"
    try:
        info = DatasetInfo.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        info = None
    if info is None or (info.model_extra or {}).get("made_by") != MAKER:
        raise SynthError(
            "the folder is not empty and is not a dataset of `synth prepare`",
            where=out,
            fix="Choose a new folder; nothing was changed.",
        )
    return info
