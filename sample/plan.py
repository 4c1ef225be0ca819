"""Which images to make: a deterministic list of prompts, labels and seeds. Imports no torch."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from sample.plan_check import repetition_notes, require_room, targets_of, wishes
from sample.plan_draw import Draft, by_finding, mirror, raise_findings
from sample.plan_grid import AXES, CellCount, fill
from sample.plan_prompts import prompt_notes, read_prompts
from sample.plan_reading import Reader, labeler_of
from sample.plan_wording import Wording, wording_of
from synth.config.schema import Config, PlanSection
from synth.errors import SynthError, UsageError
from synth.manifest import Dataset, Label, write_bytes
from synth.seeding import numpy_rng, seed_from
from synth.text import Labeler

_ALWAYS = ("kind", "target", "counts")  # settings that a record of a plan has even where not given


@dataclass(frozen=True)
class PlannedRow:
    """One image to make: its text, the labels of that text, and its seed.

    ``source_sample_id`` is the real training row, or the line of a file, that the text comes from.
    A model trained with conditions beside the text also gets that row's, by name. ``guidance`` is
    the row's own weight; None: that of the configuration.
    """

    sample_id: str
    prompt: str
    labels: dict[str, Label]
    seed: int
    source_sample_id: str
    conditions: dict[str, str] = field(default_factory=dict)
    guidance: float | None = None


class FindingCount(NamedTuple):
    """Images that show a finding (label 1): in real training data, planned, and in both."""

    finding: str
    real: int
    planned: int
    total: int


@dataclass(frozen=True)
class Plan:
    """The list of images to make.

    Attributes:
        settings: the section that asked for it.
        rows: what to make, in order; any beginning of it is a fair mix of the whole.
        real: images a finding in the real training split.
        notes: wishes that the data could not fill, one sentence each.
        cells: images a cell of the grid.
    """

    settings: PlanSection
    rows: tuple[PlannedRow, ...]
    real: dict[str, int]
    notes: tuple[str, ...] = ()
    cells: tuple[CellCount, ...] = ()

    def table(self) -> tuple[FindingCount, ...]:
        """Counts a finding before and after, rarest in the real data first."""
        planned = _count(row.labels for row in self.rows)
        counts = [
            FindingCount(name, real, planned[name], real + planned[name])
            for name, real in self.real.items()
        ]
        return tuple(sorted(counts, key=lambda count: (count.real, count.finding)))

    @cached_property
    def sha256(self) -> str:
        """Changes when any planned row does."""
        digest = hashlib.sha256(b"[")  # of the JSON list, which as one string would be large
        for index, line in enumerate(self.lines()):
            digest.update((", " * bool(index) + line).encode())
        digest.update(b"]")
        return digest.hexdigest()

    def lines(self) -> Iterator[str]:
        """The rows, one JSON object each: the work list."""
        encode = json.JSONEncoder(sort_keys=True).encode
        return (encode(_facts(row)) for row in self.rows)

    @property
    def words(self) -> str:
        """The settings as a phrase."""
        texts = "; texts recombined" if self.settings.recombine else ""
        texts = "; texts from templates" if self.settings.templates else texts
        return self._wish() + texts

    def _wish(self) -> str:
        settings = self.settings
        if settings.kind == "counts":
            return f"counts: at least {wishes(settings.counts)}; the rest mirrors training"
        if settings.kind == "balance" and settings.prevalence is not None:
            return f"balance: every finding in at least {settings.prevalence:.3g} of the images"
        if settings.kind == "balance":
            return f"balance: at least {settings.target} of every finding"
        if settings.grid is not None:
            axes = [name for name in AXES if getattr(settings.grid, name)]
            return f"grid: {' × '.join(axes)}, {len(self.cells)} cells"
        if settings.prompts is not None:
            return f"prompts: the texts of {settings.prompts.name}"
        return "mirror: findings as often as in training"

    def to_json(self) -> dict[str, Any]:
        """Settings, digest and counts, without the rows."""
        settings = self.settings.model_dump(mode="json")
        unset = PlanSection().model_dump(mode="json")
        asked = {
            name: value
            for name, value in settings.items()
            if name in _ALWAYS or value != unset[name]
        }
        cells = [cell._asdict() for cell in self.cells]
        return {
            **asked,
            "images": len(self.rows),
            "sha256": self.sha256,
            "findings": [count._asdict() for count in self.table()],
            "notes": list(self.notes),
            **({"cells": cells} if cells else {}),
        }


def make_plan(config: Config, dataset: Dataset, *, labeler: Labeler | None = None) -> Plan:
    """Choose ``config.sample.count`` training texts to make synthetic counterparts of.

    Only rows of the training split with a text are used. ``counts``, ``balance`` and ``grid`` take
    rows until the synthetic set has the number asked for, every distinct prompt before any is used
    twice; the rest mirrors the training split. ``recombine`` and ``templates`` then word every
    text anew. ``prompts`` uses a file instead, in its order, again from its start where needed.

    Args:
        config: ``run.seed``, ``model.conditions`` and ``sample`` are used.
        dataset: the prepared real dataset.
        labeler: reads new texts and the user's own; by default the built-in one, in the mode of
            the dataset.

    Raises:
        SynthError: the training split has no text to condition on.
        UsageError: a finding is unknown or shown by no training row, more images are needed than
            ``sample.count``, or the file of prompts is not one.
    """
    training = dataset.split("train")
    real = _count(row.labels for row in training)
    shown = {name: real[name] for name in dataset.findings}
    settings = config.sample.plan
    if settings.kind == "prompts":
        drafts, notes = _own(config, dataset, labeler)
        return Plan(settings, _planned_all(drafts, config), shown, tuple(notes))
    rows = [row for row in training if row.text_used.strip()]
    if not rows:
        raise SynthError(
            "no training image has a text to condition on",
            where=dataset.folder / "metadata.jsonl",
            got=f"{len(training)} rows in the training split, none with text_used",
            fix="Prepare the dataset together with its reports.",
        )
    wording = wording_of(settings, dataset, rows, seed=config.run.seed, labeler=labeler)
    chosen, cells, notes = _choose(config, dataset, wording)
    order = numpy_rng("plan-order", config.run.seed).permutation(len(chosen))
    worded = wording.word([chosen[j] for j in order])
    planned = _planned_all(worded, config)
    return Plan(settings, planned, shown, (*wording.notes, *notes), cells)


def _choose(
    config: Config, dataset: Dataset, wording: Wording
) -> tuple[list[Draft], tuple[CellCount, ...], list[str]]:
    """``sample.count`` drafts, counts of the grid's cells, and notes."""
    settings, seed, count = config.sample.plan, config.run.seed, config.sample.count
    drafts = wording.drafts
    showing = by_finding(drafts, dataset.findings)
    if settings.grid is not None:
        filled = fill(
            settings.grid,
            count,
            drafts,
            showing,
            says=wording.says,
            conditions=config.model.conditions,
            seed=seed,
        )
        chosen, cells, notes = filled.drafts, filled.cells, filled.notes
    else:
        present = tuple(dataset.info.findings) or dataset.findings
        targets, notes = targets_of(settings, count, showing, present=present)
        chosen, cells = raise_findings(targets, showing, seed=seed), ()
        require_room(settings, len(chosen), count, targets)
        if not (settings.recombine or settings.templates):
            notes += repetition_notes(targets, showing)
    return chosen + mirror(drafts, count - len(chosen), seed=seed), cells, notes


