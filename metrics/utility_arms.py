"""The arms of downstream utility: what each classifier is trained on, and by whom.

Every arm takes the same number of optimiser steps. Equal epochs would give the larger arm more
steps and credit them to the synthetic images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metrics.alteration import Alteration, alteration, copied_rows
from metrics.arrays import Floats
from synth.errors import SynthError
from synth.seeding import numpy_rng

REAL = "real"
MIXED = "real+synthetic"  # every synthetic image
SYNTHETIC = "synthetic"
PRETRAINED = "synthetic-then-real"
AUGMENTED = "real+augmented"  # as many altered copies of real images as there are synthetic ones


class Fitted(Protocol):
    """A classifier after training."""

    def probabilities(self, image_u8: Tensor) -> NDArray[np.float32]:
        """uint8 [N, 1, S, S] -> float32 [N, findings] in [0, 1]."""
        ...


class Trainer(Protocol):
    """Trains classifiers of one architecture; the same arguments give the same classifier."""

    def fit(
        self,
        images_u8: Tensor,
        labels: Floats,
        *,
        validation: tuple[Tensor, Floats] | None,
        findings: Sequence[str],
        steps: int,
        batch: int,
        learning_rate: float | None,
        seed: int,
        start: object | None = None,
    ) -> Fitted:
        """Train for exactly ``steps`` optimiser steps.

        Args:
            images_u8: uint8 [N, 1, S, S].
            labels: float64 [N, findings], 1, 0 or NaN; NaN is left out of the loss.
            validation: images and labels of real patients; the weights that score the highest
                macro AUROC on them, among several looks, are kept. None keeps the last.
            findings: the columns' names.
            steps: optimiser updates.
            batch: images an update.
            learning_rate: of the peak; None: the architecture's own.
            seed: of initial weights, order and augmentation.
            start: what an earlier ``fit`` of this trainer returned, to go on from.
        """
        ...


class Pool(Protocol):
    """Training images with what is to be learnt of each: labels, a text, a mask."""

    def __len__(self) -> int: ...

    def __add__(self, other: Self, /) -> Self: ...

    def rows(self, rows: NDArray[np.intp]) -> Self:
        """Some of them."""
        ...

    def altered(self, change: Alteration) -> Self:
        """All of them, each image changed and what is to be learnt of it changed with it."""
        ...


P = TypeVar("P", bound=Pool)


@dataclass(frozen=True)
class Labelled:
    """uint8 [N, 1, S, S] images and their float64 [N, findings] labels (1, 0, NaN)."""

    images: Tensor
    labels: Floats

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, rows: NDArray[np.intp]) -> Labelled:
        """Some of them."""
        return Labelled(self.images[torch.from_numpy(rows)], self.labels[rows])

    def altered(self, change: Alteration) -> Labelled:
        """Changed images, labels kept."""
        return Labelled(change.image(self.images), self.labels)

    def __add__(self, other: Labelled) -> Labelled:
        return Labelled(
            torch.cat([self.images, other.images]), np.concatenate([self.labels, other.labels])
        )


@dataclass(frozen=True)
class Arm:
    """One way to use the images.

    Attributes:
        name: one of the names above, or ``real+<alpha>x synthetic``.
        alpha: synthetic images as a share of the real ones, where it is part of them.
    """

    name: str
    alpha: float | None = None


@dataclass(frozen=True)
class Stage(Generic[P]):
    """Images to train on for some steps."""

    data: P
    steps: int


def arms_of(
    names: Sequence[str], alphas: Sequence[float], *, n_real: int, n_synthetic: int
) -> tuple[tuple[Arm, ...], dict[str, str]]:
    """The arms to train, ``real`` first, and those left out with the reason.

    Synthetic images are never repeated to reach a share: the same image twice is no new one.
    """
    left_out, shares = {}, []
    for alpha in sorted(set(alphas)):
        arm = Arm(f"real+{alpha:g}x synthetic", alpha)
        wanted = share_size(alpha, n_real)
        if wanted < 1 or wanted > n_synthetic:
            left_out[arm.name] = f"needs {wanted} synthetic images, there are {n_synthetic}"
        else:
            shares.append(arm)
    chosen = [Arm(name) for name in dict.fromkeys(names) if name != REAL]
    return (Arm(REAL), *shares, *chosen), left_out


def curve_of(arms: Sequence[Arm], *, n_real: int, n_synthetic: int) -> list[dict[str, Any]]:
    """Arms by how many synthetic images they add, as shares of the real count."""
    shares = {REAL: 0.0, MIXED: n_synthetic / n_real}
    points = [
        {"alpha": share, "arm": arm.name}
        for arm in arms
        if (share := arm.alpha if arm.alpha is not None else shares.get(arm.name)) is not None
    ]
    return sorted(points, key=lambda point: float(str(point["alpha"])))


def share_size(alpha: float, n_real: int) -> int:
    """How many synthetic images are ``alpha`` times the real ones."""
    return round(alpha * n_real)


def stages_of(
    arm: Arm,
    real: P,
    synthetic: P,
    *,
    steps: int,
    finetune: float,
    flips: bool,
    seed: int,
) -> tuple[Stage[P], ...]:
    """What an arm trains on, in order; the steps always add up to ``steps``.

    Args:
        arm: which.
        real: real training images.
        synthetic: synthetic images.
        steps: of the whole arm.
        finetune: share of the steps on real images in ``synthetic-then-real``.
        flips: whether altered copies may be mirrored.
        seed: of the part taken of the synthetic images and of the copies. Parts are nested: a
            larger share holds a smaller one of the same seed.
    """
    if arm.alpha is not None:
        part = shared_rows(arm.alpha, n_real=len(real), n_synthetic=len(synthetic), seed=seed)
        return (Stage(real + synthetic.rows(part), steps),)
    if arm.name == PRETRAINED:
        last = min(steps, max(1, round(steps * finetune)))
        both = Stage(synthetic, steps - last), Stage(real, last)
        return tuple(stage for stage in both if stage.steps)
    if arm.name == AUGMENTED:
        copies = altered(real, len(synthetic), flips=flips, seed=seed)
        return (Stage(real + copies, steps),)
    whole = {REAL: (real,), MIXED: (real, synthetic), SYNTHETIC: (synthetic,)}
    if arm.name not in whole:
        raise SynthError("unknown arm", where="downstream utility", got=arm.name)
    parts = whole[arm.name]
    return (Stage(parts[0] if len(parts) == 1 else parts[0] + parts[1], steps),)


def shared_rows(alpha: float, *, n_real: int, n_synthetic: int, seed: int) -> NDArray[np.intp]:
    """The synthetic rows that are ``alpha`` times the real ones; larger shares hold smaller."""
    order = numpy_rng("metrics", "utility-share", seed).permutation(n_synthetic)
    return np.sort(order[: share_size(alpha, n_real)])


def altered(real: P, count: int, *, flips: bool, seed: int) -> P:
    """Copies of real images, turned, shifted, zoomed and with another contrast, labels kept.

    Every image is copied once before any is copied again. Mirrored only with ``flips``: the side
    of a chest is information.
    """
    copies = real.rows(copied_rows(len(real), count, seed=seed))
    return copies.altered(alteration(count, flips=flips, seed=seed))
