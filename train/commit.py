"""Folders that appear, change and vanish at once, whatever kills the process in between.

A folder is built beside its place as ``.NAME.PID.staging``, flushed to disk and renamed. One that
goes away is renamed first, so that half a folder never bears a name that means something.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def staging_for(target: Path) -> Path:
    """Where ``target`` is built, on the same volume; what an earlier try left there is removed."""
    staging = target.with_name(f".{target.name}.{os.getpid()}.staging")
    shutil.rmtree(staging, ignore_errors=True)
    return staging


def sync_folder(folder: Path) -> None:
    """Flush every file below a folder, and the folders themselves, to disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
        elif path.is_dir():
            _sync_entries(path)
    _sync_entries(folder)


def put_in_place(staging: Path, target: Path) -> None:
    """Make a flushed folder appear under its name; what bore it goes only then."""
    old = target.with_name(f".{target.name}.old.{os.getpid()}.staging")
    if target.exists():
        target.replace(old)
    staging.replace(target)
    _sync_entries(target.parent)
    if old.exists():
        shutil.rmtree(old)


def discard(folder: Path) -> None:
    """Delete a folder so that it is whole until it is gone."""
    doomed = staging_for(folder)
    folder.replace(doomed)
    shutil.rmtree(doomed)


def remove_leftovers(folder: Path) -> None:
    """Remove the ``.NAME.PID.staging`` folders of processes that are gone.

    The caller holds the run and has staged nothing yet: its own process id in a name is that of an
    earlier process, as when a container starts again.
    """
    for path in folder.glob(".*.staging"):
        pid = path.name.split(".")[-2]
        if pid.isdigit() and (int(pid) == os.getpid() or not _is_alive(int(pid))):
            shutil.rmtree(path)


def _is_alive(pid: int) -> bool:
    if os.name != "posix":  # signal 0 is no question elsewhere
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # of another user, or no process id at all
        return True
    return True


def _sync_entries(folder: Path) -> None:
    if os.name != "posix":  # folders cannot be opened elsewhere
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
