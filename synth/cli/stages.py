"""The demo's memory: which stages are complete, for which settings, and how long they took."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synth.errors import UsageError
from synth.manifest import sha256_text, write_json
from synth.progress import Progress
from synth.provenance import project_version

STATE = "demo.json"


@dataclass(frozen=True)
class Done:
    """A complete stage.

    Attributes:
        name: of the stage.
        seconds: wall time when it ran.
        memory_mib: peak memory up to its end when it ran.
        kept: complete already, not run now.
    """

    name: str
    seconds: float
    memory_mib: float
    kept: bool


@dataclass
class Stages:
    """Runs a stage unless it is complete for the same settings of it and of all before it.

    A stage that was killed is run again; each verb then continues where it was.
    """

    folder: Path
    progress: Progress
    done: list[Done] = field(default_factory=list)
    _recorded: dict[str, dict[str, Any]] = field(default_factory=dict)
    _key: str = field(default_factory=project_version)

    @classmethod
    def open(cls, folder: Path, progress: Progress) -> Stages:
        """Read what is complete in ``folder``.

        Raises:
            UsageError: the folder holds something that is not a demo's.
        """
        state = folder / STATE
        if state.is_file():
            try:
                return cls(folder, progress, _recorded=dict(json.loads(state.read_text("utf-8"))))
            except ValueError:
                raise UsageError("not a demo's record", where=state, fix="Remove it.") from None
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(
                "the folder holds other things",
                where=folder,
                fix="Name a new folder, or one that `synth demo` wrote.",
            )
        write_json(state, {})
        return cls(folder, progress)

    def run(self, name: str, settings: Sequence[object], work: Callable[[], None]) -> None:
        """Run a stage, or keep it when it is complete for these settings."""
        self._key = sha256_text(json.dumps([self._key, name, *settings], default=str))
        recorded = self._recorded.get(name, {})
        if recorded.get("key") == self._key:
            self.done.append(Done(name, recorded["seconds"], recorded["memory_mib"], kept=True))
            return
        started = time.monotonic()
        work()
        seconds = round(time.monotonic() - started, 2)
        memory = peak_memory_mib()
        self._recorded[name] = {"key": self._key, "seconds": seconds, "memory_mib": memory}
        write_json(self.folder / STATE, self._recorded)
        self.done.append(Done(name, seconds, memory, kept=False))


def peak_memory_mib() -> float:
    """Largest resident size of this process so far, plus that of its largest finished worker."""
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, KiB elsewhere
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return round(sum(resource.getrusage(item).ru_maxrss for item in who) / unit, 1)
