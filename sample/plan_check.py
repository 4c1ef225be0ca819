"""Wishes that the data cannot fill, explained: what there is instead, and what to change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil

from sample.plan_draw import Draft
from synth.config.schema import PlanSection
from synth.errors import UsageError
from synth.registry import did_you_mean

_LISTED = 6  # names a note spells out


def targets_of(
    settings: PlanSection,
    count: int,
    showing: Mapping[str, Sequence[Draft]],
    *,
    present: Sequence[str],
) -> tuple[dict[str, int], list[str]]:
    """Number of images wanted a finding, and notes on findings that had to be left out.

    Args:
        settings: ``counts`` or ``balance``; another kind has no targets.
        count: images in all.
        showing: finding -> the training texts that show it.
        present: the findings that the dataset has images of.

    Raises:
        UsageError: a finding asked for by name is unknown, or shown by no training text.
    """
    if settings.kind == "counts":
        for name in settings.counts:
            require_shown(name, showing, where=f"sample.plan.counts.{name}")
        return dict(settings.counts), []
    if settings.kind != "balance":
        return {}, []
    target = settings.target or ceil((settings.prevalence or 0.0) * count - 1e-9)
    missing = [name for name, drafts in showing.items() if not drafts and name in present]
    notes = [f"no training text asks for {', '.join(missing)}: no image of these is made"]
    wanted = {name: target for name, drafts in showing.items() if drafts}
    return wanted, notes if missing else []


def require_shown(name: str, showing: Mapping[str, Sequence[Draft]], *, where: str) -> None:
    """Refuse a finding that no training text shows.

    Raises:
        UsageError: it is unknown, or known and not shown.
    """
    if name not in showing:
        raise UsageError(
            "the dataset has no such finding",
            where=where,
            expected="one of " + ", ".join(sorted(showing)),
            fix=did_you_mean(name, showing),
        )
    if not showing[name]:
        shown = sorted(finding for finding, drafts in showing.items() if drafts)
        raise UsageError(
            "no training image with a text shows this finding, so nothing says what to make",
            where=where,
            expected="one of " + ", ".join(f"{f} ({len(showing[f])})" for f in shown),
            fix="Ask for another finding, or prepare data whose training split has it.",
        )


def require_room(
    settings: PlanSection, needed: int, count: int, targets: Mapping[str, int]
) -> None:
    """Refuse targets that need more images than there are to be.

    Raises:
        UsageError: with the number that would do.
    """
    if needed <= count:
        return
    fix = f"Set sample.count={needed} or lower the plan's numbers."
    first = dict(list(targets.items())[:_LISTED])
    more = f" and {len(targets) - _LISTED} more" if len(targets) > _LISTED else ""
    if settings.prevalence is not None:  # more images would raise the targets too
        reach = settings.prevalence * count / needed
        fix = f"Lower sample.plan.prevalence: about {reach:.3f} can be reached for all at once."
    raise UsageError(
        "the plan needs more images than are asked for",
        where="sample.count",
        got=count,
        expected=f"at least {needed} to reach {wishes(first)}{more}",
        fix=fix,
    )


def repetition_notes(
    targets: Mapping[str, int], showing: Mapping[str, Sequence[Draft]]
) -> list[str]:
    """A sentence on targets that exceed the distinct texts, so that texts are used again."""
    texts = {name: len({draft.text for draft in showing[name]}) for name in targets}
    short = [name for name in targets if targets[name] > texts[name]]
    if not short:
        return []
    short.sort(key=lambda name: (texts[name] / targets[name], name))
    listed = ", ".join(f"{name} {targets[name]} from {texts[name]}" for name in short[:_LISTED])
    more = f" and {len(short) - _LISTED} more" if len(short) > _LISTED else ""
    return [
        f"more images are asked for than there are distinct texts ({listed}{more}): texts are used "
        "again with other seeds; sample.plan.recombine=true words them anew"
    ]


def wishes(targets: Mapping[str, int]) -> str:
    """``hernia 20, mass 30``."""
    return ", ".join(f"{name} {target}" for name, target in targets.items())
