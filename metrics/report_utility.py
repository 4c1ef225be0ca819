"""Downstream utility on the page: the arms, their gains, the curve and the groups served worst."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from metrics.report_charts import share_chart
from metrics.report_forest import Dots, dot_chart
from metrics.report_values import (
    LEVEL,
    NONE,
    Point,
    Scores,
    count,
    finite,
    interval,
    items,
    number,
    part,
    point,
    sentence,
    why_missing,
    words,
)

_LEAST_POINTS = 3  # below which a curve says no more than the dots


@dataclass(frozen=True)
class Cell:
    """One arm's AUROC on a finding, and what it adds to training on real images."""

    auroc: str
    ci: str
    delta: str
    delta_ci: str


@dataclass(frozen=True)
class UtilityRow:
    """A finding, or an arm's mean, over the arms."""

    name: str
    n: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class UtilityArm:
    """An arm's other scores, as text."""

    name: str
    auprc: str
    ece: str
    brier: str
    changed: str
    worst: str
    group: str
    missed: str
    gap: str
    between: str


@dataclass(frozen=True)
class Utility:
    """The section.

    Attributes:
        rows: the mean, then a finding each, over the arms.
        arms: (name, images trained on).
        more: the arms' other scores.
        choice: who stopped and chose the classifiers.
        facts: ``n_test``, ``n_test_patients`` and ``steps``, as text.
        chart: the arms as dots.
        curve: AUROC against the number of synthetic images, None below three points.
        why: the reason where there is nothing.
    """

    rows: tuple[UtilityRow, ...]
    arms: tuple[tuple[str, str], ...]
    more: tuple[UtilityArm, ...]
    choice: str
    facts: Mapping[str, str]
    chart: Markup | None
    curve: Markup | None
    why: str


def utility_view(scores: Scores) -> Utility:
    """Downstream utility, or why there is none."""
    rows, dots, curve = utility_rows(scores), utility_dots(scores), utility_curve(scores)
    found = part(scores, "utility")
    arms = part(found, "arms")
    reason = "Downstream utility was not computed."
    title = "Mean AUROC on real test patients by what the classifier was trained on"
    along = "Mean AUROC on real test patients by how many synthetic images were added"
    base = finite(part(arms, "real").get("macro_auroc"))
    return Utility(
        rows=rows,
        arms=tuple((words(n), count(part(arms, n).get("n_train"))) for n in utility_arms(scores)),
        more=utility_more(scores),
        choice=utility_choice(scores),
        facts={key: count(found.get(key)) for key in ("n_test", "n_test_patients", "steps")},
        chart=dot_chart(dots, name="utility", title=title, about="1: every finding recognised")
        if dots
        else None,
        curve=share_chart(curve, base=base, name="shares", title=along)
        if len(curve) >= _LEAST_POINTS
        else None,
        why="" if rows else sentence(why_missing(scores, ("utility",), reason)),
    )


def utility_arms(scores: Scores) -> tuple[str, ...]:
    """The names of the arms, training on real images first."""
    arms = part(scores, "utility", "arms")
    return tuple(sorted((name for name in arms if part(arms, name)), key=lambda n: n != "real"))


def utility_rows(scores: Scores) -> tuple[UtilityRow, ...]:
    """AUROC on held-out real patients: the mean, then every finding."""
    names = utility_arms(scores)
    arms = [part(scores, "utility", "arms", name) for name in names]
    findings = sorted({finding for arm in arms for finding in part(arm, "findings")})
    rows = [UtilityRow("mean", "", tuple(_cell(arm, "macro_auroc") for arm in arms))]
    for finding in findings:
        found = [part(arm, "findings", finding) for arm in arms]
        sides = _tested(found)
        rows.append(UtilityRow(words(finding), sides, tuple(_cell(one, "auroc") for one in found)))
    return tuple(rows) if names else ()


def _tested(found: Sequence[Scores]) -> str:
    known = next((one for one in found if one), {})
    return f"{count(known.get('n_positive'))} / {count(known.get('n_negative'))}"


def _cell(record: Scores, key: str) -> Cell:
    delta = finite(record.get("delta"))
    return Cell(
        number(record.get(key)),
        interval(record.get("ci")),
        "" if not delta else number(delta, 3, sign=True),
        "" if not delta else interval(record.get("delta_ci"), 3, sign=True),
    )


def utility_more(scores: Scores) -> tuple[UtilityArm, ...]:
    """What else an arm is worth, one row an arm; none where the scores do not hold it."""
    arms = part(scores, "utility", "arms")
    named = [(name, part(arms, name)) for name in utility_arms(scores)]
    return tuple(
        _utility_arm(name, arm) for name, arm in named if finite(arm.get("macro_auprc")) is not None
    )


def _utility_arm(name: str, arm: Scores) -> UtilityArm:
    worst, missed = part(arm, "worst_group"), part(arm, "underdiagnosis")
    gaps = {key: part(missed, "by", key) for key in part(missed, "by")}
    widest = max(gaps, key=lambda key: finite(gaps[key].get("gap")) or 0.0, default="")
    gap = gaps.get(widest, {})
    tested = [part(arm, "findings", key) for key in part(arm, "findings")]
    p = [value for one in tested if (value := finite(one.get("p_holm"))) is not None]
    return UtilityArm(
        name=words(name),
        auprc=number(arm.get("macro_auprc")),
        ece=number(arm.get("macro_ece")),
        brier=number(arm.get("macro_brier")),
        changed=f"{sum(value < LEVEL for value in p)} of {len(p)}" if p else NONE,
        worst=number(worst.get("auroc")),
        group=f"{words(str(worst['attribute']))} {worst['group']}" if worst else "",
        missed=number(missed.get("rate")),
        gap=number(gap.get("gap")),
        between=f"{words(widest)} {gap['worst']} and {gap['best']}" if gap else "",
    )


def utility_choice(scores: Scores) -> str:
    """Who stopped and chose the classifiers, as a sentence."""
    found = part(scores, "utility")
    source = str(found.get("validation") or "")
    if not source or source.startswith("none"):
        return ""
    looked = count(found.get("n_validation"))
    return f"Training was stopped by {looked} real images of other patients ({source})."


def utility_dots(scores: Scores) -> tuple[Dots, ...]:
    """Mean AUROC of each arm for the dot chart."""
    rows = [
        Dots(
            f"trained on {words(name)}", point(part(scores, "utility", "arms", name), "macro_auroc")
        )
        for name in utility_arms(scores)
    ]
    return tuple(row for row in rows if row.after)


def utility_curve(scores: Scores) -> tuple[tuple[float, Point], ...]:
    """(share of the real count that is added, mean AUROC), real images alone at 0."""
    found = {}
    for entry in items(part(scores, "utility"), "curve"):
        share = finite(part({"entry": entry}, "entry").get("alpha"))
        if share is None:
            continue
        dot = point(part(scores, "utility", "arms", str(entry.get("arm"))), "macro_auroc")
        if dot is not None:
            found[share] = dot
    return tuple(sorted(found.items()))
