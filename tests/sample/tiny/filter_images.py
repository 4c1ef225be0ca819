"""Images whose label, texture and layout are known: what an honest generator would make, and not.

A bright square at the bottom is a hernia and a bright dot on the left a nodule, over a smooth field
that is another one in every image.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sample.generate import Asked, Batch
from sample.plan import PlannedRow
from synth.images import save_png
from synth.manifest import DatasetInfo, Row, append_jsonl, write_json
from synth.seeding import numpy_rng, torch_generator

SIZE = 32
FINDINGS = ("hernia", "nodule")
TRAIN, VALIDATION = 240, 160


def honest(seed: int, labels: dict[str, int]) -> np.ndarray:
    """uint8 [32, 32], a function of the seed and of what it shows."""
    noise = torch.randn((1, 2, 6, 6), generator=torch_generator("filter-images", seed))
    field = F.interpolate(noise[:, :1], (SIZE, SIZE), mode="bicubic")[0, 0].numpy()
    rng = numpy_rng("filter-images", seed)
    image = 100.0 + 28.0 * field + rng.normal(0, 3.0, (SIZE, SIZE))
    if labels.get("hernia") == 1:
        image[25:31, 12:20] += 90
    if labels.get("nodule") == 1:
        image[6:11, 4:9] += 110
    return np.clip(image, 4, 251).astype(np.uint8)


def wish(labels: dict[str, int], prompt: str = "") -> PlannedRow:
    return PlannedRow("syn-000000", prompt, dict(labels), 0, "real")


def labels_at(index: int) -> dict[str, int]:
    return {"hernia": int(index % 2 == 0), "nodule": int(index % 3 == 0)}


def make_dataset(folder: Path, *, train: int = TRAIN, validation: int = VALIDATION) -> Path:
    """A prepared dataset of honest images."""
    rows = []
    for index in range(train + validation):
        labels = labels_at(index)
        grey = honest(index, labels)
        sample_id = f"real-{index:04d}"
        content = save_png(folder / f"images/{sample_id}.png", grey)
        text = "chest radiograph " + (" and ".join(n for n in FINDINGS if labels[n]) or "normal")
        rows.append(
            Row(
                file_name=f"images/{sample_id}.png",
                sample_id=sample_id,
                split="train" if index < train else "val",
                patient_id=f"p{index}",
                text=text,
                text_used=text,
                labels=labels,
                sha256=hashlib.sha256(content).hexdigest(),
                width=SIZE,
                height=SIZE,
            )
        )
    append_jsonl(folder / "metadata.jsonl", rows)
    write_json(folder / "dataset.json", DatasetInfo(name="f", size=SIZE, findings=list(FINDINGS)))
    return folder


def as_u8(grey: np.ndarray) -> Tensor:
    """uint8 [1, H, W]."""
    return torch.from_numpy(np.ascontiguousarray(grey))[None]


class Maker:
    """Stands for ``BatchMaker``: honest images of the prompt, but for those planted by seed."""

    planted: ClassVar[dict[int, np.ndarray]] = {}
    made: ClassVar[list[int]] = []

    def __init__(self, family, settings, *, size=None):
        del family, size
        self.batch = settings.batch

    def __call__(self, asked: list[Asked], *, start: int = 0) -> Batch:
        assert len(asked) <= self.batch
        Maker.made += [one.seed for one in asked]
        images = [Maker.planted.get(one.seed, None) for one in asked]
        images = [
            honest(one.seed % 2**31, {name: int(name in one.prompt) for name in FINDINGS})
            if image is None
            else image
            for one, image in zip(asked, images, strict=True)
        ]
        image_u8 = torch.stack([as_u8(image) for image in images])
        contrast = tuple(image_u8.flatten(1).float().std(dim=1).tolist())
        return Batch(start, image_u8, (True,) * len(asked), contrast)
