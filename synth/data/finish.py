"""The last step of a preparation: splits, tables, card, checksums, each written whole."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from synth.data import near_duplicates, quarantine
from synth.data.card import label_table, write_card, write_thumbnails
from synth.data.importers.base import Source
from synth.data.journal import NAME as JOURNAL
from synth.data.options import MAKER, PrepareOptions
from synth.data.quarantine import QuarantineRow
from synth.data.splits import SPLITS, SplitOptions, set_splits
from synth.data.terms import merge_sources, merge_terms
from synth.manifest import (
    NO_FINDING,
    DatasetInfo,
    write_bytes,
    write_json,
    write_sha256sums,
)
from synth.progress import Progress, Silent
from synth.provenance import versions


def finish(
    out: Path,
    source: Path,
    rows: dict[str, dict[str, Any]],
    refused: Sequence[QuarantineRow],
    options: PrepareOptions,
    *,
    terms: Path | None,
    sources: Sequence[Source] = (),
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """Write all tables of the dataset.

    Args:
        out: the dataset.
        source: where ``terms.txt`` may lie.
        rows: sample id -> row; ``split`` is ``None`` where it has to be assigned.
        refused: for ``quarantine.jsonl``.
        options: of this preparation.
        terms: a file with the terms of use instead.
        sources: named sources that were recognised under ``source``, whose terms bind.
        progress: told of patients in several official splits and of near-duplicates.

    Returns:
        The rows with their splits, ordered by sample id.

    Raises:
        SynthError: no image got in; the quarantine is written and says why.
    """
    progress = progress or Silent()
    lines = [row.model_dump(mode="json") for row in sorted(refused, key=lambda row: row.path)]
    write_bytes(out / quarantine.NAME, _jsonl(lines))
    if not rows:
        raise quarantine.nothing_usable(source, refused, fix=f"See {out / quarantine.NAME}.")
    ordered = [rows[name] for name in sorted(rows)]
    counts = _split(ordered, options, progress)
    if options.near_duplicates:
        counts |= _report_near_duplicates(out, ordered, progress)
    info = _info(out, source, ordered, options, terms, sources)
    info.counts.update(counts | _refusals(refused))
    write_bytes(out / "metadata.jsonl", _jsonl(ordered))
    write_json(out / "dataset.json", info)
    write_card(out, info, label_table(ordered, info.findings))
    write_thumbnails(out, ordered)
    write_sha256sums(out, exclude=(quarantine.NAME,))
    (out / JOURNAL).unlink(missing_ok=True)
    return ordered


def _jsonl(rows: Sequence[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def _split(
    rows: Sequence[dict[str, Any]], options: PrepareOptions, progress: Progress
) -> dict[str, int]:
    """Set the splits; returns the images of each."""
    chosen = SplitOptions(options.seed, options.splits, options.stratify)
    moved = set_splits(rows, chosen)
    if moved:
        progress.note(
            f"{moved} patients have images in several official splits: all their images went to "
            "the one held out furthest"
        )
    images = Counter(row["split"] for row in rows)
    patients = len({row["patient_id"] for row in rows})
    found: dict[str, int] = {split: images[split] for split in SPLITS}
    return {**found, "patients": patients, "patients_in_several_official_splits": moved}


def _report_near_duplicates(
    out: Path, rows: Sequence[dict[str, Any]], progress: Progress
) -> dict[str, int]:
    """Write the pairs of different patients that look the same; returns how many there are."""
    lines, more = near_duplicates.describe(rows)
    write_bytes(out / near_duplicates.REPORT, _jsonl(lines))
    across = sum(line["across_splits"] for line in lines)
    if lines:
        progress.note(
            f"{'at least ' if more else ''}{len(lines)} pairs of images of different patients look "
            f"the same, {across} of them in different splits: see {out / near_duplicates.REPORT}"
        )
    return {"near_duplicates": len(lines), "near_duplicates_across_splits": across}


def _refusals(refused: Sequence[QuarantineRow]) -> dict[str, int]:
    kinds = Counter(row.kind for row in refused)
    lonely = sum(row.code == "report_without_image" for row in refused)
    return {
        "quarantined": kinds["image"],
        "duplicates": kinds["duplicate"],
        "reports_without_image": lonely,
    }


def _info(
    out: Path,
    source: Path,
    rows: Sequence[dict[str, Any]],
    options: PrepareOptions,
    terms: Path | None,
    sources: Sequence[Source],
) -> DatasetInfo:
    earlier = DatasetInfo.model_validate_json((out / "dataset.json").read_bytes())
    named = merge_sources(earlier, sources, {row["source"] for row in rows})
    lines = merge_terms(earlier, source, terms, named)
    present = {name for row in rows for name, value in row["labels"].items() if value == 1}
    flags = Counter(flag for row in rows for flag in row.get("flags", ()))
    info = DatasetInfo(
        name=out.name,
        phantom=any("phantom" in line.lower() for line in lines),
        size=options.size,
        counts={"images": len(rows), "studies": len({row["study_id"] for row in rows})},
        findings=sorted(present - {NO_FINDING}),
        flags=dict(sorted(flags.items())),
        terms=lines,
        sources=named,
        preprocessing=options.as_json(),
        versions=versions(),
    )
    return info.model_copy(update={"made_by": MAKER, "complete": True})
