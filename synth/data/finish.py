"""The last step of a preparation: splits, tables, card, checksums, each written whole."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from synth.data import quarantine
from synth.data.card import label_table, write_card, write_thumbnails
from synth.data.journal import NAME as JOURNAL
from synth.data.options import MAKER, PrepareOptions
from synth.data.quarantine import QuarantineRow
from synth.data.splits import assign_split, assign_splits
from synth.errors import SynthError
from synth.manifest import DatasetInfo, Split, write_bytes, write_json, write_sha256sums
from synth.provenance import versions


def finish(
    out: Path,
    source: Path,
    rows: dict[str, dict[str, Any]],
    refused: Sequence[QuarantineRow],
    options: PrepareOptions,
    *,
    terms: Path | None,
) -> list[dict[str, Any]]:
    """Write all tables of the dataset.

    Args:
        out: the dataset.
        source: where ``terms.txt`` may lie.
        rows: sample id -> row; ``split`` is ``None`` where it has to be assigned.
        refused: for ``quarantine.jsonl``.
        options: of this preparation.
        terms: a file with the terms of use instead.

    Returns:
        The rows with their splits, ordered by sample id.

    Raises:
        SynthError: no image got in; the quarantine is written and says why.
    """
    lines = [row.model_dump(mode="json") for row in sorted(refused, key=lambda row: row.path)]
    write_bytes(out / quarantine.NAME, _jsonl(lines))
    if not rows:
        codes = Counter(row.code for row in refused).most_common(3)
        raise SynthError(
            "no image could be used",
            where=source,
            got=", ".join(f"{count} x {code}" for code, count in codes),
            fix=f"See {out / quarantine.NAME}.",
        )
    ordered = [rows[name] for name in sorted(rows)]
    _set_splits(ordered, options)
    info = _info(out, source, ordered, refused, options, terms)
    table = label_table(ordered, info.findings)
    write_bytes(out / "metadata.jsonl", _jsonl(ordered))
    write_json(out / "dataset.json", info)
    write_card(out, info, table)
    write_thumbnails(out, ordered)
    write_sha256sums(out, exclude=(quarantine.NAME,))
    (out / JOURNAL).unlink(missing_ok=True)
    return ordered


def _jsonl(rows: Sequence[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def _set_splits(rows: Sequence[dict[str, Any]], options: PrepareOptions) -> None:
    existing: dict[str, Split] = {
        row["patient_id"]: row["split"] for row in rows if row["split"] is not None
    }
    findings: dict[str, set[str]] = {}
    for row in rows:
        present = {name for name, value in row["labels"].items() if value == 1} - {"no_finding"}
        findings.setdefault(row["patient_id"], set()).update(present)
    if options.stratify:
        assigned = assign_splits(
            findings, seed=options.seed, fractions=options.splits, existing=existing
        )
    else:
        assigned = {
            patient: assign_split(patient, seed=options.seed, fractions=options.splits)
            for patient in findings
        }
    for row in rows:
        row["split"] = assigned[row["patient_id"]]


def _info(
    out: Path,
    source: Path,
    rows: Sequence[dict[str, Any]],
    refused: Sequence[QuarantineRow],
    options: PrepareOptions,
    terms: Path | None,
) -> DatasetInfo:
    kinds = Counter(row.kind for row in refused)
    in_split = Counter(row["split"] for row in rows)
    present = {name for row in rows for name, value in row["labels"].items() if value == 1}
    lines = _terms(terms or source / "terms.txt", required=terms is not None)
    counts = {
        "images": len(rows),
        **{split: in_split[split] for split in ("train", "val", "test")},
        "patients": len({row["patient_id"] for row in rows}),
        "studies": len({row["study_id"] for row in rows}),
        "quarantined": kinds["image"],
        "duplicates": kinds["duplicate"],
        "reports_without_image": kinds["report"],
    }
    info = DatasetInfo(
        name=out.name,
        phantom=any("phantom" in line.lower() for line in lines),
        size=options.size,
        counts=counts,
        findings=sorted(present - {"no_finding"}),
        terms=lines,
        preprocessing=options.as_json(),
        versions=versions(),
    )
    return info.model_copy(update={"made_by": MAKER, "complete": True})


def _terms(path: Path, *, required: bool) -> list[str]:
    if path.is_file():
        text = path.read_text(encoding="utf-8-sig", errors="replace")
        return [line.strip() for line in text.splitlines() if line.strip()]
    if required:
        raise SynthError("the file with the terms of use is missing", where=path)
    return []
