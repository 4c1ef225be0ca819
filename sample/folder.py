"""Opening the folder of a synthetic dataset: new, to be continued, or refused."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import ValidationError

from sample.identity import Identity
from sample.plan import Plan
from synth.errors import SynthError
from synth.manifest import SyntheticRow, read_jsonl, sha256_file, write_bytes
from synth.progress import Progress

LOCK = ".lock"
TABLE = "metadata.jsonl"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for this process alone; the lock goes with the process, even a killed one.

    Raises:
        SynthError: another process holds it, or the place is a file or cannot be written to.
    """
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise SynthError(
            "another process is writing this dataset",
            where=folder,
            fix="Wait for it, or give another sample.out.",
        ) from None
    except OSError as error:
        raise SynthError("cannot write here", where=folder, got=error.strerror or error) from None
    try:
        yield
    finally:
        lock.release()


def recorded_identity(folder: Path) -> dict[str, Any] | None:
    """The identity that an earlier run left in ``dataset.json``; None where the folder is new.

    Raises:
        SynthError: the folder holds something that is not a synthetic dataset of this project.
    """
    if folder.exists() and not folder.is_dir():
        raise SynthError("not a folder", where=folder, fix="Give another sample.out.")
    if not folder.exists() or all(path.name == LOCK for path in folder.iterdir()):
        return None
    info = folder / "dataset.json"
    try:
        recorded = json.loads(info.read_bytes()).get("sampling") if info.is_file() else None
    except (ValueError, AttributeError):
        raise SynthError("not a JSON object", where=info) from None
    if not isinstance(recorded, dict):
        raise SynthError(
            "the folder is in use by something else, and nothing is overwritten",
            where=folder,
            expected="a new or empty folder, or a synthetic dataset to continue",
            fix="Give another sample.out.",
        )
    return recorded


def require_same(folder: Path, identity: Identity) -> None:
    """Refuse to continue a dataset that was begun differently.

    Raises:
        SynthError: naming every difference.
    """
    recorded = recorded_identity(folder)
    differences = identity.differences(recorded) if recorded is not None else []
    if differences:
        raise SynthError(
            "the folder holds a synthetic dataset made differently: " + "; ".join(differences),
            where=folder,
            fix="Give another sample.out, or the earlier settings to continue it.",
        )


def kept_rows(folder: Path, plan: Plan, progress: Progress) -> dict[str, SyntheticRow]:
    """The rows of an earlier run whose files are whole, by sample_id.

    A row whose file is missing or damaged is dropped from the table and noted, to be made again.

    Raises:
        SynthError: the table is damaged before its last line.
    """
    table = folder / TABLE
    if not table.is_file():
        return {}
    wanted = {row.sample_id for row in plan.rows}
    try:
        found = [SyntheticRow.model_validate(raw) for raw in read_jsonl(table)]
    except ValidationError as error:
        raise SynthError(
            "a row is not one of a synthetic dataset", where=table, got=error.errors()[0]["msg"]
        ) from None
    kept = {
        row.sample_id: row
        for row in found
        if row.sample_id in wanted and _whole(folder / row.file_name, row.sha256)
    }
    if len(kept) < len(found):
        progress.note(f"{len(found) - len(kept)} images are missing or damaged: made again")
        write_table(folder, list(kept.values()))
    return kept


def write_table(folder: Path, rows: Sequence[SyntheticRow]) -> None:
    """Write ``metadata.jsonl`` whole."""
    lines = (json.dumps(row.model_dump(mode="json"), ensure_ascii=False) + "\n" for row in rows)
    write_bytes(folder / TABLE, "".join(lines).encode())


def _whole(path: Path, sha256: str) -> bool:
    return path.is_file() and sha256_file(path) == sha256
