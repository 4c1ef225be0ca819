"""Which images to make: a deterministic list of prompts, labels and seeds. Imports no torch."""

from __future__ import annotations

import heapq
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from functools import cached_property
from typing import Any, NamedTuple

from synth.config.schema import Config, PlanSection
from synth.errors import SynthError, UsageError
from synth.families.facts import facts_of, words_of
from synth.manifest import Dataset, Label, Row, sha256_text
from synth.seeding import numpy_rng, seed_from


@dataclass(frozen=True)
class PlannedRow:
    """One image to make, conditioned on the text of a real training row and labelled by it.

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
    """

    settings: PlanSection
    rows: tuple[PlannedRow, ...]
    real: dict[str, int]
    notes: tuple[str, ...] = ()

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
        return sha256_text(json.dumps([_facts(row) for row in self.rows], sort_keys=True))

    @property
    def words(self) -> str:
        """The settings as a phrase."""
        if self.settings.kind == "counts":
            return f"counts: at least {_wishes(self.settings.counts)}; the rest mirrors training"
        if self.settings.kind == "balance":
            return f"balance: at least {self.settings.target} of every finding"
        return "mirror: findings as often as in training"

    def to_json(self) -> dict[str, Any]:
        """Settings, digest and counts, without the rows."""
        return {
            **self.settings.model_dump(mode="json"),
            "images": len(self.rows),
            "sha256": self.sha256,
            "findings": [count._asdict() for count in self.table()],
            "notes": list(self.notes),
        }


def make_plan(config: Config, dataset: Dataset) -> Plan:
    """Choose ``config.sample.count`` training rows to make synthetic counterparts of.

    Only rows of the training split with a text are used. ``counts`` and ``balance`` take rows that
    show the finding until the synthetic set has the number asked for, every distinct prompt before
    any is used twice; the rest mirrors the training split.

    Args:
        config: ``run.seed`` and ``sample`` are used.
        dataset: the prepared real dataset.

    Raises:
        SynthError: the training split has no text to condition on.
        UsageError: a finding is unknown or shown by no training row, or more images are needed
            than ``sample.count``.
    """
    training = dataset.split("train")
    rows = [row for row in training if row.text_used.strip()]
    if not rows:
        raise SynthError(
            "no training image has a text to condition on",
            where=dataset.folder / "metadata.jsonl",
            got=f"{len(training)} rows in the training split, none with text_used",
            fix="Prepare the dataset together with its reports.",
        )
    settings, seed, count = config.sample.plan, config.run.seed, config.sample.count
    showing = _rows_by_finding(rows, dataset.findings)
    targets, notes = _targets(settings, showing)
    chosen = _raise_findings(targets, showing, seed=seed)
    if len(chosen) > count:
        raise UsageError(
            "the plan needs more images than are asked for",
            where="sample.count",
            got=count,
            expected=f"at least {len(chosen)} to reach {_wishes(targets)}",
            fix=f"Set sample.count={len(chosen)} or lower the plan's numbers.",
        )
    chosen += _mirror(rows, count - len(chosen), seed=seed)
    order = numpy_rng("plan-order", seed).permutation(len(chosen))
    names = config.model.conditions
    planned = tuple(_planned(i, chosen[j], names, seed=seed) for i, j in enumerate(order))
    real = _count(row.labels for row in training)
    return Plan(settings, planned, {name: real[name] for name in dataset.findings}, tuple(notes))


def _rows_by_finding(rows: Sequence[Row], findings: Sequence[str]) -> dict[str, list[Row]]:
    """Rows labelled 1; uncertain and unstated ones show nothing that a label could promise."""
    return {name: [row for row in rows if row.labels.get(name) == 1] for name in findings}


