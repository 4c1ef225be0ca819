"""Each finding and each group of patients on its own: forests, numbers, gaps, and what is withheld.

The order is by kernel distance, worst first: what a reader looks for is where the generator fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from metrics.report_forest import ForestRow, forest_chart
from metrics.report_values import (
    LEVEL,
    NONE,
    Scores,
    count,
    finite,
    interval,
    items,
    number,
    p_value,
    part,
    point,
    sentence,
    why_missing,
    words,
)

_MOST_ROWS = 60  # in one chart; the tables have all groups
_AXIS = "kernel distance (0: identical, dashed)"
_COUNTS = "N real / synthetic"
_NO_FINDINGS = "Findings were not scored one by one."
_NO_GROUPS = "Groups of patients were not scored one by one."


@dataclass(frozen=True)
class GroupRow:
    """One finding or group, as text."""

    name: str
    column: str
    n: str
    kd: str
    ci: str
    floor: str
    p: str
    p_holm: str
    differs: bool
    nearest: str
    nearest_real: str
    precision: str
    recall: str
    coverage: str
    variety: str
    variety_real: str
    fd: str
    withheld: str


@dataclass(frozen=True)
class GapRow:
    """The widest gap of a column, as text."""

    column: str
    worst: str
    best: str
    gap: str
    ci: str
    p: str
    differs: bool


@dataclass(frozen=True)
class GroupsView:
    """Findings, or groups of patients.

    Attributes:
        rows: worst first; within a column for groups of patients.
        gaps: of each column; none for findings.
        chart: the forest, None without rows.
        more: rows that the chart leaves to the table.
        differing: how many differ after correction.
        withheld: (introduction, groups) of what was too small or not stated.
        why: the reason where there are no rows.
    """

    rows: tuple[GroupRow, ...]
    gaps: tuple[GapRow, ...]
    chart: Markup | None
    more: int
    differing: int
    withheld: tuple[tuple[str, tuple[str, ...]], ...]
    why: str

    @property
    def varied(self) -> bool:
        """Whether any row knows its variety."""
        return any(row.variety != NONE for row in self.rows)

    @property
    def frechet(self) -> bool:
        """Whether any row has images enough for a Fréchet distance."""
        return any(row.fd != NONE for row in self.rows)


def findings_view(scores: Scores) -> GroupsView:
    """``per_finding`` of the scores."""
    found = part(scores, "per_finding")
    title = "Kernel distance of each finding, real against synthetic images, beside its floor"
    return _view(scores, {"": found}, (), "per-finding", _NO_FINDINGS, title)


def subgroups_view(scores: Scores) -> GroupsView:
    """``per_subgroup`` and ``subgroup_gaps`` of the scores."""
    columns = part(scores, "per_subgroup")
    gaps = part(scores, "subgroup_gaps")
    title = "Kernel distance of each group of patients, real against synthetic, beside its floor"
    found = {name: part(columns, name) for name in columns}
    rows = tuple(_gap(name, part(gaps, name)) for name in gaps if part(gaps, name))
    return _view(scores, found, rows, "per-subgroup", _NO_GROUPS, title)


def _view(
    scores: Scores,
    columns: Mapping[str, Scores],
    gaps: tuple[GapRow, ...],
    what: str,
    otherwise: str,
    title: str,
) -> GroupsView:
    held = [
        (column, name, group) for column in columns for name, group in _worst_first(columns[column])
    ]
    shown = held[:_MOST_ROWS]
    rows = tuple(_row(*entry) for entry in held)
    drawn = tuple(_forest(shown))
    chart = None
    if drawn:
        chart = forest_chart(drawn, name=what, title=title, axis=_AXIS, counts=_COUNTS)
    return GroupsView(
        rows=rows,
        gaps=gaps,
        chart=chart,
        more=len(held) - len(shown),
        differing=sum(row.differs for row in rows),
        withheld=tuple(_withheld(scores, what)) if rows else (),
        why="" if rows else words(sentence(why_missing(scores, (words(what), what), otherwise))),
    )


def _worst_first(groups: Scores) -> list[tuple[str, Scores]]:
    """Groups by kernel distance, those without one last."""
    held = [(name, part(groups, name)) for name in groups if part(groups, name)]

    def key(entry: tuple[str, Scores]) -> tuple[float, str]:
        value = finite(part(entry[1], "kd").get("value"))
        return (float("inf") if value is None else -value, entry[0])

    return sorted(held, key=key)


def _forest(held: Sequence[tuple[str, str, Scores]]) -> Iterator[ForestRow]:
    """Rows of the chart; a column's name stands above its groups."""
    before = ""
    for column, name, group in held:
        dot = point(part(group, "kd"))
        if dot is None:
            continue
        if column != before:
            yield ForestRow(words(column))
            before = column
        mark = finite(part(group, "kd", "floor").get("value"))
        yield ForestRow(words(name), dot, mark, _differs(group), _sides(group))


def _differs(group: Scores) -> bool:
    p = finite(group.get("p_holm"))
    return p is not None and p < LEVEL


def _sides(group: Scores) -> str:
    return f"{count(group.get('n_real'))} / {count(group.get('n_synthetic'))}"


def _row(column: str, name: str, group: Scores) -> GroupRow:
    kd, nearest = part(group, "kd"), part(group, "nearest_share")
    details = part(nearest, "details")
    coverage, expected = part(group, "coverage"), part(group, "coverage", "details").get("expected")
    vendi, real_vendi = part(group, "vendi"), part(group, "vendi", "details").get("real")
    withheld = part(group, "withheld")
    return GroupRow(
        name=words(name),
        column=words(column),
        n=_sides(group),
        kd=number(kd.get("value")),
        ci=interval(kd.get("ci")),
        floor=number(part(kd, "floor").get("value")),
        p=p_value(group.get("p")),
        p_holm=p_value(group.get("p_holm")),
        differs=_differs(group),
        nearest=number(nearest.get("value")),
        nearest_real=f"real {number(details.get('real'))}, chance {number(details.get('chance'))}"
        if details
        else "",
        precision=number(part(group, "precision").get("value")),
        recall=number(part(group, "recall").get("value")),
        coverage=number(coverage.get("value"))
        + (f" of {number(expected)}" if finite(expected) is not None else ""),
        variety=number(vendi.get("value")),
        variety_real=f"real {number(real_vendi)}" if finite(real_vendi) is not None else "",
        fd=number(part(group, "fd").get("value")),
        withheld="; ".join(f"{words(what)}: {why}" for what, why in withheld.items()),
    )


def _gap(column: str, gap: Scores) -> GapRow:
    p = finite(gap.get("p"))
    return GapRow(
        column=words(column),
        worst=words(str(gap.get("worst", NONE))),
        best=words(str(gap.get("best", NONE))),
        gap=number(gap.get("value")),
        ci=interval(gap.get("ci")),
        p=p_value(p),
        differs=p is not None and p < LEVEL,
    )


def _withheld(scores: Scores, what: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What was left out: ``fewer than 10 images: a (…); b (…)`` as its reason and a list."""
    for entry in items(scores, "not_computed"):
        if isinstance(entry, Mapping) and entry.get("what") == what:
            why = words(str(entry.get("why", "")))
            reason, _, listed = why.partition(": ")
            if listed.endswith(")"):  # each with its N
                yield sentence(reason), tuple(listed.split("; "))
            else:
                yield sentence(why), ()
