"""The account of a preparation: what became of every path, line and patient."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synth.data.inputs import Input
from synth.data.quarantine import QuarantineRow
from synth.errors import OK, QUARANTINED

_MOST_REMEDIES = 3  # a code


@dataclass(frozen=True)
class PrepareSummary:
    """What became of the inputs: ``inputs == ok + quarantined + duplicates``.

    Attributes:
        folder: the dataset.
        inputs: images under the source.
        ok: of them, in the dataset.
        quarantined: of them, refused.
        duplicates: of them, with the content of another one.
        skipped: paths that are not images, reports or tables.
        new: images added by this run.
        reports_without_image: reports that no image claimed.
        codes: refusal code -> images.
        splits: split -> images of the dataset; empty for a dry run.
        findings: finding -> images that have it.
        updated: images of an earlier run whose report or labels had changed.
        skipped_suffixes: suffix, or ``no suffix`` -> skipped files, the commonest first.
        phantom: whether the terms of use say that the images are phantoms.
        files: all paths under the source: ``inputs``, ``skipped``, ``used``, ``broken``.
        broken: tables and texts that cannot be read to their end.
        used: kind -> files that were read: tables, texts, terms of use.
        skipped_codes: why paths were skipped -> paths.
        remedies: refusal code -> what to do about it.
        unused: code -> reports and table rows that no image uses.
        tables: why tables and report files could not be read -> how many.
        without_record: new images about which no table or text says anything.
        sources: source -> images of the dataset.
        dry_run: nothing was written; ``ok`` and what follows from it are forecasts.
    """

    folder: Path
    inputs: int
    ok: int
    quarantined: int
    duplicates: int
    skipped: int
    new: int
    reports_without_image: int
    codes: dict[str, int] = field(default_factory=dict)
    splits: dict[str, int] = field(default_factory=dict)
    findings: dict[str, int] = field(default_factory=dict)
    updated: int = 0
    skipped_suffixes: dict[str, int] = field(default_factory=dict)
    phantom: bool = False
    files: int = 0
    broken: int = 0
    used: dict[str, int] = field(default_factory=dict)
    skipped_codes: dict[str, int] = field(default_factory=dict)
    remedies: dict[str, list[str]] = field(default_factory=dict)
    unused: dict[str, int] = field(default_factory=dict)
    tables: dict[str, int] = field(default_factory=dict)
    without_record: int = 0
    sources: dict[str, int] = field(default_factory=dict)
    dry_run: bool = False

    @property
    def exit_code(self) -> int:
        """3 if an image or a table was quarantined, else 0."""
        return QUARANTINED if self.quarantined or self.tables else OK

    def check(self) -> None:
        """An invariant of this code, not a user's error: nothing is lost or counted twice."""
        assert self.inputs == self.ok + self.quarantined + self.duplicates, self
        assert self.files == self.inputs + self.skipped + self.broken + sum(self.used.values()), (
            self
        )


def of_refusals(refused: Sequence[QuarantineRow]) -> dict[str, Any]:
    """The fields that follow from the quarantine: codes with remedies, and what is unused."""
    codes: Counter[str] = Counter()
    remedies: dict[str, Counter[str]] = {}
    tables: Counter[str] = Counter()
    unused: Counter[str] = Counter()
    counters = {"image": codes, "table": tables, "report": unused, "row": unused}
    for row in refused:
        if row.kind in counters:
            counters[row.kind][row.code] += 1
        if row.kind in ("image", "table") and row.remedy:
            remedies.setdefault(row.code, Counter())[row.remedy] += 1
    return {
        "codes": dict(sorted(codes.items())),
        "remedies": {
            code: [text for text, _ in found.most_common(_MOST_REMEDIES)]
            for code, found in sorted(remedies.items())
        },
        "tables": dict(sorted(tables.items())),
        "unused": dict(sorted(unused.items())),
        "reports_without_image": unused["report_without_image"],
    }


def of_rows(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The fields that follow from the rows of the dataset: findings and sources."""
    findings: Counter[str] = Counter()
    sources: Counter[str] = Counter()
    for row in rows:
        findings.update(name for name, value in row["labels"].items() if value == 1)
        sources[str(row["source"])] += 1
    return {
        "findings": dict(sorted(findings.items())),
        "sources": dict(sorted(sources.items())),
    }


def of_files(
    skipped: Sequence[Input], used: Sequence[Input], broken: Sequence[Input]
) -> dict[str, Any]:
    """The fields that follow from the paths that are not images."""
    suffixes = Counter(item.path.suffix.lower() or "no suffix" for item in skipped)
    return {
        "skipped": len(skipped),
        "skipped_suffixes": dict(suffixes.most_common()),
        "skipped_codes": dict(sorted(Counter(item.code for item in skipped).items())),
        "broken": len(broken),
        "used": dict(sorted(Counter(item.kind for item in used).items())),
    }
