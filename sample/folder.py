"""Opening the folder of a synthetic dataset: new, to be continued, or refused."""

from __future__ import annotations

import errno
import json
from collections.abc import Collection, Iterator, Sequence
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
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn a write that found no room into one clear error.

    Raises:
        SynthError: the disk is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise SynthError(
            "no room left on the disk",
            where=error.filename or folder,
            got=error.strerror,
            fix="What is written is whole. Make room, and the same command continues.",
        ) from error


@contextmanager
def locked(folder: Path, *, wait: float = 0) -> Iterator[None]:
    """Hold the folder for this process alone; the lock goes with the process, even a killed one.

    Args:
        folder: made where it is not there.
        wait: seconds to wait for another process; negative: as long as it takes.

    Raises:
        SynthError: another process holds it, or the place is a file or cannot be written to.
    """
    lock = FileLock(folder / LOCK, timeout=wait)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise SynthError(
            "another process is writing this dataset",
            where=folder,
            fix="Wait for it, or give another sample.out. Processes that are to share one dataset "
            "all need sample.engine=shared.",
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
    if not folder.exists() or all(_is_scratch(path) for path in folder.iterdir()):
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


def _is_scratch(path: Path) -> bool:
    """Whether a file is what a run leaves that was killed before its first whole file."""
    return path.name == LOCK or path.match(".dataset.json.*.tmp")


def remove_scratch(folder: Path) -> None:
    """Remove the unfinished files that a killed run left; the caller holds the folder."""
    ours = ("README.md", "SHA256SUMS", "dataset.json", TABLE, "previews.png", "rejected.png")
    left = [path for name in ours for path in folder.glob(f".{name}.*.tmp")]
    for path in [
        *left,
        *folder.glob("images/*/.*.png.*.tmp"),
        *folder.glob("rejected/.*.png.*.tmp"),
    ]:
        path.unlink(missing_ok=True)


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
    found, kept = whole_rows(folder, {row.sample_id for row in plan.rows}, files=(folder,))
    if len(kept) < found:
        progress.note(f"{found - len(kept)} images are missing or damaged: made again")
        write_table(folder, list(kept.values()))
    return kept


def whole_rows(
    folder: Path, wanted: Collection[str], *, files: Sequence[Path]
) -> tuple[int, dict[str, SyntheticRow]]:
    """The rows of a folder's table whose files are whole.

    Args:
        folder: where ``metadata.jsonl`` is; where there is none there are no rows.
        wanted: sample_ids that count.
        files: folders that a row's file may be in.

    Returns:
        How many rows there are, and the whole ones by sample_id; the last of an id counts.

    Raises:
        SynthError: the table is damaged before its last line.
    """
    table = folder / TABLE
    if not table.is_file():
        return 0, {}
    try:
        found = [SyntheticRow.model_validate(raw) for raw in read_jsonl(table)]
    except ValidationError as error:
        raise SynthError(
            "a row is not one of a synthetic dataset", where=table, got=error.errors()[0]["msg"]
        ) from None
    return len(found), {
        row.sample_id: row
        for row in found
        if row.sample_id in wanted
        and any(_whole(place / row.file_name, row.sha256) for place in files)
    }


def write_table(folder: Path, rows: Sequence[SyntheticRow]) -> None:
    """Write ``metadata.jsonl`` whole."""
    lines = (json.dumps(row.model_dump(mode="json"), ensure_ascii=False) + "\n" for row in rows)
    write_bytes(folder / TABLE, "".join(lines).encode())


def _whole(path: Path, sha256: str) -> bool:
    return path.is_file() and sha256_file(path) == sha256
