"""What is exported: the images of one dataset, or of a synthetic and a real one together."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from synth.data.export.terms import Terms, agree
from synth.data.splits import SPLITS
from synth.errors import SynthError, UsageError
from synth.manifest import NO_FINDING, Dataset, DatasetInfo, Row, Split, open_dataset, sha256_text

EQUAL = "equal"


@dataclass(frozen=True)
class Item:
    """One image to export.

    Attributes:
        row: as the manifest has it.
        path: where the image lies.
        dataset: name of the dataset it comes from.
        info: facts about that dataset.
        weight: how much it counts in training; a real image counts 1.
    """

    row: Row
    path: Path
    dataset: str
    info: DatasetInfo
    weight: float = 1.0

    @cached_property
    def key(self) -> str:
        """The sample id as a file name without dots or separators, unique as the id is."""
        plain = re.sub(r"[^A-Za-z0-9_-]", "_", self.row.sample_id)
        if plain == self.row.sample_id:
            return plain
        return f"{plain[:80]}-{sha256_text(self.row.sample_id)[:8]}"

    @property
    def suffix(self) -> str:
        """``.png``: how the file's name ends."""
        return PurePosixPath(self.row.file_name).suffix.lower()

    def read(self) -> bytes:
        """The file, compared with the hash in its row.

        Raises:
            SynthError: it is missing or was changed.
        """
        fix = f"Run `synth verify {self.path.parents[2]}`." if len(self.path.parents) > 2 else ""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            raise SynthError("image file is missing", where=self.path, fix=fix) from None
        if self.row.sha256 and hashlib.sha256(content).hexdigest() != self.row.sha256:
            raise SynthError("the image differs from the hash in its row", where=self.path, fix=fix)
        return content


@dataclass(frozen=True)
class Collection:
    """All images of an export, in the order in which they are written.

    Attributes:
        name: of the export.
        items: by split, real before synthetic.
        datasets: those that the images come from.
        terms: that bind the export.
    """

    name: str
    items: tuple[Item, ...]
    datasets: tuple[Dataset, ...]
    terms: Terms

    def split(self, name: Split) -> tuple[Item, ...]:
        """The images of one split."""
        return tuple(item for item in self.items if item.row.split == name)

    @cached_property
    def splits(self) -> dict[Split, tuple[Item, ...]]:
        """The splits that have images, in order."""
        found = {name: self.split(name) for name in SPLITS}
        return {name: items for name, items in found.items() if items}

    @cached_property
    def findings(self) -> tuple[str, ...]:
        """Every label name, ``no_finding`` last."""
        names = {name for item in self.items for name in item.row.labels}
        return tuple(sorted(names, key=lambda name: (name == NO_FINDING, name)))

    @property
    def synthetic(self) -> int:
        """How many images are synthetic."""
        return sum(item.row.synthetic for item in self.items)

    @property
    def phantom(self) -> bool:
        """Whether no image has to do with a person."""
        return all(dataset.info.phantom for dataset in self.datasets)


def collect(
    folder: Path,
    *,
    name: str,
    merge: Path | None = None,
    splits: Sequence[Split] = SPLITS,
    weight: float | str = 1.0,
    local_use: bool = False,
) -> Collection:
    """Read what is to be exported.

    Args:
        folder: a prepared or synthetic dataset.
        name: of the export.
        merge: another dataset whose images come along.
        splits: those to export.
        weight: of a synthetic image; ``equal`` lets the synthetic training images together weigh as
            much as the real ones.
        local_use: the export stays with whoever accepted the terms.

    Raises:
        SynthError: a dataset is unreadable or unfinished, both have an image of the same name, or
            held-out data would leak into training.
        UsageError: the terms forbid it, no image is left, or the weight is impossible.
    """
    datasets = tuple(open_dataset(path) for path in (folder, merge) if path is not None)
    if merge is not None and folder.resolve() == merge.resolve():
        raise UsageError("a dataset cannot be merged with itself", where=merge)
    _check_finished(datasets)
    terms = agree([dataset.info for dataset in datasets], local_use=local_use)
    _check_names(datasets)
    _check_leaks(datasets)
    rows = [
        (row, dataset)
        for split in SPLITS
        if split in splits
        for dataset in sorted(datasets, key=lambda dataset: dataset.info.synthetic)
        for row in dataset.split(split)
    ]
    if not rows:
        got = ", ".join(splits)
        raise UsageError("the dataset has no image in these splits", where=folder, got=got)
    synthetic = _weight(weight, [row for row, _ in rows if row.split == "train"])
    items = tuple(
        Item(
            row,
            _inside(dataset, row),
            dataset.info.name,
            dataset.info,
            synthetic if row.synthetic else 1.0,
        )
        for row, dataset in rows
    )
    return Collection(name, items, datasets, terms)


