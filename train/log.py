"""The training log: one JSON object a line, readable while the run goes on.

A continued run repeats the steps since its last checkpoint; their rows follow the ``resume`` row
and say the same again. A tracker, if there is one, is told what the rows say.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synth.manifest import append_jsonl
from train.tracker import NoTracker, Tracker

WINDOW = 20  # steps that the shown loss and speed are means of


class Log:
    """Appends rows to ``log.jsonl``.

    Args:
        path: the file; None writes nothing, for the processes that are not the first.
        tracker: told of steps, validations, previews and resumes.
    """

    def __init__(self, path: Path | None, tracker: Tracker | None = None) -> None:
        self._path = path
        self._tracker = tracker if tracker is not None and path is not None else NoTracker()

    def write(self, kind: str, **values: Any) -> None:
        """Append one row; floats are kept whole."""
        if self._path is not None:
            append_jsonl(self._path, [{"kind": kind, **values}])
        if kind == "resume":
            self._tracker.resume(values["images_seen"])
        elif tracked := scalars(kind, values):
            self._tracker.scalars(values["images_seen"], tracked)

    def preview(self, images_seen: int, path: Path) -> None:
        """A grid was written."""
        self._tracker.picture(images_seen, "preview", path)

    def close(self) -> None:
        """Nothing more is written."""
        self._tracker.close()


def scalars(kind: str, values: Mapping[str, Any]) -> dict[str, float]:
    """What a row gives a tracker: numbers by name, losses of findings each under their own."""
    if kind == "step":
        return {f"train/{name}": values[name] for name in ("loss", "lr", "grad_norm", "seconds")}
    if kind != "validation":
        return {}
    found = {f"validation/{name}": values[name] for name in ("loss", "loss_ema")}
    for finding, facts in values.get("by_finding", {}).items():
        found[f"validation_by_finding/{finding}"] = facts["loss_ema"]
    return found


@dataclass
class Watch:
    """Loss and speed of the last steps, as a progress display shows them."""

    steps: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=WINDOW))

    def words(self, loss: float, seconds: float, images: int) -> str:
        """Take in a step; ``"loss 0.0421, 38.2 images/s"``, means of the last ``WINDOW``.

        Args:
            loss: of the step.
            seconds: it took.
            images: in it.
        """
        self.steps.append((loss, seconds))
        mean = sum(loss for loss, _ in self.steps) / len(self.steps)
        spent = sum(seconds for _, seconds in self.steps)
        speed = f", {len(self.steps) * images / spent:.1f} images/s" if spent else ""
        return f"loss {mean:.4f}{speed}"
