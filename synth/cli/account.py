"""The account of a preparation as people read it: what got in, what did not, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from synth.cli.tables import table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from synth.data.summary import PrepareSummary

MAX_SUFFIXES = 5


def account(summary: PrepareSummary) -> list[RenderableType]:
    """Lines and tables; a code is one line however many files have it."""
    lines: list[RenderableType] = [_headline(summary)]
    if summary.splits:
        named = [name for name in ("train", "val", "test") if name in summary.splits]
        lines.append(f"splits: {_counts({name: summary.splits[name] for name in named})}")
    if summary.sources:
        lines.append(f"sources: {_counts(summary.sources)}")
    if summary.updated:
        lines.append(f"{summary.updated} updated from changed reports")
    if summary.without_record:
        lines.append(f"{summary.without_record} without report or labels")
    if summary.findings:
        rows = [(name, str(count)) for name, count in summary.findings.items()]
        lines.append(table("Images by finding", ("finding", "images"), rows))
    if summary.used:
        lines.append(f"read: {_counts(summary.used)}")
    if summary.skipped:
        suffixes, why = _suffixes(summary.skipped_suffixes), _counts(summary.skipped_codes)
        lines.append(f"{summary.skipped} files skipped ({suffixes}): {why}")
    return [*lines, *_refused(summary)]


def _headline(summary: PrepareSummary) -> str:
    counts = f"{summary.inputs} inputs, {summary.duplicates} duplicates, {summary.new} new"
    if not summary.dry_run:
        return f"{summary.ok} images in {summary.folder} ({counts})"
    counts = f"{summary.inputs} inputs, {summary.duplicates} duplicates"
    return (
        f"dry run, nothing was written: {summary.ok} images would be in {summary.folder} "
        f"({counts}); splits are not assigned, and damage behind a header shows only when the "
        "pixels are decoded"
    )


def _refused(summary: PrepareSummary) -> list[RenderableType]:
    lines: list[RenderableType] = []
    reports = dict(summary.unused)
    lonely = reports.pop("report_without_image", 0)
    if lonely:
        lines.append(f"{lonely} reports without an image")
    if reports:
        lines.append(f"rows of tables and reports not used: {_counts(reports)}")
    if summary.tables:
        lines.append(f"{summary.broken} tables or texts not readable ({_counts(summary.tables)})")
    if summary.quarantined:
        why = _counts(summary.codes)
        lines.append(f"{summary.quarantined} quarantined ({why})")
    if summary.remedies:
        rows = [(code, "; or ".join(texts)) for code, texts in summary.remedies.items()]
        lines.append(table("What to do", ("code", "remedy"), rows, words=True))
    if lines and not summary.dry_run:
        lines.append(f"one line for each: {summary.folder / 'quarantine.jsonl'}")
    return lines


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _suffixes(counts: Mapping[str, int]) -> str:
    """The commonest first: ``.docx 2, .xml 1``."""
    shown = dict(list(counts.items())[:MAX_SUFFIXES])
    more = sum(counts.values()) - sum(shown.values())
    return _counts(shown | ({"others": more} if more else {}))
