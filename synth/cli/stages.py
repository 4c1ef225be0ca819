"""The demo's memory: which stages are complete, for which settings, and how long they took."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synth.errors import UsageError
from synth.manifest import sha256_text, write_json
from synth.progress import Progress
from synth.provenance import project_version

STATE = "demo.json"
_SUMS = "SHA256SUMS"


@dataclass(frozen=True)
class Stage:
    """A piece of the demo. Paths are relative to its folder, so that the folder may move.

    Attributes:
        name: of the stage.
        work: does it.
        settings: JSON values; it runs again when one changes.
        leaves: what it must leave; for ``SHA256SUMS`` also every file listed there.
        begun: the path that exists once the stage has written what later calls continue.
        fixed: settings by dotted name, part of ``settings``, that cannot change from then on.
    """

    name: str
    work: Callable[[], None]
    settings: Sequence[object] = ()
    leaves: Sequence[str] = ()
    begun: str = ""
    fixed: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Done:
    """A complete stage.

    Attributes:
        name: of the stage.
        seconds: wall time when it ran.
        memory_mib: peak memory of this process up to the stage's end when it ran.
        worker_mib: that of its largest finished worker.
        kept: complete already, not run now.
    """

    name: str
    seconds: float
    memory_mib: float
    worker_mib: float
    kept: bool


@dataclass
class Stages:
    """Runs a stage unless it is complete for the same settings of it and of all before it.

    A complete stage has left its files, and they are still there.

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
            return cls(folder, progress, _recorded=_read(state))
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(
                "the folder holds other things",
                where=folder,
                fix="Name a new folder, or one that `synth demo` wrote.",
            )
        write_json(state, {})
        return cls(folder, progress)

    def require_same(self, stages: Sequence[Stage]) -> None:
        """Refuse to turn one demo into another, before any work.

        Raises:
            UsageError: a stage has begun with other settings than it would continue with.
        """
        for stage in stages:
            before = self._recorded.get(stage.name, {}).get("fixed")
            if before is None or not (self.folder / stage.begun).exists():
                continue
            for key in sorted(before.keys() | stage.fixed.keys()):
                if before.get(key) != stage.fixed.get(key):
                    raise UsageError(
                        f"the folder holds a demo with other settings: `{key}` differs",
                        where=self.folder,
                        got=stage.fixed.get(key),
                        expected=before.get(key),
                        fix="Choose a new OUT, or set it back.",
                    )

    def run(self, stage: Stage) -> None:
        """Run a stage, or keep it when it is complete for these settings."""
        name, fixed = stage.name, dict(stage.fixed)
        self._key = sha256_text(json.dumps([self._key, name, *stage.settings, fixed]))
        recorded = self._recorded.get(name, {})
        if recorded.get("key") == self._key and self._has(stage.leaves):
            self.done.append(_done(name, recorded, kept=True))
            return
        self._record(name, {"fixed": fixed})
        started = time.monotonic()
        stage.work()
        seconds = round(time.monotonic() - started, 2)
        own, worker = peak_memory_mib()
        facts = {"seconds": seconds, "memory_mib": own, "worker_mib": worker}
        self._record(name, {"key": self._key, **facts, "fixed": fixed})
        self.done.append(_done(name, facts, kept=False))

    def _record(self, name: str, facts: dict[str, Any]) -> None:
        self._recorded[name] = facts
        write_json(self.folder / STATE, self._recorded)

    def _has(self, leaves: Sequence[str]) -> bool:
        files = [self.folder / leaf for leaf in leaves]
        if not all(file.exists() for file in files):
            return False
        listed = [
            file.parent / line.split("  ", 1)[-1]
            for file in files
            if file.name == _SUMS
            for line in file.read_text("utf-8").splitlines()
        ]
        return all(file.is_file() for file in listed)


def _read(state: Path) -> dict[str, dict[str, Any]]:
    try:
        recorded = json.loads(state.read_text("utf-8"))
    except ValueError:
        recorded = None
    if isinstance(recorded, dict) and all(map(_is_record, recorded.values())):
        return recorded
    raise UsageError("not a demo's record", where=state, fix="Remove it, or name a new folder.")


def _is_record(facts: object) -> bool:
    """Complete with its numbers, or only begun."""
    if not isinstance(facts, dict) or not isinstance(facts.get("fixed", {}), dict):
        return False
    numbers = (facts.get("seconds"), facts.get("memory_mib"), facts.get("worker_mib", 0.0))
    return "key" not in facts or all(isinstance(number, int | float) for number in numbers)


def _done(name: str, facts: Mapping[str, Any], *, kept: bool) -> Done:
    worker = facts.get("worker_mib", 0.0)
    return Done(name, facts["seconds"], facts["memory_mib"], worker, kept=kept)


def peak_memory_mib() -> tuple[float, float]:
    """Largest resident size so far of this process, and of its largest finished worker."""
    try:
        import resource
    except ImportError:  # Windows
        return 0.0, 0.0
    unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, KiB elsewhere
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    worker = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / unit
    return round(own, 1), round(worker, 1)
