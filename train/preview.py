"""What is watched while training: a grid of fixed images, and the loss at fixed noise and times."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from synth.config.schema import SampleSection
from synth.families.base import Family
from synth.families.facts import UNKNOWN, facts_of
from synth.images import grid, save_png
from synth.manifest import Label, Row, write_json
from synth.seeding import seed_from
from train.batches import BatchMaker, Example
from train.loop import batch_loss

PREVIEWS = 8  # at least, where there are as many prompts
MOST_PREVIEWS = 24
VALIDATION_IMAGES = 64
VALIDATION_TIMES = 4
FINDING_IMAGES = 4  # that show a finding, beyond the first images where those are too few
_COLUMNS = 4


@dataclass(frozen=True)
class Preview:
    """What one image of the grid is made from.

    Attributes:
        prompt: the text.
        sample_id: of the row it is from; None for a prompt of the user.
        findings: that the row shows.
        facts: its categories, for a model that has conditions.
    """

    prompt: str
    sample_id: str | None = None
    findings: tuple[str, ...] = ()
    facts: tuple[int, ...] = ()


def choose_previews(
    rows: Sequence[Row], asked: Sequence[str] = (), conditions: Sequence[str] = ()
) -> tuple[Preview, ...]:
    """The prompts a configuration asks for, or one for every finding, rarest first.

    A finding is shown by the row with the fewest others; the first rows fill up to ``PREVIEWS``.

    Args:
        rows: to choose from.
        asked: prompts of the user, taken as they are.
        conditions: of the model; rows bring theirs, a user's prompts have none.
    """
    if asked:
        unknown = (UNKNOWN,) * len(conditions)
        return tuple(Preview(prompt, facts=unknown) for prompt in asked)
    shown: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        for name in _findings(row.labels):
            shown[name].append(row)
    chosen: dict[str, Row] = {}
    for name in sorted(shown, key=lambda name: (len(shown[name]), name)):
        clearest = sorted(shown[name], key=lambda row: len(_findings(row.labels)))
        for row in [row for row in clearest if _text(row) not in chosen][:1]:
            chosen[_text(row)] = row
    for row in rows:
        if len(chosen) >= PREVIEWS:
            break
        chosen.setdefault(_text(row), row)
    return tuple(
        Preview(text, row.sample_id, _findings(row.labels), facts_of(row, conditions))
        for text, row in list(chosen.items())[:MOST_PREVIEWS]
    )


def write_preview(
    family: Family,
    previews: Sequence[Preview],
    path: Path | None,
    *,
    settings: SampleSection,
    seed: int,
    size: int,
) -> None:
    """Make one image a prompt, always from the same noise, and write them as one PNG.

    A JSON file beside it, of the same name, says what each image shows, row by row of the grid.
    Without a path nothing is written: a process that helps to compute.
    """
    from sample.generate import generate_batches, require_finite

    seeds = [seed_from("preview", seed, index) for index in range(len(previews))]
    small = settings.model_copy(update={"batch": min(settings.batch, len(previews))})
    grey = []
    for batch in generate_batches(
        family,
        [preview.prompt for preview in previews],
        seeds=seeds,
        settings=small,
        size=size,
        facts=[preview.facts for preview in previews],
    ):
        require_finite(batch)
        grey.append(batch.image_u8.float().mean(dim=1))
    if path is None:
        return
    columns = min(_COLUMNS, len(previews))
    save_png(path, grid(torch.cat(grey).round().numpy().astype(np.uint8), columns))
    images = [
        {"prompt": p.prompt, "findings": p.findings, "sample_id": p.sample_id, "seed": s}
        for p, s in zip(previews, seeds, strict=True)
    ]
    write_json(path.with_suffix(".json"), {"columns": columns, "images": images})


@dataclass(frozen=True)
class Validation:
    """Losses at fixed noise and times: comparable along a run, not between findings of two runs.

    Attributes:
        loss: mean over the first ``VALIDATION_IMAGES`` images.
        by_finding: mean over the images that show a finding, and how many those are.
    """

    loss: float
    by_finding: dict[str, tuple[float, int]]


@torch.no_grad()
def validation_losses(
    family: Family,
    examples: Sequence[Example],
    batches: BatchMaker,
    *,
    batch: int,
    labels: Mapping[str, Mapping[str, Label]] | None = None,
    accelerator: Any = None,
) -> Validation:
    """Unweighted loss over fixed images × fixed times × fixed noise.

    Args:
        family: the model.
        examples: the validation images; the first ``VALIDATION_IMAGES`` are used, and of every
            finding that they show too rarely up to ``FINDING_IMAGES`` of the others.
        batches: gives the fixed batches.
        batch: images a forward pass.
        labels: of the images, by sample id; without, no finding is told apart.
        accelerator: of ``accelerate``: its processes share the work, and all get the result.
    """
    labels = labels or {}
    first, others = examples[:VALIDATION_IMAGES], examples[VALIDATION_IMAGES:]
    further = _further(first, others, labels)
    total, of_image = 0.0, defaultdict[str, float](float)
    for chosen in (first, further):  # apart, so that the loss is the same with labels or without
        items = list(_items(chosen))
        parts = [items[start : start + batch] for start in range(0, len(items), batch)]
        shared = _losses(family, parts, batches, accelerator)
        for part, losses in zip(parts, shared, strict=True):
            total += float(losses.sum()) if chosen is first else 0.0
            for (example, _), loss in zip(part, losses.tolist(), strict=True):
                of_image[example.sample_id] += loss / VALIDATION_TIMES
    shown: dict[str, list[float]] = defaultdict(list)
    for sample_id, loss in of_image.items():
        for finding in _findings(labels.get(sample_id, {})):
            shown[finding].append(loss)
    by_finding = {name: (sum(shown[name]) / len(shown[name]), len(shown[name])) for name in shown}
    return Validation(total / (len(first) * VALIDATION_TIMES), dict(sorted(by_finding.items())))


def _losses(
    family: Family,
    parts: Sequence[Sequence[tuple[Example, float]]],
    batches: BatchMaker,
    accelerator: Any,
) -> list[Tensor]:
    """Losses of every part; with several processes each computes every n-th."""
    rank = accelerator.process_index if accelerator else 0
    world = accelerator.num_processes if accelerator else 1
    own: dict[int, Tensor] = {}
    for turn in range(0, len(parts), world):
        index = min(turn + rank, len(parts) - 1)  # none left: all compute as often, for sharding
        own[index] = batch_loss(family, batches.fixed(parts[index]), None)
    if world == 1 or not parts:
        return list(own.values())
    mine = {index: losses for index, losses in own.items() if index % world == rank}
    empty = [torch.zeros(len(part), device=accelerator.device) for part in parts]
    joined = torch.cat([mine.get(index, zeros) for index, zeros in enumerate(empty)])
    reduced: Tensor = accelerator.reduce(joined, reduction="sum")
    return list(reduced.split([len(part) for part in parts]))


def _items(chosen: Sequence[Example]) -> Iterator[tuple[Example, float]]:
    """Every image at one time of each quarter, spread within it over the images."""
    for i, example in enumerate(chosen):
        for k in range(VALIDATION_TIMES):
            yield example, (k + (i + 0.5) / len(chosen)) / VALIDATION_TIMES


def _further(
    first: Sequence[Example],
    others: Sequence[Example],
    labels: Mapping[str, Mapping[str, Label]],
) -> list[Example]:
    """Images that bring every finding to ``FINDING_IMAGES``, as far as there are any."""
    count: dict[str, int] = defaultdict(int)
    for example in first:
        for finding in _findings(labels.get(example.sample_id, {})):
            count[finding] += 1
    chosen = []
    for example in others:
        shows = _findings(labels.get(example.sample_id, {}))
        if any(count[finding] < FINDING_IMAGES for finding in shows):
            chosen.append(example)
            for finding in shows:
                count[finding] += 1
    return chosen


def _findings(labels: Mapping[str, Label]) -> tuple[str, ...]:
    return tuple(name for name, value in labels.items() if value == 1)


def _text(row: Row) -> str:
    return row.text_used or row.text
