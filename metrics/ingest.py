"""Images in memory, from a prepared or synthetic dataset, a folder, or WebDataset archives.

Pixels are kept: 16-bit files and DICOM are mapped to grey before they are made 8-bit, images are
padded to a square and never squashed, and a file that cannot be read is an error or counted, never
replaced by a black image.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synth.data.images_in import (
    DECLARED_BY_FILES,
    Picture,
    Reading,
    dataset_pictures,
    find_pictures,
)
from synth.errors import SynthError
from synth.images import fit_square, grey_to_u8
from synth.manifest import NO_FINDING, Dataset, Row, open_dataset, read_info

SUBGROUPS = ("sex", "age_band", "view", "source", "site")  # what images are grouped by
DEFAULT_SIZE = 256  # pixels, where no dataset states its own size


@dataclass(frozen=True)
class ImageSet:
    """Images of one role, in file order.

    Attributes:
        folder: where they lie.
        names: file names relative to the folder.
        ids: sample ids, or the names where there is no table.
        image_u8: uint8 [N, 1, S, S].
        groups: the patient of each image; None where unknown or where every image stands alone.
        findings: what the columns of ``labels`` are.
        labels: float64 [N, findings]: 1 present, 0 absent, NaN uncertain or not stated.
        refused: files that could not be read, with the reason.
        sources: sample ids of the real rows whose texts and labels a synthetic set was made from.
        pictures: the files behind the images, for extractors that read more than 8 bits.
        reading: how the files became grey levels.
        subgroups: for each of ``SUBGROUPS`` that a row states, the value of each image or None. A
            synthetic image's are those it was conditioned on.
    """

    folder: Path
    names: tuple[str, ...]
    ids: tuple[str, ...]
    image_u8: Tensor
    groups: tuple[str, ...] | None
    findings: tuple[str, ...]
    labels: NDArray[np.float64]
    refused: tuple[str, ...] = ()
    sources: frozenset[str] = frozenset()
    pictures: tuple[Picture, ...] = ()
    reading: Reading = DECLARED_BY_FILES
    subgroups: Mapping[str, tuple[str | None, ...]] = field(default_factory=dict)

    @property
    def digests(self) -> frozenset[bytes]:
        """A hash of each image's grey levels: equal images are found whatever their file name."""
        return frozenset(
            hashlib.blake2b(image.numpy().tobytes(), digest_size=16).digest()
            for image in self.image_u8
        )

    def __len__(self) -> int:
        return len(self.names)

    def columns(self, findings: Sequence[str]) -> NDArray[np.float64]:
        """Labels of the named findings, [N, len(findings)]; NaN for those the set does not have."""
        missing = np.full(len(self), np.nan)
        place = {name: index for index, name in enumerate(self.findings)}
        return np.stack(
            [self.labels[:, place[name]] if name in place else missing for name in findings], axis=1
        )


def is_dataset(folder: Path) -> bool:
    """Whether the folder is a prepared or synthetic dataset rather than plain images."""
    return (folder / "metadata.jsonl").is_file()


def from_dataset(
    dataset: Dataset, rows: Sequence[Row], size: int, reading: Reading = DECLARED_BY_FILES
) -> ImageSet:
    """The images of some rows of a dataset.

    Raises:
        SynthError: a file is missing or damaged.
    """
    findings = tuple(dataset.info.findings) or dataset.findings
    pictures = dataset_pictures(dataset, rows)
    stacked = [_read(picture, size, reading) for picture in pictures]
    return _labelled(dataset.folder, rows, findings, _stack(stacked, size), pictures, reading)


def from_folder(folder: Path, size: int, reading: Reading = DECLARED_BY_FILES) -> ImageSet:
    """Every image below a plain folder or in WebDataset archives; unreadable ones are counted.

    Archives keep patients and labels where every image has a JSON beside it.

    Raises:
        SynthError: nothing is there, or it holds no readable image.
    """
    found, images, refused = [], [], []
    for picture in find_pictures(folder):
        try:
            images.append(_read(picture, size, reading))
            found.append(picture)
        except SynthError as error:
            refused.append(f"{picture.name}: {error.problem}")
    if not images:
        why = f"{len(refused)} unreadable files, first {refused[0]}"
        raise SynthError("no images to score", where=folder, got=why, expected="PNG, JPEG or DICOM")
    pixels, pictures = _stack(images, size), tuple(found)
    rows = [picture.row for picture in pictures if picture.row is not None]
    if len(rows) == len(pictures):
        stated = {name for row in rows for name, label in row.labels.items() if label is not None}
        findings = tuple(sorted(stated - {NO_FINDING}))
        labelled = _labelled(folder, rows, findings, pixels, pictures, reading)
        return replace(labelled, refused=tuple(refused))
    names = tuple(picture.name for picture in pictures)
    return ImageSet(
        folder=folder,
        names=names,
        ids=names,
        image_u8=pixels,
        groups=None,
        findings=(),
        labels=np.empty((len(names), 0)),
        refused=tuple(refused),
        pictures=pictures,
        reading=reading,
    )