def _weight(weight: float | str, training: Sequence[Row]) -> float:
    """The weight of a synthetic image."""
    made = sum(row.synthetic for row in training)
    real = len(training) - made
    if weight == EQUAL:
        if not made or not real:
            raise UsageError(
                "equal weights need real and synthetic training images",
                where="--synthetic-weight",
                got=f"{real} real, {made} synthetic",
                fix="Add --merge REAL.",
            )
        return real / made
    try:
        value = float(weight)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        expected = "a number from 0, or `equal`"
        raise UsageError(
            "no such weight", where="--synthetic-weight", got=weight, expected=expected
        )
    return value


def _inside(dataset: Dataset, row: Row) -> Path:
    """The path of an image, which a manifest from a stranger must not point elsewhere."""
    name = PurePosixPath(row.file_name)
    if name.is_absolute() or ".." in name.parts:
        raise SynthError("an image lies outside the dataset", where=dataset.folder, got=name)
    return dataset.path(row)


def _check_finished(datasets: Sequence[Dataset]) -> None:
    for dataset in datasets:
        if (dataset.info.model_extra or {}).get("complete") is False:
            raise SynthError(
                "the dataset is not finished",
                where=dataset.folder,
                fix="Repeat the command that makes it: it continues where it stopped.",
            )


def _check_names(datasets: Sequence[Dataset]) -> None:
    seen: dict[str, Dataset] = {}
    for dataset in datasets:
        for row in dataset.rows:
            first = seen.setdefault(row.sample_id, dataset)
            if first is not dataset:
                raise SynthError(
                    "both datasets have an image of this name",
                    where=dataset.folder,
                    got=row.sample_id,
                    fix="Export them one by one.",
                )
    if len(seen) < sum(len(dataset.rows) for dataset in datasets):
        raise SynthError(
            "two rows have the same sample_id",
            where=datasets[0].folder,
            fix=f"Run `synth verify {datasets[0].folder}`.",
        )


def _check_leaks(datasets: Sequence[Dataset]) -> None:
    """No patient in two splits, and no synthetic training image made from a held-out text."""
    rows = [row for dataset in datasets for row in dataset.rows]
    patients: dict[str, Split] = {}
    for row in rows:
        if row.patient_id and patients.setdefault(row.patient_id, row.split) != row.split:
            raise SynthError(
                "a patient is in two splits",
                where=" + ".join(str(dataset.folder) for dataset in datasets),
                got=f"{row.patient_id} in {patients[row.patient_id]} and {row.split}",
                fix="Prepare the dataset again; an export does not move patients.",
            )
    held_out = {row.sample_id: row.split for row in rows if row.split != "train"}
    for row in rows:
        origin = (row.model_extra or {}).get("source_sample_id")
        if row.synthetic and row.split == "train" and origin in held_out:
            raise SynthError(
                "a synthetic training image was made from the text of a held-out image",
                where=row.sample_id,
                got=f"{origin} in {held_out[str(origin)]}",
                fix="Merge with the dataset that the model was trained on, in its own splits.",
            )
