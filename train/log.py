"""The training log: one JSON object a line, readable while the run goes on.

A continued run repeats the steps since its last checkpoint; their rows follow the ``resume`` row
and say the same again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from synth.manifest import append_jsonl


class Log:
    """Appends rows to ``log.jsonl``.

    Args:
        path: the file; None writes nothing, for the processes that are not the first.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def write(self, kind: str, **values: Any) -> None:
        """Append one row; floats are kept whole."""
        if self._path is not None:
            append_jsonl(self._path, [{"kind": kind, **values}])