def _targets(
    settings: PlanSection, showing: dict[str, list[Row]]
) -> tuple[dict[str, int], list[str]]:
    """Number of images wanted a finding, and notes on findings that had to be left out."""
    if settings.kind == "counts":
        for name in settings.counts:
            _require_shown(name, showing)
        return dict(settings.counts), []
    if settings.kind == "balance":
        target = settings.target or 0
        missing = [name for name, rows in showing.items() if not rows]
        notes = [f"no training text asks for {', '.join(missing)}: no image of these is made"]
        notes = notes if missing else []
        return {name: target for name, rows in showing.items() if rows}, notes
    return {}, []


def _require_shown(name: str, showing: dict[str, list[Row]]) -> None:
    where = f"sample.plan.counts.{name}"
    shown = sorted(finding for finding, rows in showing.items() if rows)
    if name not in showing:
        close = get_close_matches(name, showing, n=1)
        raise UsageError(
            "the dataset has no such finding",
            where=where,
            expected="one of " + ", ".join(sorted(showing)),
            fix=f"Did you mean `{close[0]}`?" if close else "",
        )
    if not showing[name]:
        raise UsageError(
            "no training image with a text shows this finding, so nothing says what to make",
            where=where,
            expected="one of " + ", ".join(f"{f} ({len(showing[f])})" for f in shown),
            fix="Ask for another finding, or prepare data whose training split has it.",
        )


def _raise_findings(
    targets: dict[str, int], showing: dict[str, list[Row]], *, seed: int
) -> list[Row]:
    """Rows that bring every finding to its target, rarest finding first: its rows count for others.

    A row is worth less the more often its prompt, then the row itself, has been taken; equals are
    in a seeded order. Uses only grow, so an outdated entry of the heap is simply put back.
    """
    chosen: list[Row] = []
    have: Counter[str] = Counter()
    uses: Counter[str] = Counter()  # keyed by prompt and by sample_id, which never meet

    def key(row: Row, order: int) -> tuple[int, int, int]:
        return uses[f"prompt {row.text_used}"], uses[f"row {row.sample_id}"], order

    for name in sorted(targets, key=lambda finding: (len(showing[finding]), finding)):
        rows = showing[name]
        order = numpy_rng("plan", seed, name).permutation(len(rows)).tolist()
        heap = [
            (key(row, place), row.sample_id, row) for row, place in zip(rows, order, strict=True)
        ]
        heapq.heapify(heap)
        while have[name] < targets[name]:
            stored, sample_id, row = heap[0]
            current = key(row, stored[2])
            if current == stored:
                chosen.append(row)
                have.update(_present(row.labels))
                uses.update((f"prompt {row.text_used}", f"row {sample_id}"))
                current = key(row, stored[2])
            heapq.heapreplace(heap, (current, sample_id, row))
    return chosen


def _mirror(rows: Sequence[Row], count: int, *, seed: int) -> list[Row]:
    """Rows without replacement, then all again in another order: frequencies stay natural."""
    chosen: list[Row] = []
    cycle = 0
    while len(chosen) < count:
        order = numpy_rng("plan-mirror", seed, cycle).permutation(len(rows))
        chosen += [rows[i] for i in order[: count - len(chosen)]]
        cycle += 1
    return chosen


def _planned(index: int, row: Row, names: Sequence[str], *, seed: int) -> PlannedRow:
    sample_id = f"syn-{index:06d}"
    return PlannedRow(
        sample_id=sample_id,
        prompt=row.text_used,
        labels=dict(row.labels),
        seed=seed_from("sample", seed, sample_id),
        source_sample_id=row.sample_id,
        conditions=words_of(facts_of(row, names), names),
    )


def _facts(row: PlannedRow) -> dict[str, Any]:
    """A row without the weight that it has not."""
    return {
        name: value
        for name, value in asdict(row).items()
        if name != "guidance" or value is not None
    }


def _present(labels: dict[str, Label]) -> list[str]:
    return [name for name, label in labels.items() if label == 1]


def _count(labels: Iterable[dict[str, Label]]) -> Counter[str]:
    return Counter(name for row in labels for name in _present(row))


def _wishes(targets: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {target}" for name, target in targets.items())