def _own(
    config: Config, dataset: Dataset, labeler: Labeler | None
) -> tuple[list[Draft], list[str]]:
    """The user's own texts, repeated in their order, and notes."""
    path, count = config.sample.plan.prompts or Path(), config.sample.count
    names = sorted({name for row in dataset.rows for name in row.labels})
    reader = Reader(names, labeler or labeler_of(dataset.rows))
    drafts, notes = read_prompts(path, dataset.findings, reader)
    if len(drafts) > count:
        raise UsageError(
            "the file has more texts than images are asked for",
            where="sample.count",
            got=count,
            expected=f"at least {len(drafts)}, the texts of {path.name}",
            fix=f"Set sample.count={len(drafts)}.",
        )
    notes += prompt_notes(drafts, dataset)
    return [drafts[i % len(drafts)] for i in range(count)], notes


def _planned_all(drafts: Sequence[Draft], config: Config) -> tuple[PlannedRow, ...]:
    names, seed = config.model.conditions, config.run.seed
    return tuple(_planned(i, draft, names, seed=seed) for i, draft in enumerate(drafts))


def _planned(index: int, draft: Draft, names: Sequence[str], *, seed: int) -> PlannedRow:
    sample_id = f"syn-{index:06d}"
    return PlannedRow(
        sample_id=sample_id,
        prompt=draft.text,
        labels=draft.labels,  # shared, not copied: a plan may have a million rows
        seed=seed_from("sample", seed, sample_id),
        source_sample_id=draft.source,
        conditions={name: draft.conditions[name] for name in names if name in draft.conditions},
        guidance=draft.guidance,
    )


def _facts(row: PlannedRow) -> dict[str, Any]:
    """A row without the weight that it has not."""
    facts = {item.name: getattr(row, item.name) for item in fields(row)}
    return {name: value for name, value in facts.items() if name != "guidance" or value is not None}


def _count(labels: Iterable[Mapping[str, Label]]) -> Counter[str]:
    return Counter(name for row in labels for name, label in row.items() if label == 1)


def write_plan(plan: Plan, path: Path) -> None:
    """Write the work list: one JSON object an image, in order.

    Raises:
        UsageError: there is another file of that name.
    """
    content = "".join(line + "\n" for line in plan.lines()).encode()
    if path.exists() and path.read_bytes() != content:
        raise UsageError(
            "the file exists and is something else", where=path, fix="Give another name to --out."
        )
    write_bytes(path, content)
