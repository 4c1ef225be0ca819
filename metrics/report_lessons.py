"""The same text before and after fine-tuning, for the finding that fine-tuning taught most."""

from __future__ import annotations

from dataclasses import dataclass

from metrics.report_images import Shot, embed_of, plainest
from metrics.report_sets import ShownSet
from metrics.report_values import words
from synth.manifest import Row

_SHOWN = 3


@dataclass(frozen=True)
class Lesson:
    """One text and what became of it.

    Attributes:
        before: by the base weights.
        after: by the fine-tuned ones, from the same noise; its caption is the text.
        real: the image that the text belongs to, None where it is not known.
    """

    before: Shot
    after: Shot
    real: Shot | None


def lessons(
    finding: str | None, *, before: ShownSet | None, synthetic: ShownSet, real: ShownSet
) -> tuple[Lesson, ...]:
    """Images of the same sample id in both synthetic datasets; empty where there are none."""
    if finding is None or before is None:
        return ()
    base = {row.sample_id: row for row in before.rows}
    originals = {row.sample_id: row for row in real.rows}
    both = [
        row
        for row in synthetic.rows
        if row.labels.get(finding) == 1
        and row.sample_id in base
        and base[row.sample_id].text_used == row.text_used
    ]
    found = []
    for row in plainest(both, finding)[:_SHOWN]:
        source = originals.get(str((row.model_extra or {}).get("source_sample_id")))
        found.append(
            Lesson(
                _shot(before, base[row.sample_id], f"{words(finding)} before fine-tuning"),
                _shot(synthetic, row, f"{words(finding)} after fine-tuning"),
                _shot(real, source, f"real image: {words(finding)}") if source else None,
            )
        )
    return tuple(found)


def _shot(side: ShownSet, row: Row, alt: str) -> Shot:
    return embed_of(side, side.of(row), alt=alt, text=row.text_used)
