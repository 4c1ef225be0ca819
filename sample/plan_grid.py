"""Every combination of finding, side, severity, view, sex and age band, each with its images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import NamedTuple

from sample.plan_check import require_shown
from sample.plan_draw import Draft, Uses
from sample.plan_reading import with_side
from synth.config.schema import GridSection
from synth.errors import UsageError
from synth.registry import did_you_mean
from synth.seeding import numpy_rng

AXES = ("finding", "side", "severity", "view", "sex", "age_band")
_OF_FINDING = ("side", "severity")
_OF_IMAGE = ("view", "sex", "age_band")
_LISTED = 4  # cells that a note spells out
_POOL = 500  # drafts that a cell without a text of its own draws label sets from


class CellCount(NamedTuple):
    """Images of a cell: in real training data with a text, and planned."""

    cell: str
    real: int
    planned: int


@dataclass(frozen=True)
class Filled:
    """A grid with what fills it.

    Attributes:
        drafts: what was taken, cell by cell.
        cells: counts a cell.
        notes: on cells that stay empty or repeat texts, and on axes that the model cannot see.
    """

    drafts: list[Draft]
    cells: tuple[CellCount, ...]
    notes: list[str]


Cell = Mapping[str, str]


def fill(
    grid: GridSection,
    count: int,
    drafts: Sequence[Draft],
    showing: Mapping[str, Sequence[Draft]],
    *,
    says: Callable[[Draft], bool] | None,
    conditions: Sequence[str],
    seed: int,
) -> Filled:
    """Take drafts for every cell, those least used first.

    Args:
        grid: the axes.
        count: images in all.
        drafts: to take from.
        showing: the same by finding.
        says: given where texts are made from labels, so that a cell may also change side, severity,
            view, sex and age band of a draft with its finding; whether a text can say the result.
        conditions: what the model is conditioned on beside the text.
        seed: of the run.

    Raises:
        UsageError: a finding is unknown or shown by no text, no cell can be filled, or the cells
            need more images than ``count``.
    """
    cells = list(_cells(grid, showing))
    matching = _matching(cells, grid, drafts, showing)
    sources = [
        found or (_changed(cell, drafts, showing, says, seed=seed) if says else [])
        for cell, found in zip(cells, matching, strict=True)
    ]
    filled = [place for place, source in enumerate(sources) if source]
    if not filled:
        raise _nothing(grid, showing)
    quotas = _quotas(grid, filled, count)
    uses, taken, counts, repeated = Uses(seed), [], [], []
    for place, cell in enumerate(cells):
        words, quota = _words(cell), quotas.get(place, 0)
        if quota:
            heap = uses.heap(f"cell {words}", sources[place])
            taken += [heap.take() for _ in range(quota)]
        if says is None and 0 < len({draft.text for draft in sources[place]}) < quota:
            repeated.append(words)
        counts.append(CellCount(words, len(matching[place]), quota))
    empty = [_words(cell) for place, cell in enumerate(cells) if not sources[place]]
    notes = _notes(
        empty, repeated, len(cells), [n for n in _OF_IMAGE if getattr(grid, n)], conditions
    )
    return Filled(taken, tuple(counts), notes)


def _cells(grid: GridSection, showing: Mapping[str, Sequence[Draft]]) -> Iterator[Cell]:
    findings = grid.finding
    if findings == ("all",):
        findings = tuple(sorted(name for name, drafts in showing.items() if drafts))
    for name in findings:
        require_shown(name, showing, where="sample.plan.grid.finding")
    axes = {name: getattr(grid, name) for name in AXES} | {"finding": findings}
    named = {name: values for name, values in axes.items() if values}
    for values in product(*named.values()):
        yield dict(zip(named, values, strict=True))


def _matching(
    cells: Sequence[Cell],
    grid: GridSection,
    drafts: Sequence[Draft],
    showing: Mapping[str, Sequence[Draft]],
) -> list[list[Draft]]:
    """The drafts of every cell, in one pass a finding."""
    places = {tuple(cell.items()): place for place, cell in enumerate(cells)}
    found: list[list[Draft]] = [[] for _ in cells]
    names = list(dict.fromkeys(cell["finding"] for cell in cells)) if grid.finding else [""]
    axes = tuple(cells[0])
    for name in names:
        for draft in showing[name] if name else drafts:
            said = {"finding": name, **draft.attributes.get(name, {}), **_seen(draft)}
            key = tuple((axis, said.get(axis, "")) for axis in axes)
            if key in places:
                found[places[key]].append(draft)
    return found


def _seen(draft: Draft) -> dict[str, str]:
    return {name: draft.conditions[name] for name in _OF_IMAGE if name in draft.conditions}


def _changed(
    cell: Cell,
    drafts: Sequence[Draft],
    showing: Mapping[str, Sequence[Draft]],
    says: Callable[[Draft], bool],
    *,
    seed: int,
) -> list[Draft]:
    """Drafts with the cell's finding, made to be of the cell; their other findings stay."""
    name = cell.get("finding", "")
    own = {axis: cell[axis] for axis in _OF_FINDING if axis in cell}
    seen = {axis: cell[axis] for axis in _OF_IMAGE if axis in cell}
    made, pool = [], showing[name] if name else drafts
    order = numpy_rng("plan-cell", seed, _words(cell)).permutation(len(pool))[:_POOL]
    for draft in (pool[place] for place in order):
        attributes = draft.attributes
        if own:
            attributes = {**attributes, name: {**attributes.get(name, {}), **own}}
        conditions = with_side({**draft.conditions, **seen}, draft.labels, attributes)
        made.append(replace(draft, attributes=attributes, conditions=conditions))
    return [draft for draft in made if says(draft)]


