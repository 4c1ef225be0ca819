"""Averages of any length after the training: post-hoc EMA (Karras et al. 2024, section 3, app. C).

A power-function profile weights the parameters at images t of T by (γ + 1)/T · (t/T)^γ. Two narrow
profiles are tracked while training and snapshots of them kept; afterwards any other profile is the
least-squares combination of the snapshots. So the length, which trades precision against recall and
suppresses rare findings when long, is chosen by looking at results.

    ema/<width>-<images_seen>.safetensors      float16, one a profile and snapshot
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from scipy.optimize import brentq
from torch import Tensor

from synth.errors import SynthError, UsageError

_NAME = re.compile(r"(0\.\d+)-(\d+)\.safetensors")


@dataclass(frozen=True)
class Snapshot:
    """One kept average.

    Attributes:
        width: of its profile, relative to the training so far.
        images_seen: when it was kept.
        path: its file.
    """

    width: float
    images_seen: int
    path: Path


def exponent(width: float) -> float:
    """γ of the profile whose standard deviation is ``width``·T (eq. 126).

    σ² = (γ + 1) / ((γ + 2)²·(γ + 3)), decreasing in γ.

    >>> round(exponent(0.05), 2), round(exponent(0.10), 2)
    (16.97, 6.94)
    """
    return float(brentq(lambda gamma: _variance(gamma) - width**2, -0.5, 1e6, xtol=1e-10))


def _variance(gamma: float) -> float:
    return float((gamma + 1) / ((gamma + 2) ** 2 * (gamma + 3)))


def profile_decay(images_seen: int, batch: int, width: float) -> float:
    """Weight kept of a profile's average at a step: (1 − batch/t)^(γ + 1) (eq. 127).

    Args:
        images_seen: t, after the step.
        batch: images of the step.
        width: of the profile.
    """
    return float((1.0 - batch / images_seen) ** (exponent(width) + 1.0))


def coefficients(
    snapshots: Sequence[tuple[float, int]], width: float, images_seen: int
) -> NDArray[np.float64]:
    """How much of each snapshot makes the wanted profile (Algorithm 3).

    Args:
        snapshots: (width, images seen) of each.
        width: wanted.
        images_seen: where the wanted profile ends.

    Returns:
        float64 [n], summing to about 1.
    """
    have = [(exponent(w), float(t)) for w, t in snapshots]
    want = (exponent(width), float(images_seen))
    gram = np.array([[_product(a, b) for b in have] for a in have])
    right = np.array([_product(a, want) for a in have])
    # Products are of the order of 1/T: scaled, so that the cut-off for rank means the same.
    solved, *_ = np.linalg.lstsq(gram * images_seen, right * images_seen, rcond=1e-12)
    return np.asarray(solved, dtype=np.float64)


def _product(a: tuple[float, float], b: tuple[float, float]) -> float:
    """∫ p_a(t)·p_b(t) dt of two profiles (γ, T), over the shorter one (eq. 140)."""
    (ga, ta), (gb, tb) = sorted((a, b), key=lambda profile: profile[1])
    return float((ga + 1) * (gb + 1) / (ga + gb + 1) * (ta / tb) ** gb / tb)


def save_snapshot(
    folder: Path, width: float, images_seen: int, average: Mapping[str, Tensor]
) -> None:
    """Write one average, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{width:g}-{images_seen}.safetensors"
    temporary = path.with_suffix(".tmp")
    save_file(
        {name: t.detach().cpu().half().contiguous() for name, t in average.items()}, temporary
    )
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


def snapshots(folder: Path) -> list[Snapshot]:
    """The snapshots of a run, oldest first."""
    found = [(_NAME.fullmatch(path.name), path) for path in folder.glob("*.safetensors")]
    listed = [Snapshot(float(m[1]), int(m[2]), path) for m, path in found if m]
    return sorted(listed, key=lambda item: (item.images_seen, item.width))


def reconstruct(folder: Path, width: float, images_seen: int | None = None) -> dict[str, Tensor]:
    """The average of another width, from a run's snapshots.

    Args:
        folder: the run's ``ema`` folder.
        width: wanted, relative to the training.
        images_seen: where it ends; the last snapshot by default.

    Returns:
        float32 tensors by parameter name.

    Raises:
        UsageError: the width cannot be reached, or no snapshot was kept there.
        SynthError: a snapshot is damaged or of another model.
    """
    every = snapshots(folder)
    if not every:
        raise UsageError(
            "the run kept no snapshots of its averages",
            where=folder,
            fix="Train with train.ema.profiles=[0.05,0.1].",
        )
    end = images_seen or every[-1].images_seen
    used = [item for item in every if item.images_seen <= end]
    if end not in {item.images_seen for item in every}:
        known = ", ".join(str(t) for t in sorted({item.images_seen for item in every}))
        raise UsageError("no snapshot at this point", where="--at", got=end, expected=known)
    narrowest = min(item.width for item in every)
    if not narrowest <= width < 0.28:
        raise UsageError(
            "this width cannot be made of the snapshots",
            where="--width",
            got=width,
            expected=f"from {narrowest:g} to 0.28",
        )
    weights = coefficients([(item.width, item.images_seen) for item in used], width, end)
    return _combine(used, weights)


def _combine(used: Sequence[Snapshot], weights: NDArray[np.float64]) -> dict[str, Tensor]:
    total: dict[str, Tensor] = {}
    for item, weight in zip(used, weights, strict=True):
        try:
            tensors = load_file(item.path)
        except (SafetensorError, OSError) as error:
            raise SynthError("damaged snapshot", where=item.path, got=error) from None
        if total and tensors.keys() != total.keys():
            raise SynthError("the snapshot is of another model", where=item.path)
        for name, tensor in tensors.items():
            part = tensor.double() * float(weight)
            total[name] = total[name] + part if name in total else part
    return {name: tensor.to(torch.float32) for name, tensor in total.items()}
