"""Phantoms as datasets, and generators with one known fault each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from synth.data.phantom.population import FINDINGS, draw_patient
from synth.data.phantom.render import render
from synth.images import save_png
from synth.manifest import append_jsonl, write_json

SIDE = 64
Grey = NDArray[np.float64]


@dataclass(frozen=True)
class Shown:
    """One phantom: 0..255 grey, its findings and whose it is."""

    grey: Grey
    labels: dict[str, int]
    patient: str
    split: str


def phantoms(seed: int, patients: int) -> list[Shown]:
    """Every study of some patients; two thirds of them train."""
    found = []
    for index in range(patients):
        patient = draw_patient(seed, index)
        split = ("train", "train", "test")[index % 3]
        for study in patient.studies:
            seen = {finding.name for finding in study.findings if finding.seen}
            labels = {name: int(name in seen) for name in FINDINGS}
            grey = 255.0 * render(study, SIDE).astype(np.float64)
            found.append(Shown(grey, labels, f"{seed}-{index}", split))
    return found


def write(folder: Path, shown: Sequence[Shown], *, real: bool) -> Path:
    """A dataset folder; a synthetic one knows no patients and is wholly for training."""
    for index, one in enumerate(shown):
        name = f"images/{index:04d}.png"
        image = np.clip(np.rint(one.grey), 0, 255).astype(np.uint8)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        save_png(folder / name, image)
        row = {"file_name": name, "sample_id": f"{folder.name}-{index}", "labels": one.labels}
        row |= {"split": one.split if real else "train", "text": "", "text_used": ""}
        row |= {"patient_id": one.patient} if real else {}
        append_jsonl(folder / "metadata.jsonl", [row])
    info = {"name": folder.name, "size": SIDE, "findings": list(FINDINGS), "phantom": True}
    write_json(folder / "dataset.json", info)
    return folder


def honest(train: Sequence[Shown], new: Sequence[Shown]) -> list[Shown]:
    """New people, as they are."""
    return list(new)


def memorizer(train: Sequence[Shown], new: Sequence[Shown]) -> list[Shown]:
    """Training images again, with a little noise."""
    rng = np.random.default_rng(0)
    return [_with(one, one.grey + rng.normal(0, 2, one.grey.shape)) for one in train]


def copier_of_a_fifth(train: Sequence[Shown], new: Sequence[Shown]) -> list[Shown]:
    """One image in five is a training image."""
    copies = memorizer(train, new)
    return [copies[at] if at % 5 == 0 else one for at, one in enumerate(new[: len(copies)])]


def mode_dropper(train: Sequence[Shown], new: Sequence[Shown]) -> list[Shown]:
    """A dozen images again and again."""
    rng = np.random.default_rng(0)
    kept = [new[at % 12] for at in range(len(new))]
    return [_with(one, one.grey + rng.normal(0, 1.5, one.grey.shape)) for one in kept]


def label_flipper(train: Sequence[Shown], new: Sequence[Shown]) -> list[Shown]:
    """Good images whose labels say the opposite."""
    return [
        Shown(one.grey, {name: 1 - value for name, value in one.labels.items()}, "", "train")
        for one in new
    ]


def texture_blurrer(train: Sequence[Shown], new: Sequence[Shown]) -> list[Shown]:
    """Good images without their fine detail."""
    return [_with(one, gaussian_filter(one.grey, 1.0)) for one in new]


def _with(one: Shown, grey: Grey) -> Shown:
    return Shown(grey, one.labels, one.patient, one.split)


Generator = Callable[[Sequence[Shown], Sequence[Shown]], list[Shown]]
