"""The rules behind the verdict: from scores to one line a question.

Each asks for evidence (an interval that leaves out what is expected) *and* for size, so that a
harmless difference in a very large set is no fault. The sizes are conventions, named here once:
they are about what would change a reader's decision, not about significance.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metrics.report_values import Scores, bounds, finite, number, part, why_missing, words
from metrics.verdict_line import Line, State, named, percent, percents, rows, worst

COPIED = 0.01  # share of held-out images that lie as close to training ones: what is expected
MANY_COPIED = 0.03  # from here on copies are a fault even where they are few
TELLING = 0.55  # AUC of training against unseen images from which nearness to training matters
SMOOTH = 0.8  # of real fine detail, below which a set is too smooth; its reciprocal: too grainy
SMOOTHER = 0.9
FAR = 0.5  # of the floor that precision, recall or coverage reach, below which they are a fault
APART = 0.1  # below the floor from which they are a doubt
COMPETENT = 0.7  # AUROC on real images from which the judge may call labels wrong
WRONG = 0.5  # AUROC of chance: below it labels are the wrong way round
FAINT = 0.1  # AUROC below real images' from which labels are a fault
FAINTER = 0.03


def copying(scores: Scores) -> Line:
    """Are training images given out again?"""
    found = part(scores, "memorization")
    topic = "copying", "whether it copies training images"
    share, area = part(found, "share_closer"), part(found, "nn_auc")
    ends, range_ = bounds(share.get("ci")), bounds(area.get("ci"))
    if ends is None or finite(share.get("value")) is None:
        why = why_missing(scores, ("memorization", "training images"), _interval_note(share))
        says = "Whether training images are copied is not known."
        return Line(*topic, "unknown", "", says, why)
    near = range_ is not None and range_[0] > 0.5 and area["value"] >= TELLING
    close = ends[0] > COPIED
    many = close and share["value"] >= MANY_COPIED
    why = (
        f"{percent(share['value'])} of the synthetic images lie closer to a training image than "
        f"the closest {percent(COPIED)} of unseen real images do "
        f"(95 % interval {percents(ends)}){_nearness(area)}."
    )
    if close and (near or (many and range_ is None)):
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
    says = "No sign of copied training images was found; that is evidence, not proof of privacy."
    return Line(*topic, "sound", "", says, why)


def _copied(row: Scores) -> bool:
    """By evidence, corrected for the number of findings, and by size."""
    share, p = finite(row.get("share")), finite(row.get("p_holm"))
    return share is not None and p is not None and p < 0.05 and share >= MANY_COPIED


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


def likeness(scores: Scores) -> Line:
    """Do single images look like real ones, down to their fine detail?"""
    topic = "likeness", "whether single images look real"
    metrics = part(scores, "metrics")
    texture, precision = part(metrics, "texture"), part(metrics, "precision")
    found = [line for line in (_texture(texture), _share(precision)) if line is not None]
    if not found:
        why = why_missing(scores, ("precision", "texture"), _interval_note(precision))
        return Line(*topic, "unknown", "", "Whether single images look real is not known.", why)
    state = worst([line[0] for line in found])
    why = " ".join(text for _, _, text in found)
    if state == "sound":
        says = "Single images look like real ones, as far as these features and their detail tell."
        return Line(*topic, "sound", "", says, why)
    short = " and ".join(clause for mine, clause, _ in found if mine == state)
    reader = (
        "A reader, or a network that looks at fine detail, would tell them from real ones."
        if state == "fault"
        else "They can be told from real ones."
    )
    return Line(*topic, state, short, f"{short[0].upper()}{short[1:]}. {reader}", why)


def _texture(record: Scores) -> tuple[State, str, str] | None:
    value, ends = finite(record.get("value")), bounds(record.get("ci"))
    if value is None or ends is None:
        return None
    why = (
        f"Fine detail is {percent(value)} of that of real images (95 % interval {percents(ends)})."
    )
    if ends[1] < SMOOTHER or ends[0] > 1.0 / SMOOTHER:
        clause = "its images are " + ("smoother" if value < 1 else "grainier") + " than real ones"
        strong = value < SMOOTH or value > 1.0 / SMOOTH
        return "fault" if strong else "doubt", clause, why
    return "sound", "", why


def _share(record: Scores) -> tuple[State, str, str] | None:
    """Precision beside its floor: the same share of real images among other real ones."""
    held = _beside_floor(record)
    if held is None:
        return None
    value, floor, reach = held
    why = (
        f"{percent(value)} of the synthetic images lie among real ones; of unseen real images "
        f"{percent(floor)} do."
    )
    state = _below(value, floor, reach)
    return state, "" if state == "sound" else "many of its images look unlike any real one", why


def variety(scores: Scores) -> Line:
    """Is everything there that real images show?"""
    topic = "variety", "whether it is as varied as real images"
    metrics = part(scores, "metrics")
    record, precision = part(metrics, "recall"), _share(part(metrics, "precision"))
    held = {"lie among synthetic ones": _beside_floor(record)}
    if precision is not None and precision[0] == "sound":  # else it is low for another reason
        held["have a synthetic one close by"] = _beside_floor(part(metrics, "coverage"))
    known = {what: shares for what, shares in held.items() if shares is not None}
    if held["lie among synthetic ones"] is None:
        why = why_missing(scores, ("precision, recall", "recall"), _interval_note(record))
        return Line(*topic, "unknown", "", "How varied the set is, is not known.", why)
    why = " ".join(
        f"{percent(value)} of real images {what}; with as many real images in their place it is "
        f"{percent(floor)}."
        for what, (value, floor, _) in known.items()
    )
    state = worst([_below(*shares) for shares in known.values()])
    if state == "sound":
        return Line(*topic, "sound", "", "The set is about as varied as real images.", why)
    short = "it leaves out part of what real images show"
    says = "Part of what real images show is missing: rare looks may be absent altogether."
    return Line(*topic, state, short, says, why)


def labels(scores: Scores) -> Line:
    """Do images show what their labels say?"""
    topic = "labels", "whether its labels hold"
    found = part(scores, "label_fidelity")
    macro, findings = part(found, "macro"), part(found, "findings")
    value = finite(macro.get("auroc"))
    if value is None:
        why = why_missing(scores, ("label",), "no labels on both sides")
        return Line(*topic, "unknown", "", "Whether the labels hold is not known.", why)
    wrong = [name for name, row in rows(findings) if _opposite(row)]
    faint = [name for name, row in rows(findings) if name not in wrong and _falls_short(row)]
    why = _label_numbers(macro)
    if wrong:
        which = named(wrong)
        why = f"For {which} the judge says the opposite of the label. {why}"
        says = (
            f"Images asked to show {which} do not, and others do: labels are the wrong way round."
        )
        return Line(*topic, "fault", "its labels are wrong", says, why)
    state = _label_state(macro, faint)
    if state == "sound":
        return Line(*topic, "sound", "", "Images show what their labels say.", why)
    if state == "unknown":
        says = "Whether the labels hold is not certain: too few images to tell."
        return Line(*topic, "unknown", "", says, why)
    which = named(faint) if faint else "what was asked for"
    says = f"Not all images show {which}: their labels hold less than those of real images."
    return Line(*topic, state, "its labels hold less than real ones", says, why)


def _label_state(macro: Scores, faint: list[str]) -> State:
    ends = bounds(macro.get("difference_ci"))
    gap = finite(macro.get("difference"))
    if ends is not None and gap is not None and ends[1] < 0.0 and gap < -FAINT:
        return "fault"
    if faint or (ends is not None and gap is not None and ends[1] < 0.0 and gap < -FAINTER):
        return "doubt"
    if finite(macro.get("real_auroc")) is None or ends is None or ends[0] < -FAINT:
        return "unknown"
    return "sound"


def _opposite(row: Scores) -> bool:
    """Below chance by evidence, where the judge itself is no guesser."""
    ends, real, p = bounds(row.get("ci")), finite(row.get("real_auroc")), finite(row.get("p_holm"))
    known = real is not None and real >= COMPETENT and p is not None and p < 0.05
    return known and ends is not None and ends[1] < WRONG


def _falls_short(row: Scores) -> bool:
    """Below its ceiling by evidence, corrected for the number of findings, and by size."""
    gap, p = finite(row.get("difference")), finite(row.get("p_holm"))
    return gap is not None and p is not None and p < 0.05 and gap < -FAINTER


def _label_numbers(macro: Scores) -> str:
    ends = bounds(macro.get("ci"))
    shown = f" (95 % interval {number(ends[0], 2)} to {number(ends[1], 2)})" if ends else ""
    real = finite(macro.get("real_auroc"))
    against = f", on unseen real images {number(real, 2)}" if real is not None else ""
    return (
        "A classifier that knows real images only finds what was asked for with a mean AUROC of "
        f"{number(macro['auroc'], 2)}{shown}{against}."
    )


def usefulness(scores: Scores) -> Line:
    """Is a classifier better for having the set?"""
    topic = "usefulness", "whether it helps a classifier"
    arm = part(scores, "utility", "arms", "real+synthetic")
    gain, ends = finite(arm.get("delta")), bounds(arm.get("delta_ci"))
    if gain is None or ends is None:
        why = why_missing(scores, ("utility",), _interval_note(arm))
        return Line(*topic, "unknown", "", "Whether it helps a classifier is not known.", why)
    why = (
        "Added to the real training images, it changed the mean AUROC on unseen patients by "
        f"{number(gain, 3, sign=True)} (95 % interval {number(ends[0], 3, sign=True)} to "
        f"{number(ends[1], 3, sign=True)})."
    )
    if ends[0] > 0.0:
        says = "It makes a classifier of these findings better on unseen real patients."
        return Line(*topic, "sound", "", says, why)
    if ends[1] < 0.0:
        says = "It makes a classifier of these findings worse on unseen real patients."
        return Line(*topic, "doubt", "it makes a classifier worse", says, why)
    says = "No evidence that it makes a classifier better or worse."
    return Line(*topic, "unknown", "", says, why)


def _beside_floor(record: Scores) -> tuple[float, float, float] | None:
    """A share, its floor, and how far the share's interval reaches down or up.

    Of all images and not of the floor's few: shares of real images against real ones hardly change
    with N, and a generator that repeats a dozen images is only seen among many.
    """
    floor = part(record, "floor")
    value, mark = finite(record.get("value")), finite(floor.get("value"))
    ends = bounds(record.get("ci"))
    if value is None or mark is None or ends is None:
        return None
    return value, mark, (ends[1] - ends[0]) / 2


def _below(value: float, floor: float, reach: float) -> State:
    """A fault or doubt only where the gap to the floor is wide *and* beyond both intervals."""
    gap = floor - value
    if gap <= max(APART, 2**0.5 * reach):
        return "sound"
    return "fault" if value < FAR * floor else "doubt"


def _interval_note(record: Mapping[str, Any]) -> str:
    return str(record.get("note") or "") or "it was not measured"
