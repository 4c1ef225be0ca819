"""What is watched while training: a grid of fixed images, and the loss at fixed noise and times."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from synth.config.schema import SampleSection
from synth.families.base import Family
from synth.images import grid, save_png
from synth.manifest import Row
from synth.seeding import seed_from
from train.batches import BatchMaker, Example
from train.loop import batch_loss

PREVIEWS = 8
VALIDATION_IMAGES = 64
VALIDATION_TIMES = 4
_COLUMNS = 4


def preview_prompts(rows: Sequence[Row]) -> tuple[str, ...]:
    """Up to ``PREVIEWS`` distinct prompts that show as many findings as possible.

    Each finding in turn, rarest first, gives its first row; the first rows fill what remains.
    """
    by_finding: dict[str, list[str]] = {}
    for row in rows:
        for name, value in row.labels.items():
            if value == 1:
                by_finding.setdefault(name, []).append(row.text_used or row.text)
    rarest = sorted(by_finding, key=lambda name: (len(by_finding[name]), name))
    chosen: list[str] = []
    for name in rarest:
        chosen += [text for text in by_finding[name] if text not in chosen][:1]
    chosen += [row.text_used or row.text for row in rows]
    return tuple(dict.fromkeys(chosen))[:PREVIEWS]


def write_preview(
    family: Family,
    prompts: Sequence[str],
    path: Path,
    *,
    settings: SampleSection,
    seed: int,
    size: int,
) -> None:
    """Make one image a prompt, always from the same noise, and write them as one PNG."""
    from sample.generate import generate_images

    seeds = [seed_from("preview", seed, index) for index in range(len(prompts))]
    small = settings.model_copy(update={"batch": min(settings.batch, len(prompts))})
    images = generate_images(family, prompts, seeds=seeds, settings=small, size=size)
    grey = torch.cat([batch.float().mean(dim=1) for batch in images])
    save_png(path, grid(grey.round().numpy().astype(np.uint8), min(_COLUMNS, len(prompts))))


@torch.no_grad()
def validation_loss(
    family: Family, examples: Sequence[Example], batches: BatchMaker, *, batch: int
) -> float:
    """Unweighted loss over fixed images × fixed times × fixed noise: comparable along a run.

    Args:
        family: the model.
        examples: the validation images; the first ``VALIDATION_IMAGES`` are used.
        batches: gives the fixed batches.
        batch: images a forward pass.
    """
    chosen = examples[:VALIDATION_IMAGES]
    items = [
        (example, (k + (i + 0.5) / len(chosen)) / VALIDATION_TIMES)
        for i, example in enumerate(chosen)
        for k in range(VALIDATION_TIMES)
    ]
    total = 0.0
    for start in range(0, len(items), batch):
        total += float(batch_loss(family, batches.fixed(items[start : start + batch]), None).sum())
    return total / len(items)
