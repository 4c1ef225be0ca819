"""The fine-tune on the page: loss curves and preview grids, read from the run folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from markupsafe import Markup

from metrics.report_charts import Curve, curve_chart
from metrics.report_images import Shot, embed
from metrics.report_svg import AFTER, BEFORE, MUTED
from metrics.report_values import count, finite, number, words
from synth.manifest import read_jsonl

_PREVIEW_SIDE = 800  # pixels
_SMOOTHING = 0.9
_HARDEST = 5  # findings named with their validation loss
_SMOOTH_FROM = 30  # steps; fewer are shown as they are


@dataclass(frozen=True)
class Training:
    """What ``log.jsonl`` and ``previews/`` tell.

    Attributes:
        chart: the loss curves, None where nothing was logged.
        facts: (name, value) pairs about the run.
        previews: (caption, image): the first grid and the last one.
        why: the reason where there is nothing to show.
    """

    chart: Markup | None = None
    facts: tuple[tuple[str, str], ...] = ()
    previews: tuple[tuple[str, Shot], ...] = ()
    why: str = ""


def training(run: Path | None, facts: Mapping[str, Any]) -> Training:
    """Read a run folder.

    Args:
        run: the folder, None where the page is made without one.
        facts: the content of its ``run.json``, empty where there is none.
    """
    if run is None:
        return Training(why="The page was made without a run folder.")
    log = run / "log.jsonl"
    rows = list(read_jsonl(log)) if log.is_file() else []
    steps = _by_images_seen(rows, "step", "loss")
    validation = _by_images_seen(rows, "validation", "loss")
    averaged = _by_images_seen(rows, "validation", "loss_ema")
    curves = _curves(steps, validation, averaged)
    previews = _previews(run / "previews")
    if not curves and not previews:
        return Training(why="The run folder holds no training log and no previews.")
    chart = None
    if curves:
        chart = curve_chart(curves, name="training", title="Loss against images seen")
    return Training(chart, _facts(facts, steps, validation, averaged), previews)


def _by_images_seen(rows: Sequence[Mapping[str, Any]], kind: str, key: str) -> dict[int, float]:
    """The curve of one value; rows that a continued run repeats count once."""
    found: dict[int, float] = {}
    for row in rows:
        seen, value = finite(row.get("images_seen")), finite(row.get(key))
        if row.get("kind") == kind and seen is not None and value is not None:
            found[int(seen)] = value
    return dict(sorted(found.items()))


def _curves(
    steps: dict[int, float], validation: dict[int, float], averaged: dict[int, float]
) -> list[Curve]:
    curves = []
    if len(steps) >= _SMOOTH_FROM:
        x, y = list(steps), list(steps.values())
        smooth = accumulate(y, lambda old, new: _SMOOTHING * old + (1 - _SMOOTHING) * new)
        curves.append(Curve("a training step", x, y, MUTED, width=0.8, alpha=0.35))
        curves.append(Curve("training, smoothed", x, list(smooth), MUTED))
    elif steps:
        curves.append(Curve("training", list(steps), list(steps.values()), MUTED))
    for label, found, colour in (
        ("validation", validation, BEFORE),
        ("validation, averaged weights", averaged, AFTER),
    ):
        if found:
            curves.append(Curve(label, list(found), list(found.values()), colour, marker="o"))
    return curves


def _facts(
    facts: Mapping[str, Any],
    steps: dict[int, float],
    validation: dict[int, float],
    averaged: dict[int, float],
) -> tuple[tuple[str, str], ...]:
    seen = facts.get("images_seen") or (max(steps) if steps else None)
    pairs = [("images seen", count(seen))]
    if "steps" in facts:
        pairs.append(("optimiser steps", count(facts["steps"])))
    for name, found in (("validation loss", validation), ("with averaged weights", averaged)):
        values = list(found.values())
        if len(values) > 1:
            pairs.append((name, f"{number(values[0], 4)} → {number(values[-1], 4)}"))
        elif values:
            pairs.append((name, number(values[0], 4)))
    if hardest := _hardest(facts.get("validation") or {}):
        pairs.append(("validation loss, hardest findings", hardest))
    if finite(facts.get("trainable_parameters")) is not None:
        millions = facts["trainable_parameters"] / 1e6
        pairs.append(("trainable parameters", f"{number(millions, 2)} M"))
    if finite(facts.get("seconds")) is not None:
        pairs.append(("training time", duration(facts["seconds"])))
    for key in ("device", "precision"):
        if facts.get(key):
            pairs.append((key, str(facts[key])))
    return tuple(pairs)


def _hardest(validation: Mapping[str, Any]) -> str:
    """``hernia 0.1310 (n = 4), …``: of the averaged weights, the largest first."""
    losses = [
        (-loss, name, found["images"])
        for name, found in (validation.get("by_finding") or {}).items()
        if (loss := finite(found.get("loss_ema"))) is not None
    ]
    shown = sorted(losses)[:_HARDEST]
    return ", ".join(
        f"{words(name)} {number(-loss, 4)} (n = {count(n)})" for loss, name, n in shown
    )


def duration(seconds: float) -> str:
    """``1 h 02 min``, ``3 min 20 s`` or ``12 s``."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 60} min {whole % 60:02d} s" if whole >= 60 else f"{whole} s"


def _previews(folder: Path) -> tuple[tuple[str, Shot], ...]:
    """The first and the last grid, by the number of images seen that names them."""
    paths = sorted(
        (path for path in folder.glob("*.png") if path.stem.isdigit()), key=lambda p: int(p.stem)
    )
    shown = paths if len(paths) < 2 else [paths[0], paths[-1]]
    return tuple((_preview_title(path), _preview(path)) for path in shown)


def _preview_title(path: Path) -> str:
    seen = int(path.stem)
    return f"after {seen:,} images" if seen else "before fine-tuning"


def _preview(path: Path) -> Shot:
    alt = f"preview grid {_preview_title(path)}"
    return embed(path, alt=alt, longest=_PREVIEW_SIDE)
