"""A share of images beside its floor, which is measured on fewer of them, and what the gap says.

The share is that of all images and not of the floor's few: shares of real images against real ones
hardly change with N, and a generator that repeats a dozen images is only seen among many. What it
is at the floor's N stands in the sentence.
"""

from __future__ import annotations

from dataclasses import dataclass

from metrics.report_values import Scores, bounds, count, finite, part
from metrics.verdict_line import State, percent

FAR = 0.5  # of the floor that a share reaches, below which it is a fault
APART = 0.1  # below the floor from which it is a doubt


@dataclass(frozen=True)
class BesideFloor:
    """A share and the same of real images against real ones.

    Attributes:
        value: of all images.
        n: images a side behind it; None where the scores do not say.
        floor: between two halves of the real images.
        n_floor: images in each half; None where the scores do not say.
        same: of ``n_floor`` synthetic images; None where the scores do not say.
        reach: half the 95 % interval of the gap between ``floor`` and ``value``.
    """

    value: float
    n: int | None
    floor: float
    n_floor: int | None
    same: float | None
    reach: float

    @property
    def state(self) -> State:
        """A fault or doubt where the gap is wide beyond its interval; sound where it cannot be."""
        gap = self.floor - self.value
        if gap > max(APART, self.reach):
            return "fault" if self.value < FAR * self.floor else "doubt"
        return "sound" if gap + self.reach < APART else "unknown"

    def sentence(self, what: str) -> str:
        """The numbers, each with its own N; ``what`` is done by whom."""
        text = f"{percent(self.value)} {what}{_sides(self.n)}; with real images in place of "
        text += f"synthetic ones it is {percent(self.floor)}{_sides(self.n_floor)}"
        if self.same is not None and self.n_floor and self.n_floor != self.n:
            text += f", with as few synthetic ones {percent(self.same)}"
        return f"{text}."


def beside_floor(record: Scores) -> BesideFloor | None:
    """The share of a record; None without value, interval or floor."""
    floor = part(record, "floor")
    value, mark = finite(record.get("value")), finite(floor.get("value"))
    ends = bounds(record.get("ci"))
    if value is None or mark is None or ends is None:
        return None
    n, few = _size(record), finite(floor.get("n"))
    # The floor has an interval too, wider by its fewer images; halves unless the scores say.
    more = n / few if n and few else 2.0
    return BesideFloor(
        value=value,
        n=n,
        floor=mark,
        n_floor=None if few is None else int(few),
        same=finite(floor.get("synthetic_at_same_n")),
        reach=(ends[1] - ends[0]) / 2 * (1.0 + more) ** 0.5,
    )


def _size(record: Scores) -> int | None:
    """Images a side: the shares take the smaller of both."""
    sizes = [finite(record.get(side)) for side in ("n_real", "n_synthetic")]
    known = [int(size) for size in sizes if size]
    return min(known) if len(known) == len(sizes) else None


def _sides(n: int | None) -> str:
    return f" ({count(n)} a side)" if n else ""
