"""The working state of an unfinished preparation: rows of images already written.

A row is believed only if its image is there with the row's hash, so images need no fsync of their
own and a power cut costs at most the last batch.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

from synth.manifest import append_jsonl, read_jsonl, sha256_file

NAME = ".rows.jsonl"
_BATCH = 64


class Journal:
    """Images and rows on their way into a dataset; use as a context manager.

    Whatever ends the block, rows whose images are written are recorded.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._pending: list[dict[str, Any]] = []

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._flush()

    def add(self, row: dict[str, Any], png: bytes) -> None:
        """Write the image, then remember the row."""
        path = self.folder / row["file_name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.tmp")
        try:
            temporary.write_bytes(png)
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)  # the disk is full: leave no half image on it
            raise
        self._pending.append(row)
        if len(self._pending) >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        if self._pending:
            append_jsonl(self.folder / NAME, self._pending)
            self._pending = []


def sweep(folder: Path) -> None:
    """Remove the temporary files that a killed run left; only files that this code names so."""
    for place in ("", "images/*/"):
        for path in folder.glob(f"{place}.*.tmp"):
            path.unlink()


def read_rows(folder: Path) -> dict[str, dict[str, Any]]:
    """Rows of finished and unfinished runs whose images are intact, by sample id.

    Finished rows carry their split under ``split``; those of the journal have ``split`` ``None``.
    """
    rows: dict[str, dict[str, Any]] = {}
    for name in (NAME, "metadata.jsonl"):  # a finished row beats its journal entry
        table = folder / name
        if not table.is_file():
            continue
        for row in read_jsonl(table):
            if name == NAME:
                row["split"] = None
            if _intact(folder, row):
                rows[str(row["sample_id"])] = row
    return rows


def _intact(folder: Path, row: dict[str, Any]) -> bool:
    path = folder / str(row["file_name"])
    return path.is_file() and sha256_file(path) == row["sha256"]
