"""What augmentation changes: images that show each finding, before and after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from metrics.report_charts import bar_chart
from metrics.report_images import present_counts
from metrics.report_values import finite, items, part, sentence, words
from synth.manifest import Dataset, DatasetInfo

_MOST_BARS = 60  # the table has all findings


@dataclass(frozen=True)
class PlanCount:
    """Images that show a finding."""

    finding: str
    real: int
    made: int

    @property
    def total(self) -> int:
        """Both together."""
        return self.real + self.made


@dataclass(frozen=True)
class PlanView:
    """The counts, rarest in real training data first.

    Attributes:
        words: what was asked for.
        counts: one a finding.
        chart: the same as bars, None without findings.
        notes: wishes that the data could not fill.
        why: the reason where there are no counts.
    """

    words: str
    counts: tuple[PlanCount, ...]
    chart: Markup | None
    notes: tuple[str, ...]
    why: str = ""


def plan_view(real: Dataset, synthetic: Dataset, *, missing: str = "") -> PlanView:
    """From the plan in the synthetic ``dataset.json``, else counted from the rows.

    ``missing`` says why a side has no rows, where it has none.
    """
    counts = plan_counts(real, synthetic)
    stored = part(extra(synthetic.info), "plan")
    notes = tuple(sentence(note) for note in items(stored, "notes"))
    if not counts:
        return PlanView("", (), None, notes, missing or "The datasets carry no finding labels.")
    bars = [(words(row.finding), row.real, row.made) for row in counts[:_MOST_BARS]]
    title = "Images that show each finding, real and with synthetic ones added"
    return PlanView(_asked(stored), counts, bar_chart(bars, name="plan", title=title), notes)


def plan_counts(real: Dataset, synthetic: Dataset) -> tuple[PlanCount, ...]:
    """Counts a finding, rarest in real training data first; none where a side has no rows."""
    planned = [_planned(entry) for entry in items(part(extra(synthetic.info), "plan"), "findings")]
    counts = [row for row in planned if row is not None]
    if not counts and real.rows and synthetic.rows:
        before = present_counts(real.split("train") or real.rows)
        made = present_counts(synthetic.rows)
        counts = [PlanCount(name, before[name], made[name]) for name in {*before, *made}]
    return tuple(sorted(counts, key=lambda row: (row.real, row.finding)))


def extra(info: DatasetInfo) -> Mapping[str, Any]:
    """What ``dataset.json`` holds beyond the fields every dataset has."""
    return info.model_extra or {}


def _planned(entry: Any) -> PlanCount | None:
    if not isinstance(entry, Mapping):
        return None
    before, made = finite(entry.get("real")), finite(entry.get("planned"))
    if before is None or made is None or not (before or made):
        return None
    return PlanCount(str(entry.get("finding")), int(before), int(made))


def _asked(stored: Mapping[str, Any]) -> str:
    kind = stored.get("kind")
    if kind == "counts":
        wishes = part(stored, "counts")
        named = ", ".join(f"{words(name)} {wishes[name]}" for name in wishes)
        return f"Asked for: at least {named}; the rest mirrors the training split."
    if kind == "balance":
        return (
            f"Asked for: at least {stored.get('target')} synthetic images of every finding; the "
            "rest mirrors the training split."
        )
    if kind == "mirror":
        return "Asked for: findings as often as in the training split."
    return ""