def _quotas(grid: GridSection, filled: Sequence[int], count: int) -> dict[int, int]:
    """Images a cell that can be filled; shared equally, the first cells get what is left over."""
    needed = len(filled) * (grid.each or 1)
    if needed > count:
        raise UsageError(
            "the plan needs more images than are asked for",
            where="sample.count",
            got=count,
            expected=f"at least {needed} for {grid.each or 1} in each of {len(filled)} cells",
            fix=f"Set sample.count={needed}, or leave values of the grid out.",
        )
    if grid.each:
        return dict.fromkeys(filled, grid.each)
    share, over = divmod(count, len(filled))
    return {place: share + (rank < over) for rank, place in enumerate(filled)}


def _nothing(grid: GridSection, showing: Mapping[str, Sequence[Draft]]) -> UsageError:
    """Why no cell is filled: an axis without any of its values says most."""
    known = {
        details["severity"]
        for name, drafts in showing.items()
        if name in grid.finding or grid.finding == ("all",)
        for draft in drafts
        if "severity" in (details := draft.attributes.get(name, {}))
    }
    strange = [word for word in grid.severity if word not in known]
    severities = ", ".join(sorted(known)) or "no severity at all"
    return UsageError(
        "no training text fits any cell of the grid",
        where="sample.plan.grid",
        got=", ".join(strange),
        expected=f"severity one of {severities}" if strange else "",
        fix=(did_you_mean(strange[0], known) if strange else "")
        or "Name fewer axes, or set sample.plan.templates=true.",
    )


def _words(cell: Cell) -> str:
    """``small left pleural_effusion, PA, F, 60-79``."""
    own = " ".join(cell[axis] for axis in ("severity", "side", "finding") if axis in cell)
    return ", ".join([own] * bool(own) + [cell[axis] for axis in _OF_IMAGE if axis in cell])


def _notes(
    empty: Sequence[str],
    repeated: Sequence[str],
    total: int,
    seen: Sequence[str],
    conditions: Sequence[str],
) -> list[str]:
    notes = []
    if empty:
        notes.append(
            f"no training text fits {len(empty)} of {total} cells ({_some(empty)}): they stay "
            "empty; sample.plan.templates=true makes texts for cells that labels can describe"
        )
    if repeated:
        notes.append(
            f"{len(repeated)} of {total} cells have fewer distinct texts than images "
            f"({_some(repeated)}): texts are used again with other seeds"
        )
    blind = [name for name in seen if name not in conditions]
    if blind:
        notes.append(
            f"the model is not conditioned on {', '.join(blind)} (model.conditions): images of "
            "these cells differ by their texts alone"
        )
    return notes


def _some(words: Sequence[str]) -> str:
    more = f"; and {len(words) - _LISTED} more" if len(words) > _LISTED else ""
    return "; ".join(words[:_LISTED]) + more
