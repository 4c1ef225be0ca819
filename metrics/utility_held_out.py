"""Which real patients choose (early stopping, search) and which only judge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from metrics.arrays import group_names
from metrics.ingest import ImageSet, take
from metrics.utility_trainer import judged_columns
from synth.seeding import numpy_rng

_SHARE = 0.15  # of the training patients, where there is no validation split
_MOST = 1000  # validation images looked at; more would cost time and change no choice


@dataclass(frozen=True)
class Parts:
    """Real patients by what they are for; the three share none.

    Attributes:
        train: trained on.
        validation: for early stopping and the search; None: nothing is chosen.
        test: judged on.
        source: where the validation patients come from, in words.
    """

    train: ImageSet
    validation: ImageSet | None
    test: ImageSet
    source: str


def held_out(train: ImageSet, test: ImageSet, *, findings: tuple[str, ...], seed: int) -> Parts:
    """Take validation patients from the held-out images' validation split, else from training.

    Args:
        train: real training images.
        test: held-out real images; those of rows marked ``val`` choose where others are marked
            ``test``.
        findings: at least one must be seen present and absent among those who choose.
        seed: of the patients taken from training, and of the images looked at.
    """
    return split_off(
        train,
        test,
        able=lambda images: bool(judged_columns(images.columns(findings))),
        whole=lambda rest: _keeps(train.columns(findings), rest.columns(findings)),
        lacking="too few labelled training patients",
        seed=seed,
    )


def split_off(
    train: ImageSet,
    test: ImageSet,
    *,
    able: Callable[[ImageSet], bool],
    whole: Callable[[ImageSet], bool],
    lacking: str,
    seed: int,
) -> Parts:
    """The same by any rule.

    Args:
        train: as ``held_out``.
        test: as ``held_out``.
        able: whether some images can choose between trained networks.
        whole: whether the training images without those set aside still teach what all taught.
        lacking: what is too few where neither split can choose, in words.
        seed: as ``held_out``.
    """
    splits = [picture.row.split if picture.row else None for picture in test.pictures]
    val = [row for row, split in enumerate(splits) if split == "val"]
    rest = [row for row, split in enumerate(splits) if split == "test"]
    if val and rest and able(chosen := take(test, val)):
        return Parts(train, _some(chosen, seed), take(test, rest), "validation split")
    names = np.array(group_names(len(train), train.groups, side="train"))
    patients = np.unique(names)
    order = numpy_rng("metrics", "utility-validation", seed).permutation(len(patients))
    picked = np.isin(names, patients[order[: round(_SHARE * len(patients))]])
    inside = take(train, np.flatnonzero(picked).tolist())
    outside = take(train, np.flatnonzero(~picked).tolist())
    if not (able(inside) and whole(outside)):
        return Parts(train, None, test, f"none: {lacking}")
    return Parts(outside, _some(inside, seed), test, "15 % of the training patients")


def _keeps(before: np.ndarray, after: np.ndarray) -> bool:
    """Whether no finding lost one of its two values."""
    return judged_columns(before) == judged_columns(after)


def _some(images: ImageSet, seed: int) -> ImageSet:
    if len(images) <= _MOST:
        return images
    order = numpy_rng("metrics", "utility-looked-at", seed).permutation(len(images))
    return take(images, np.sort(order[:_MOST]).tolist())
