"""Probe, retrieval and segmentation on the page: what each arm reaches, and what it adds."""

from __future__ import annotations

from dataclasses import dataclass

from metrics.numbers_within import areas_within, spreads_within
from metrics.report_values import Scores, count, interval, number, part, sentence, words

_KINDS = {
    "probe": (
        "Probe, a preview",
        "Logistic regression on frozen features that have seen no label, AUROC on real patients. "
        "It compares with no trained classifier.",
    ),
    "retrieval": (
        "Finding reports and images",
        "An image-text model trained on each arm looks for the report of a real image, and for the "
        "image of a real report, of held-out patients.",
    ),
    "segmentation": (
        "Outlining findings",
        "A U-Net trained on each arm outlines findings on real images of held-out patients. "
        "Dice: 1 is the same outline.",
    ),
}


@dataclass(frozen=True)
class ArmRow:
    """A score of one arm, as text."""

    name: str
    value: str
    ci: str
    delta: str
    delta_ci: str


@dataclass(frozen=True)
class ArmsView:
    """One kind of utility."""

    title: str
    about: str
    chance: tuple[tuple[str, str], ...]
    rows: tuple[ArmRow, ...]


def arms_views(scores: Scores) -> tuple[ArmsView, ...]:
    """Those kinds that were computed, in a fixed order."""
    return tuple(
        ArmsView(title, f"{about} {_tested(part(scores, kind))}".strip(), _chance(held), rows)
        for kind, (title, about) in _KINDS.items()
        if (held := part(scores, kind)) and (rows := _rows(held))
    )


def _tested(held: Scores) -> str:
    images, patients = count(held.get("n_test")), count(held.get("n_test_patients"))
    return sentence(f"tested on {images} images of {patients} patients")


def _rows(held: Scores) -> tuple[ArmRow, ...]:
    arms = part(held, "arms")
    if any("macro_auroc" in part(arms, name) for name in arms):
        return tuple(
            _row(path, row, row.get("macro_auroc"))
            for path, row in areas_within(held)
            if "macro_auroc" in row
        )
    return tuple(_row(path, row, row.get("value")) for path, row in spreads_within(held))


def _row(path: str, row: Scores, value: object) -> ArmRow:
    return ArmRow(
        path,
        number(value),
        interval(row.get("ci")),
        number(row.get("delta"), sign=True),
        interval(row.get("delta_ci"), sign=True),
    )


def _chance(held: Scores) -> tuple[tuple[str, str], ...]:
    """What a model that says nothing reaches, flat or by direction."""
    found = part(held, "chance")
    return tuple(
        (words(f"{way} {name}"), number(value))
        for way in found
        for name, value in part(found, way).items()
    )
