"""The first paragraph of the page and its key figures: what was done, in numbers."""

from __future__ import annotations

from dataclasses import dataclass

from metrics.report_fidelity import best_gain
from metrics.report_plan import PlanCount
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
    real: Dataset,
    synthetic: Dataset,
    counts: tuple[PlanCount, ...],
    weights: str,
) -> str:
    """One paragraph.

    Args:
        scores: the content of ``scores.json``.
        real: the real dataset.
        synthetic: the generated one.
        counts: images a finding, rarest first.
        weights: the base model's name, empty where no run is known.
    """
    told = [_made(real, synthetic, weights)]
    if counts and synthetic.info.synthetic:
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


def _made(real: Dataset, synthetic: Dataset, weights: str) -> str:
    patients = {row.patient_id for row in real.rows if row.patient_id}
    of = f" of {len(patients):,} patients" if patients else ""
    n_real, n_made = len(real.rows), len(synthetic.rows)
    if not weights:
        return (
            f"{n_made:,} synthetic {_images(n_made)} {_were(n_made)} compared with {n_real:,} real "
            f"{_images(n_real)}{of}."
        )
    train = len(real.split("train"))
    return (
        f"The base model {weights} was fine-tuned on {train:,} training images from a dataset of "
        f"{n_real:,} real images{of}; it then made {n_made:,} labelled synthetic "
        f"{_images(n_made)} from the training texts."
    )


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


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


def tiles(
    scores: Scores, *, real: Dataset, synthetic: Dataset, counts: tuple[PlanCount, ...]
) -> tuple[Tile, ...]:
    """Key figures; those that are unknown are left out."""
    splits = [f"{len(real.split(split)):,} {split}" for split in ("train", "val", "test")]
    shown = [
        Tile("real images", count(len(real.rows)), " · ".join(splits)),
        Tile("synthetic images", count(len(synthetic.rows)), _size(synthetic)),
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
