"""Who is who in an evaluation: reference, synthetic, training and earlier images."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from metrics.ingest import ImageSet, from_dataset, is_dataset, native_size, open_images, take
from metrics.records import Missing
from metrics.utility import refuse_leak
from synth.config.schema import MetricsSection
from synth.data.images_in import DECLARED_BY_FILES, Reading, is_tar
from synth.errors import SynthError
from synth.manifest import open_dataset
from synth.progress import Progress

NO_TRAINING = "no training images: give --train"
_DARK = 64  # of 255: no radiograph is as dark as that


@dataclass
class Work:
    """What the parts of one evaluation share and add to."""

    settings: MetricsSection
    progress: Progress
    missing: list[Missing] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    reading: Reading = DECLARED_BY_FILES

    def skip(self, what: str, why: str) -> None:
        """Note what is not computed, and why."""
        self.missing.append(Missing(what, why))

    def warn(self, text: str) -> None:
        """Add a warning, once where two roles have the same folder."""
        if text not in self.warnings:
            self.warnings.append(text)


@dataclass(frozen=True)
class Sets:
    """The images by role: ``real`` was never trained on, ``train`` was.

    ``untrained`` says why there are no training images; empty where there are.
    """

    real: ImageSet
    synthetic: ImageSet
    train: ImageSet | None
    before: ImageSet | None
    untrained: str = ""

    @property
    def roles(self) -> dict[str, ImageSet]:
        """The sets that there are, by role."""
        named = {
            "real": self.real,
            "synthetic": self.synthetic,
            "train": self.train,
            "before": self.before,
        }
        return {role: images for role, images in named.items() if images is not None}


def open_sets(
    real: Path, synthetic: Path, train: Path | None, before: Path | None, work: Work
) -> Sets:
    """Read the folders of an evaluation, once, at the size the real dataset states.

    Raises:
        SynthError: a folder is missing or empty, or a patient is in both training and reference.
    """
    size = native_size(real)
    trained, untrained = _training(train, real, size, work)
    sets = Sets(
        real=_held_out(real, size, work),
        synthetic=open_images(synthetic, size, reading=work.reading),
        train=trained,
        before=None if before is None else open_images(before, size, reading=work.reading),
        untrained=untrained,
    )
    for images in sets.roles.values():
        _warn_of_darkness(images, work)
        warn_of_refused(images, work)
    if sets.train is not None:
        refuse_leak(sets.train, sets.real)
    _warn_of_overlap(sets, work)
    _warn_of_mix(sets, work)
    return sets


def warn_of_refused(images: ImageSet, work: Work) -> None:
    """Say how many files of a folder could not be read."""
    if images.refused:
        work.warn(
            f"{len(images.refused)} unreadable files left out of {images.folder}, "
            f"first: {images.refused[0]}"
        )


def _warn_of_darkness(images: ImageSet, work: Work) -> None:
    """12 bits kept in 16 without a declared range come out nearly black."""
    brightest = int(images.image_u8.max())
    if brightest < _DARK:
        work.warn(
            f"the brightest pixel of {images.folder} is {brightest} of 255: if its files hold "
            "fewer bits than they have room for, declare the level that is white with --white"
        )


def _warn_of_overlap(sets: Sets, work: Work) -> None:
    """Synthetic images that are test images, or were made from a test report, flatter any score."""
    try:
        refuse_leak(sets.synthetic, sets.real)
    except SynthError as error:
        work.warnings.append(str(error))


def _held_out(folder: Path, size: int, work: Work) -> ImageSet:
    """Validation and test images; everything where nothing is held out."""
    if not is_dataset(folder):
        found = open_images(folder, size, reading=work.reading)
        return _of_splits(found, "val", "test") or found
    dataset = open_dataset(folder)
    rows = dataset.split("val", "test")
    if not rows:
        work.warnings.append("no held-out split: all real images are the reference")
    return from_dataset(dataset, rows or dataset.rows, size, work.reading)


def _of_splits(images: ImageSet, *splits: str) -> ImageSet | None:
    """The images whose row names one of the splits; None where there are none."""
    rows = [
        index
        for index, picture in enumerate(images.pictures)
        if picture.row is not None and picture.row.split in splits
    ]
    return take(images, rows) if rows else None


def _training(train: Path | None, real: Path, size: int, work: Work) -> tuple[ImageSet | None, str]:
    """The training images, or why there are none."""
    if train is None and not (is_dataset(real) or is_tar(real)):
        return None, NO_TRAINING
    folder = real if train is None else train
    same = folder.resolve() == real.resolve()
    found = _training_split(folder, size, work, same=same)
    if found is not None:
        return found, ""
    if not same:
        return None, f"no training split in {folder}"
    alone = "no training split beside a held-out one"
    if train is None:
        return None, f"{real} has {alone}: give --train"
    return None, (
        f"--train is the reference set itself, {real}, with {alone}: give the images that the "
        "generator was trained on"
    )


def _training_split(folder: Path, size: int, work: Work, *, same: bool) -> ImageSet | None:
    """The training split; of the reference's own folder only where something is held out."""
    if is_dataset(folder):
        dataset = open_dataset(folder)
        rows = dataset.split("train")
        if not rows or (same and not dataset.split("val", "test")):
            return None
        return from_dataset(dataset, rows, size, work.reading)
    found = open_images(folder, size, reading=work.reading)
    if not same:
        return _of_splits(found, "train") or found
    train, held = _of_splits(found, "train"), _of_splits(found, "val", "test")
    return train if held is not None else None


def _warn_of_mix(sets: Sets, work: Work) -> None:
    """A balanced synthetic set differs from the real one on purpose; distances count that too."""
    findings = [name for name in sets.real.findings if name in sets.synthetic.findings]
    if not findings:
        return
    gaps = np.abs(
        (sets.real.columns(findings) == 1).mean(axis=0)
        - (sets.synthetic.columns(findings) == 1).mean(axis=0)
    )
    widest = int(gaps.argmax())
    if gaps[widest] > 0.05:
        work.warnings.append(
            f"the synthetic set has another mix of findings than the real one (widest: "
            f"{findings[widest]}, {gaps[widest]:.0%} apart); distances and coverage include that"
        )
