"""Checks on feature arrays, and the blocks that jackknifes leave out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synth.errors import SynthError
from synth.seeding import numpy_rng

Floats = NDArray[np.float64]
Matrix = NDArray[np.floating]  # float32 or float64
Precision = TypeVar("Precision", bound=np.floating)  # what comes in goes out
Groups = Sequence[str] | None  # one name a row: its patient; None: every row its own
Sides = tuple[str, str]  # what two arrays are called in errors
SLAB = 2048  # rows that are worked on at once


def feature_pair(
    first: ArrayLike, second: ArrayLike, *, least: int = 2, sides: Sides = ("real", "synthetic")
) -> tuple[Floats, Floats]:
    """Both sides as float64 [n, d] and [m, d], checked; ``sides`` are their names in errors.

    Raises:
        SynthError: not two-dimensional, different dimensions, NaN or infinite values, or fewer than
            ``least`` rows.
    """
    one, two = matrix_pair(first, second, least=least, sides=sides)
    return np.asarray(one, dtype=np.float64), np.asarray(two, dtype=np.float64)


def matrix_pair(
    first: ArrayLike, second: ArrayLike, *, least: int = 2, sides: Sides = ("real", "synthetic")
) -> tuple[Matrix, Matrix]:
    """Both sides as they are in memory or on disk, float32 or float64, checked and not copied.

    Raises:
        SynthError: as ``feature_pair``.
    """
    one, two = matrix(sides[0], first, least), matrix(sides[1], second, least)
    if one.shape[1] != two.shape[1]:
        raise SynthError(
            "features have different dimensions",
            where=" and ".join(sides),
            got=f"{one.shape[1]} and {two.shape[1]}",
            fix="Take both from the same extractor.",
        )
    return one, two


def features(side: str, values: ArrayLike, least: int = 2) -> Floats:
    """One side as float64 [n, d], checked; a torch tensor may lie on any device, in any precision.

    Raises:
        SynthError: as ``feature_pair``.
    """
    return np.asarray(matrix(side, values, least), dtype=np.float64)


def matrix(side: str, values: ArrayLike, least: int = 2) -> Matrix:
    """One side [n, d], checked a slab at a time: float32 and mapped files stay what they are.

    Raises:
        SynthError: as ``feature_pair``.
    """
    detach = getattr(values, "detach", None)  # a tensor, recognised without importing torch
    if detach is not None:
        tensor = detach().cpu()
        values = (tensor if str(tensor.dtype) == "torch.float32" else tensor.double()).numpy()
    try:
        array = np.asarray(values)
        if array.dtype not in (np.float32, np.float64):
            array = array.astype(np.float32 if array.dtype == np.float16 else np.float64)
    except (TypeError, ValueError) as error:  # rows of different length, text
        raise SynthError("features are not numbers in a matrix", where=side, got=error) from None
    if array.ndim != 2 or array.shape[1] == 0:
        raise SynthError(
            "features must be a matrix", where=side, got=array.shape, expected="[n, d]"
        )
    if len(array) < least:
        raise SynthError("too few images", where=side, got=len(array), expected=f"at least {least}")
    bad = sum(int((~np.isfinite(array[rows])).any(axis=1).sum()) for rows in slabs(len(array)))
    if bad:
        raise SynthError("features hold NaN or infinite values", where=side, got=f"{bad} such rows")
    return array


def slabs(count: int, size: int = SLAB) -> Iterator[slice]:
    """Consecutive rows, ``size`` at a time: what is done to them needs no copy of all."""
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def block_count(count: int, groups: Groups, *, most: int) -> int:
    """How many blocks rows can fill: no more than there are groups, since groups stay whole."""
    return min(most, count if groups is None else len(set(groups)))


def blocks(count: int, groups: Groups, *, number: int, seed: int, side: str) -> NDArray[np.intp]:
    """Assign rows to blocks of near-equal size, rows of one group to the same block.

    Args:
        count: rows.
        groups: the group (patient) of each row; None for independent rows.
        number: how many blocks.
        seed: fixes the assignment.
        side: keeps the two sides' assignments independent.

    Returns:
        int [count], the block of each row, 0 … number - 1.

    Raises:
        SynthError: ``groups`` does not name one group a row.
    """
    names = group_names(count, groups, side=side)
    unique, inverse, sizes = np.unique(names, return_inverse=True, return_counts=True)
    order = numpy_rng("metrics", "blocks", side, seed).permutation(len(unique))
    order = order[np.argsort(-sizes[order], kind="stable")]  # largest first into the emptiest
    filled = np.zeros(number, dtype=np.int64)
    block_of = np.empty(len(unique), dtype=np.intp)
    for group in order:
        block = int(np.argmin(filled))
        block_of[group] = block
        filled[block] += sizes[group]
    return block_of[inverse]


def group_names(count: int, groups: Groups, *, side: str) -> list[str]:
    """The group of each row; every row its own where none are given.

    Raises:
        SynthError: ``groups`` does not name one group a row.
    """
    names = [str(index) for index in range(count)] if groups is None else list(groups)
    if len(names) != count:
        raise SynthError("one group a row is needed", where=side, got=len(names), expected=count)
    return names


def halves(count: int, groups: Groups, *, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row indices of two disjoint halves that share no group: the real-vs-real control."""
    half = blocks(count, groups, number=2, seed=seed, side="halves")
    one, two = np.flatnonzero(half == 0), np.flatnonzero(half == 1)
    size = min(len(one), len(two))
    return one[:size], two[:size]


def equal_sizes(
    real: NDArray[Precision],
    synthetic: NDArray[Precision],
    real_groups: Groups,
    synthetic_groups: Groups,
    *,
    seed: int,
) -> tuple[NDArray[Precision], NDArray[Precision], Groups, Groups]:
    """Both sides at the smaller N, the larger one subsampled: some metrics depend on N."""
    size = min(len(real), len(synthetic))
    one, names = at_most(size, real, real_groups, seed=seed, side="real")
    two, other = at_most(size, synthetic, synthetic_groups, seed=seed, side="synthetic")
    return one, two, names, other


def at_most(
    most: int, rows: NDArray[Precision], groups: Groups, *, seed: int, side: str
) -> tuple[NDArray[Precision], Groups]:
    """The rows and their groups, or that many of them at random, in their order."""
    if len(rows) <= most:
        return rows, groups
    kept = np.sort(numpy_rng("metrics", "equal-n", side, seed).permutation(len(rows))[:most])
    return rows[kept], picked(groups, kept)


def picked(groups: Groups, rows: NDArray[np.intp]) -> Groups:
    """The groups of some rows."""
    return None if groups is None else [groups[row] for row in rows]
