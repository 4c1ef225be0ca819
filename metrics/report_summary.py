"""The first paragraph of the page and its key figures: what was done, in numbers."""

from __future__ import annotations

from dataclasses import dataclass

from metrics.report_fidelity import best_gain
from metrics.report_plan import PlanCount
from metrics.report_sets import ShownSet, ShownSets
from metrics.report_values import Scores, bounds, count, finite, interval, number, part, words
from synth.manifest import Dataset


@dataclass(frozen=True)
class Tile:
    """A key figure."""

    label: str
    value: str
    detail: str = ""


def sentences(
    scores: Scores,
    *,
    sets: ShownSets,
    counts: tuple[PlanCount, ...],
    weights: str,
) -> str:
    """One paragraph.

    Args:
        scores: the content of ``scores.json``.
        sets: what was scored.
        counts: images a finding, rarest first.
        weights: the base model's name, empty where no run is known.
    """
    told = [_made(sets, weights)]
    if counts and sets.synthetic.dataset.info.synthetic:
        rare = counts[0]
        told.append(
            f"The rarest finding, {words(rare.finding)}, goes from {rare.real:,} real training "
            f"{_images(rare.real)} to {rare.total:,} with the synthetic ones."
        )
    best = best_gain(scores)
    if best is not None:
        told.append(
            f"Fine-tuning taught most about {words(best.finding)}: label fidelity, the AUROC of a "
            f"judge trained on real images, rose from {number(best.before, 2)} before to "
            f"{number(best.after, 2)} after."
        )
    told.append(_mean(scores, explained=best is not None))
    return " ".join(text for text in told if text)


def _made(sets: ShownSets, weights: str) -> str:
    real, synthetic = sets.real, sets.synthetic
    compared = f"{_count(real, 'real ')}{_patients(real)}"
    if not weights:
        made = _count(synthetic, "synthetic ")
        return f"{made[0].upper()}{made[1:]} {_were(synthetic)} compared with {compared}."
    made = _count(synthetic, "labelled synthetic ")
    if sets.train is not real:
        return f"The base model {weights} was fine-tuned; {made} are compared with {compared}."
    train = len(real.dataset.split("train"))
    return (
        f"The base model {weights} was fine-tuned on {train:,} training images from a dataset of "
        f"{compared}; it then made {made} from the training texts."
    )


def _count(side: ShownSet, kind: str) -> str:
    """``24 real images``, or ``real images`` where nobody knows how many."""
    known = side.images
    return f"{kind}images" if known is None else f"{known:,} {kind}{_images(known)}"


def _patients(side: ShownSet) -> str:
    patients = {row.patient_id for row in side.rows if row.patient_id}
    return f" of {len(patients):,} patients" if patients else ""


def _were(side: ShownSet) -> str:
    return "was" if side.images == 1 else "were"


def _mean(scores: Scores, *, explained: bool) -> str:
    macro = part(scores, "label_fidelity", "macro")
    after, ceiling = finite(macro.get("auroc")), finite(macro.get("real_auroc"))
    if after is None:
        return ""
    against = f"; on real test images the same judge reaches {number(ceiling, 2)}"
    subject = "it" if explained else "label fidelity, the AUROC of a judge trained on real images,"
    text = f"Over all judged findings {subject} is {number(after, 2)} on average"
    return text + (against if ceiling is not None else "") + "."


def _images(number: int) -> str:
    return "image" if number == 1 else "images"


def tiles(
    scores: Scores, *, real: ShownSet, synthetic: ShownSet, counts: tuple[PlanCount, ...]
) -> tuple[Tile, ...]:
    """Key figures; those that are unknown are left out."""
    names = ("train", "val", "test") if real.splits else ()
    splits = [f"{len(real.dataset.split(name)):,} {name}" for name in names]
    shown = [
        Tile("real images", count(real.images), " · ".join(splits)),
        Tile("synthetic images", count(synthetic.images), _size(synthetic.dataset)),
    ]
    if counts:
        rare = counts[0]
        value = f"{rare.real:,} → {rare.total:,}"
        shown.append(Tile(f"{words(rare.finding)} images", value, "the rarest finding"))
    if best := best_gain(scores):
        value = f"{number(best.before, 2)} → {number(best.after, 2)}"
        detail = "AUROC, before → after fine-tuning"
        shown.append(Tile(f"label fidelity, {words(best.finding)}", value, detail))
    macro = part(scores, "label_fidelity", "macro")
    if finite(macro.get("auroc")) is not None:
        detail = f"AUROC, 95 % {interval(macro.get('ci'), 2)}" if bounds(macro.get("ci")) else ""
        shown.append(Tile("label fidelity, mean", number(macro["auroc"], 2), detail))
    return tuple(shown)


def _size(dataset: Dataset) -> str:
    side = dataset.info.size or (dataset.rows[0].width if dataset.rows else 0)
    return f"{side} × {side} pixels" if side else ""
