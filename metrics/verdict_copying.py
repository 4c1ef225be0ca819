"""The rule behind "does it copy training images?".

Evidence is the exact p of the share that lies closer to training images than unseen patients do, or
the interval of the AUC between training and unseen images; sizes are named here once. That few
copies were found is sound only where the interval of the share leaves out that there are many.
"""

from __future__ import annotations

from metrics.report_values import (
    LEVEL,
    Scores,
    bounds,
    count,
    finite,
    number,
    p_value,
    part,
    why_missing,
    words,
)
from metrics.verdict_line import Line, named, percent, percents, rows, why_withheld

COPIED = 0.01  # of the images, beyond what is expected, from which on closeness matters at all
MANY_COPIED = 0.03  # from here on copies are a fault even where they are few
TELLING = 0.55  # AUC of training against unseen images from which nearness to training matters


def copying(scores: Scores) -> Line:
    """Are training images given out again?"""
    found = part(scores, "memorization")
    topic = "copying", "whether it copies training images"
    share, area = part(found, "share_closer"), part(found, "nn_auc")
    value, evident, range_ = finite(share.get("value")), _evident(share), bounds(area.get("ci"))
    if value is None or evident is None:
        why = why_missing(scores, ("memorization", "training images"), why_withheld(share))
        says = "Whether training images are copied is not known."
        return Line(*topic, "unknown", "", says, why)
    near = range_ is not None and range_[0] > 0.5 and area["value"] >= TELLING
    close = evident and value - _expected(share) >= COPIED
    why = f"{_share_numbers(share)}{_nearness(area)}."
    if close and value >= MANY_COPIED and (near or range_ is None):
        says = (
            "Some synthetic images are training images again, or nearly so: sharing the set may "
            "show patients."
        )
        return Line(*topic, "fault", "it copies training images", says, why)
    if copied := [name for name, row in rows(part(found, "by_finding")) if _copied(row)]:
        which = named(copied)
        says = f"Images of {which} lie unusually close to training images: look at the pairs."
        why = f"{_finding_numbers(part(found, 'by_finding', copied[0]), copied[0])} {why}"
        short = f"images of {which} lie unusually close to training images"
        return Line(*topic, "doubt", short, says, why)
    if close or near:
        says = "Some synthetic images lie unusually close to training images: look at the pairs."
        short = "some images lie unusually close to training images"
        return Line(*topic, "doubt", short, says, why)
    at_most = _at_most(share)
    if at_most is None or at_most >= MANY_COPIED:
        says = "No sign of copied training images, but too few images to tell."
        return Line(*topic, "unknown", "", says, why)
    says = "No sign of copied training images was found; that is evidence, not proof of privacy."
    return Line(*topic, "sound", "", says, why)


def _evident(share: Scores) -> bool | None:
    """Whether more images lie close than chance explains; None where the scores do not say."""
    p, ends = finite(part(share, "details").get("p")), bounds(share.get("ci"))
    if p is not None:
        return p < LEVEL
    if ends is None:
        return None
    # Scores of older versions: their interval leaves out that the closest of few unseen images is
    # itself a draw. Of as many, chance puts this share below it in one set of twenty.
    real = finite(share.get("n_real")) or 0.0
    chance = 1.0 - LEVEL ** (1.0 / real) if real >= 1.0 else 0.0
    return ends[0] > max(COPIED, chance)


def _expected(share: Scores) -> float:
    expected = finite(part(share, "details").get("expected"))
    return COPIED if expected is None else expected


def _at_most(share: Scores) -> float | None:
    """Upper limit of the share, which stands where the interval's lower end is withheld too."""
    limit = finite(part(share, "details").get("at_most"))
    ends = bounds(share.get("ci"))
    return limit if limit is not None or ends is None else ends[1]


def _share_numbers(share: Scores) -> str:
    details = part(share, "details")
    value, p = percent(share["value"]), finite(details.get("p"))
    if p is None:
        ends = bounds(share.get("ci")) or (0.0, 1.0)
        return (
            f"{value} of the synthetic images lie closer to a training image than the closest "
            f"{percent(COPIED)} of unseen real images do (95 % interval {percents(ends)})"
        )
    rank = finite(details.get("rank")) or 1.0
    closest = "the closest" if rank <= 1.0 else f"the closest {count(rank)}"
    told = p_value(p) if p < 0.001 else f"= {p_value(p)}"
    at_most = _at_most(share)
    limit = "" if at_most is None else f", at most {percent(at_most)} with more unseen patients"
    return (
        f"{value} of the synthetic images lie closer to a training image than {closest} of "
        f"{count(details.get('patients'))} unseen patients do ({percent(_expected(share))} is "
        f"expected, p {told}{limit})"
    )


def _copied(row: Scores) -> bool:
    """By evidence, corrected for the number of findings, and by size."""
    share, p = finite(row.get("share")), finite(row.get("p_holm"))
    return share is not None and p is not None and p < LEVEL and share >= MANY_COPIED


def _finding_numbers(row: Scores, name: str) -> str:
    return (
        f"Of the images asked to show {words(name)}, {percent(row['share'])} lie closer to a "
        f"training image than the closest of {row['patients']} unseen patients with it; "
        f"{percent(row['expected'])} is expected."
    )


def _nearness(area: Scores) -> str:
    value = finite(area.get("value"))
    if value is None:
        return ""
    ends = bounds(area.get("ci"))
    shown = f", {number(ends[0], 2)} to {number(ends[1], 2)}" if ends else ""
    return (
        "; nearness tells training from unseen images with an AUC of "
        f"{number(value, 2)} (0.5 is none{shown})"
    )
