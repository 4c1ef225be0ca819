"""The rules behind the verdict: from scores to one line a question.

Each asks for evidence (an interval that leaves out what is expected) *and* for size, so that a
harmless difference in a very large set is no fault. The sizes are conventions, named here once:
they are about what would change a reader's decision, not about significance.
"""

from __future__ import annotations

from metrics.report_values import Scores, bounds, finite, number, part, why_missing
from metrics.verdict_floor import BesideFloor, beside_floor
from metrics.verdict_line import (
    Line,
    State,
    named,
    percent,
    percents,
    rows,
    why_withheld,
    worst,
)

SMOOTH = 0.8  # of real fine detail, below which a set is too smooth; its reciprocal: too grainy
SMOOTHER = 0.9
COMPETENT = 0.7  # AUROC on real images from which the judge may call labels wrong
WRONG = 0.5  # AUROC of chance: below it labels are the wrong way round
FAINT = 0.1  # AUROC below real images' from which labels are a fault
FAINTER = 0.03


def likeness(scores: Scores) -> Line:
    """Do single images look like real ones, down to their fine detail?"""
    topic = "likeness", "whether single images look real"
    metrics = part(scores, "metrics")
    texture, precision = part(metrics, "texture"), part(metrics, "precision")
    held = beside_floor(precision)
    found = [line for line in (_texture(texture), held and _share(held)) if line]
    if not found:
        why = why_missing(scores, ("precision", "texture"), why_withheld(precision))
        return Line(*topic, "unknown", "", "Whether single images look real is not known.", why)
    state = worst([line[0] for line in found])
    why = " ".join(text for _, _, text in found)
    if state == "sound":
        says = "Single images look like real ones, as far as these features and their detail tell."
        return Line(*topic, "sound", "", says, why)
    if state == "unknown":
        says = "Whether single images look real is not certain: too few images to tell."
        return Line(*topic, "unknown", "", says, why)
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
    inside = ends[0] > SMOOTHER and ends[1] < 1.0 / SMOOTHER
    return ("sound" if inside else "unknown"), "", why


def _share(held: BesideFloor) -> tuple[State, str, str]:
    """Precision beside its floor: the same share of real images among other real ones."""
    why = held.sentence("of the synthetic images lie among real ones")
    bad = held.state in ("fault", "doubt")
    return held.state, "many of its images look unlike any real one" if bad else "", why


def variety(scores: Scores) -> Line:
    """Is everything there that real images show?"""
    topic = "variety", "whether it is as varied as real images"
    metrics = part(scores, "metrics")
    record, precision = part(metrics, "recall"), beside_floor(part(metrics, "precision"))
    held = {"lie among synthetic ones": beside_floor(record)}
    if precision is not None and precision.state in ("sound", "unknown"):
        # where single images look unlike real ones, coverage is low for that reason
        held["have a synthetic one close by"] = beside_floor(part(metrics, "coverage"))
    known = {what: share for what, share in held.items() if share is not None}
    if held["lie among synthetic ones"] is None:
        why = why_missing(scores, ("precision, recall", "recall"), why_withheld(record))
        return Line(*topic, "unknown", "", "How varied the set is, is not known.", why)
    why = " ".join(share.sentence(f"of real images {what}") for what, share in known.items())
    state = worst([share.state for share in known.values()])
    if state == "sound":
        return Line(*topic, "sound", "", "The set is about as varied as real images.", why)
    if state == "unknown":
        says = "Whether the set is as varied as real images is not certain: too few images to tell."
        return Line(*topic, "unknown", "", says, why)
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
        why = why_missing(scores, ("label",), why_withheld(macro))
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
        why = why_missing(scores, ("utility",), why_withheld(arm))
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
