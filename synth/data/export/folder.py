"""The folder of an export: it appears under its name in one step, finished, or not at all.

Until then the files lie beside it in ``.<name>.partial``. Every file is written whole, so one that
is there is finished: the same command again continues an export that was stopped. ``dataset.json``
says under ``export`` which one it is. What exists is never overwritten.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from synth.errors import SynthError
from synth.manifest import write_bytes, write_json

LOCK = ".lock"
INFO = "dataset.json"


class Folder:
    """Where a format puts its files.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.written = 0
        self.kept = 0

    def has(self, name: str) -> bool:
        """Whether an earlier run finished this file; counted as kept."""
        found = (self.path / name).is_file()
        self.kept += found
        return found

    def put(self, name: str, content: bytes) -> None:
        """Write a file whole, unless it is there."""
        if not self.has(name):
            write_bytes(self.path / name, content)
            self.written += 1

    @contextmanager
    def stream(self, name: str) -> Iterator[Path]:
        """A place to write a large file to; it gets its name when the block ends well."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        self.written += 1

    def publish(self, out: Path) -> None:
        """Give the finished folder its name.

        Raises:
            SynthError: another folder took the name meanwhile.
        """
        refuse_existing(out)
        try:
            self.path.rename(out)
        except OSError as error:
            if not out.exists():
                raise
            raise SynthError(
                "the output folder appeared meanwhile, and nothing is overwritten",
                where=out,
                got=error.strerror,
                fix=f"The finished export lies in {self.path}.",
            ) from None
        (out / LOCK).unlink(missing_ok=True)
        _sync_folder(out.parent)


def partial(out: Path) -> Path:
    """Where an export lies until it is finished."""
    return out.parent / f".{out.name}.partial"


def refuse_existing(out: Path) -> None:
    """Nothing is overwritten.

    Raises:
        SynthError: something has this name.
    """
    if out.exists() or out.is_symlink():
        raise SynthError(
            "the output exists, and nothing is overwritten",
            where=out,
            expected="a name that is free",
            fix="Give another --out, or move the folder away.",
        )


@contextmanager
def claimed(out: Path, info: dict[str, Any]) -> Iterator[Folder]:
    """Hold the unfinished folder of an export: a new one, or what the same one left when stopped.

    Args:
        out: the final folder, which does not exist yet.
        info: the content of ``dataset.json``; ``export.identity`` tells exports apart.

    Raises:
        SynthError: ``out`` exists, another export to it was stopped, or one is being written.
    """
    refuse_existing(out)
    path = partial(out)
    path.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise SynthError("another process is writing this export", where=out) from None
    try:
        refuse_existing(out)  # the process that held the lock may just have finished
        _check_same(path, info)
        for left in path.rglob(".*.tmp"):  # of a run that was killed; the folder is this export's
            left.unlink()
        if not (path / INFO).exists():
            write_json(path / INFO, info)
        try:
            yield Folder(path)
        finally:
            _drop_if_empty(path)
    finally:
        lock.release()


def _check_same(path: Path, info: dict[str, Any]) -> None:
    if all(_is_scratch(entry) for entry in path.iterdir()):
        return
    try:
        found = json.loads((path / INFO).read_bytes()).get("export")
    except (OSError, ValueError, AttributeError):
        found = None
    if not isinstance(found, dict) or found.get("identity") != info["export"]["identity"]:
        of = f"{found.get('format')} of {found.get('of')}" if isinstance(found, dict) else ""
        raise SynthError(
            "another export to this folder was stopped, and nothing is overwritten",
            where=path,
            got=of,
            fix="Continue it by its own command, delete it, or give another --out.",
        )


def _drop_if_empty(path: Path) -> None:
    """Leave nothing of a request that was refused before its first file."""
    if path.is_dir() and {entry.name for entry in path.iterdir()} <= {LOCK, INFO}:
        (path / INFO).unlink(missing_ok=True)
        (path / LOCK).unlink(missing_ok=True)
        path.rmdir()


def _is_scratch(path: Path) -> bool:
    return path.name == LOCK or path.match(f".{INFO}.*.tmp")


def _sync_folder(path: Path) -> None:
    """So that the new name outlives a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