def open_images(
    folder: Path, size: int, *, splits: Sequence[str] = (), reading: Reading = DECLARED_BY_FILES
) -> ImageSet:
    """A dataset's images (of the named splits, all when none is named), a folder's or archives'."""
    if not is_dataset(folder):
        return from_folder(folder, size, reading)
    dataset = open_dataset(folder)
    rows = dataset.split(*splits) if splits else dataset.rows
    return from_dataset(dataset, rows, size, reading)


def native_size(folder: Path) -> int:
    """The image size that a dataset or its export states, else ``DEFAULT_SIZE``."""
    return read_info(folder).size or DEFAULT_SIZE


def take(images: ImageSet, rows: Sequence[int]) -> ImageSet:
    """Some images of a set, in the order of ``rows``."""
    index = np.asarray(rows, dtype=np.intp)
    picked = [int(row) for row in index]
    return replace(
        images,
        names=tuple(images.names[row] for row in picked),
        ids=tuple(images.ids[row] for row in picked),
        image_u8=images.image_u8[torch.from_numpy(index)],
        groups=None if images.groups is None else tuple(images.groups[row] for row in picked),
        labels=images.labels[index],
        pictures=tuple(images.pictures[row] for row in picked) if images.pictures else (),
        subgroups={
            name: tuple(values[row] for row in picked) for name, values in images.subgroups.items()
        },
    )


def _labelled(
    folder: Path,
    rows: Sequence[Row],
    findings: tuple[str, ...],
    pixels: Tensor,
    pictures: tuple[Picture, ...],
    reading: Reading,
) -> ImageSet:
    patients = [row.patient_id or row.sample_id for row in rows]
    return ImageSet(
        folder=folder,
        names=tuple(row.file_name for row in rows),
        ids=tuple(row.sample_id for row in rows),
        image_u8=pixels,
        groups=None if all(row.synthetic for row in rows) else tuple(patients),
        findings=findings,
        labels=_label_matrix(rows, findings),
        sources=frozenset(
            str(name) for row in rows if (name := (row.model_extra or {}).get("source_sample_id"))
        ),
        pictures=pictures,
        reading=reading,
        subgroups=_subgroups(rows),
    )


def _subgroups(rows: Sequence[Row]) -> dict[str, tuple[str | None, ...]]:
    found = {name: tuple(_stated(row, name) for row in rows) for name in SUBGROUPS}
    return {name: values for name, values in found.items() if any(values)}


def _stated(row: Row, name: str) -> str | None:
    """A column of the row, or of what its image was conditioned on."""
    if row.synthetic and name == "source":
        return None  # the row it was made from, not where it comes from
    value = getattr(row, name, None)  # a further column too: rows keep what they do not know
    if not value:
        conditions = (row.model_extra or {}).get("conditions")
        value = conditions.get(name) if isinstance(conditions, dict) else None
    return str(value) if value else None


def _read(picture: Picture, size: int, reading: Reading) -> NDArray[np.uint8]:
    return grey_to_u8(fit_square(picture.grey(reading), size))


def _stack(images: Sequence[NDArray[np.uint8]], size: int) -> Tensor:
    if not images:
        return torch.empty((0, 1, size, size), dtype=torch.uint8)
    return torch.from_numpy(np.stack(images))[:, None]


def _label_matrix(rows: Sequence[Row], findings: Sequence[str]) -> NDArray[np.float64]:
    values = [
        [float(label) if (label := row.labels.get(name)) in (0, 1) else np.nan for name in findings]
        for row in rows
    ]
    return np.array(values, dtype=np.float64).reshape(len(rows), len(findings))
