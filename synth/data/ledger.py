"""What became of each input while a preparation goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from synth.data.inputs import Input
from synth.data.quarantine import QuarantineRow
from synth.dicom import Identity, Unreadable


@dataclass
class Ledger:
    """Rows of the dataset, refusals and counts; every image is entered exactly once.

    Attributes:
        rows: sample id -> row, earlier runs included.
        by_content: hash of the PNG -> sample id.
        ok: images of the source that are in the dataset.
        new: of them, added by this run.
        updated: of them, with words that changed since an earlier run.
        without_record: of the new ones, those about which no table or text says anything.
        duplicates: images with the content of another one.
        quarantined: refused images.
        quarantine: rows of refused images and duplicates.
        claimed: ids of records that mean an image which is not in the dataset under them.
    """

    rows: dict[str, dict[str, Any]]
    by_content: dict[str, str]
    ok: int = 0
    new: int = 0
    updated: int = 0
    without_record: int = 0
    duplicates: int = 0
    quarantined: int = 0
    quarantine: list[QuarantineRow] = field(default_factory=list)
    claimed: set[str] = field(default_factory=set)

    def admit(self, row: dict[str, Any], content: str) -> None:
        """Record a new image of the dataset."""
        name = str(row["sample_id"])
        self.rows[name] = {**row, "split": None}
        self.by_content[content] = name
        self.ok += 1
        self.new += 1

    def refuse(self, item: Input, sha256: str, refusal: Unreadable, identity: Identity) -> None:
        """Record an image that does not get in."""
        self.quarantined += 1
        self.quarantine.append(QuarantineRow.of(item.name, sha256, refusal, identity))

    def repeat(
        self, items: Sequence[Input], sha256: str, sample_id: str, identity: Identity
    ) -> None:
        """Record images whose content is in the dataset already."""
        self.duplicates += len(items)
        self.quarantine += [
            QuarantineRow.duplicate(item.name, sha256, sample_id, identity) for item in items
        ]

    def __str__(self) -> str:
        """For the progress display."""
        counts = (
            (self.ok, "ok"),
            (self.quarantined, "quarantined"),
            (self.duplicates, "duplicates"),
        )
        return ", ".join(f"{count} {name}" for count, name in counts if count)
