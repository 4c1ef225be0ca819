"""What unseen real images score in the place of synthetic ones, where training images are involved.

A metric of copying compares three sets: what was trained on, unseen images, and synthetic ones. Its
floor puts one half of the unseen images where the synthetic ones stand and leaves the other half as
the unseen ones. The halves share no patient. Beside it stand as many synthetic images in the same
place, against the same half.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from metrics.distances import Features
from metrics.floor import floor_rows
from metrics.memorization import memorization
from metrics.nearest_neighbour import nearest_neighbour_auc
from metrics.records import Floor, Record
from synth.errors import SynthError


def held_out_floors(
    measure: Callable[[Features, Features], Mapping[str, float | None]],
    held_out: Features,
    synthetic: Features,
    *,
    seed: int,
) -> dict[str, Floor]:
    """Floors by the metrics' names.

    Args:
        measure: of (held-out, synthetic), the values of one or more metrics.
        held_out: unseen real images.
        synthetic: images to score.
        seed: of the halves and of the synthetic rows beside them.

    Returns:
        None of a metric that has no value there; empty where a half would hold fewer than ten
        images, or too few for the metrics.
    """
    rows = floor_rows(len(held_out), len(synthetic), held_out.groups, seed=seed)
    if rows is None:
        return {}
    first, second, made = rows
    unseen = held_out.take(second)
    try:
        values = measure(unseen, held_out.take(first))
        same = measure(unseen, synthetic.take(made))
    except SynthError:  # too few rows for this metric: no floor, the number stands
        return {}
    return {
        name: Floor(value, len(first), same[name])
        for name, value in values.items()
        if value is not None
    }


def memorization_floors(
    *, train: Features, held_out: Features, synthetic: Features, seed: int
) -> dict[str, Floor]:
    """Floors of ``auc``, ``share_closer`` and ``nn_auc``, the numbers of ``memorization``.

    Args:
        train: features of the training images.
        held_out: of unseen real images.
        synthetic: of the images to score.
        seed: of halves, subsamples and blocks.
    """

    def measure(unseen: Features, made: Features) -> dict[str, float | None]:
        found = memorization(
            train=train.values,
            held_out=unseen.values,
            synthetic=made.values,
            held_out_groups=unseen.groups,
            synthetic_groups=made.groups,
        )
        return {
            "auc": found.auc.value,
            "share_closer": found.closer.estimate.value,
            "nn_auc": nearer_to_training(train, unseen, made, seed=seed).value,
        }

    return held_out_floors(measure, held_out, synthetic, seed=seed)


def nearer_to_training(
    train: Features, held_out: Features, synthetic: Features, *, seed: int
) -> Record:
    """``nn_auc`` of features, by patients; its interval stands for a p-value."""
    return nearest_neighbour_auc(
        train=train.values,
        heldout=held_out.values,
        synthetic=synthetic.values,
        train_groups=train.groups,
        heldout_groups=held_out.groups,
        permutations=0,
        seed=seed,
    )
