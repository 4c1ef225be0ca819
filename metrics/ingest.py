"""Folders to images in memory: a prepared or synthetic dataset, or any folder of images.

Pixels are kept: 16-bit files and DICOM are mapped to grey before they are made 8-bit, images are
padded to a square and never squashed, and a file that cannot be read is an error or counted, never
replaced by a black image.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synth.dicom import read_grey
from synth.errors import SynthError
from synth.images import fit_square, grey_to_u8, load_grey
from synth.manifest import Dataset, Row, open_dataset

_RASTER = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"}
_DICOM = {".dcm", ".dicom"}
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


def from_dataset(dataset: Dataset, rows: Sequence[Row], size: int) -> ImageSet:
    """The images of some rows of a dataset.

    Raises:
        SynthError: a file is missing or damaged.
    """
    findings = tuple(dataset.info.findings) or dataset.findings
    stacked = [_read(dataset.path(row), size) for row in rows]
    patients = [row.patient_id or row.sample_id for row in rows]
    return ImageSet(
        folder=dataset.folder,
        names=tuple(row.file_name for row in rows),
        ids=tuple(row.sample_id for row in rows),
        image_u8=_stack(stacked, size),
        groups=None if all(row.synthetic for row in rows) else tuple(patients),
        findings=findings,
        labels=_label_matrix(rows, findings),
        sources=frozenset(
            str(name) for row in rows if (name := (row.model_extra or {}).get("source_sample_id"))
        ),
    )


def from_folder(folder: Path, size: int) -> ImageSet:
    """Every image file below a plain folder, sorted by name; unreadable ones are counted.

    Raises:
        SynthError: the folder is missing or holds no readable image.
    """
    if not folder.is_dir():
        raise SynthError("no such folder", where=folder)
    names, images, refused = [], [], []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in _RASTER | _DICOM or path.name.startswith("."):
            continue
        name = path.relative_to(folder).as_posix()
        try:
            images.append(_read(path, size))
            names.append(name)
        except SynthError as error:
            refused.append(f"{name}: {error.problem}")
    if not images:
        why = f"{len(refused)} unreadable files" if refused else "no image files"
        raise SynthError("no images to score", where=folder, got=why, expected="PNG, JPEG or DICOM")
    empty = np.empty((len(names), 0))
    return ImageSet(
        folder, tuple(names), tuple(names), _stack(images, size), None, (), empty, tuple(refused)
    )


def open_images(folder: Path, size: int, *, splits: Sequence[str] = ()) -> ImageSet:
    """A dataset's images (of the named splits, all when none is named) or a plain folder's."""
    if not is_dataset(folder):
        return from_folder(folder, size)
    dataset = open_dataset(folder)
    rows = dataset.split(*splits) if splits else dataset.rows
    return from_dataset(dataset, rows, size)


def native_size(folder: Path) -> int:
    """The image size a dataset states, else ``DEFAULT_SIZE``."""
    return (open_dataset(folder).info.size or DEFAULT_SIZE) if is_dataset(folder) else DEFAULT_SIZE


def _read(path: Path, size: int) -> NDArray[np.uint8]:
    grey = read_grey(path).grey if path.suffix.lower() in _DICOM else load_grey(path)
    return grey_to_u8(fit_square(grey, size))


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
