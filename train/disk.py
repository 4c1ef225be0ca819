"""The disk: enough room before a run begins, and one clear line when it is full all the same."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from synth.errors import SynthError

_PROBLEMS = {
    errno.ENOSPC: "no space left on the disk",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "a file would be larger than this process may write",
}
_IN_RUST = re.compile(r"\(os error (\d+)\)")  # how safetensors and tokenizers say it


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn a write that found no room, whichever library did it, into one clear error.

    Raises:
        SynthError: the disk is full.
    """
    try:
        yield
    except SynthError:
        raise
    except Exception as error:
        problem = _PROBLEMS.get(_number(error))
        if problem is None:
            raise
        raise SynthError(
            problem,
            where=getattr(error, "filename", None) or folder,
            fix="What was saved before is whole. Make room, and the same command continues.",
        ) from error


def require_space(needs: Sequence[tuple[Path, int]]) -> None:
    """Refuse to begin what the disks cannot hold.

    Args:
        needs: folders, made or not, and the bytes each will take; those on one volume add up.

    Raises:
        SynthError: a volume has less free.
    """
    volumes: dict[int, list[tuple[Path, int]]] = defaultdict(list)
    for folder, count in needs:
        there = _existing(folder)
        volumes[there.stat().st_dev].append((there, count))
    for wanted in volumes.values():
        place, total = wanted[0][0], sum(count for _, count in wanted)
        free = shutil.disk_usage(place).free
        if total > free:
            raise SynthError(
                "not enough disk space for the run",
                where=place,
                got=f"{_size(free)} free",
                expected=f"{_size(total)}",
                fix="Make room, set another run.out, or lower train.keep_checkpoints.",
            )


def _number(error: BaseException) -> int:
    """The system's error number behind an exception, 0 where there is none."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    found = _IN_RUST.search(str(error))
    return int(found[1]) if found else 0


def _existing(folder: Path) -> Path:
    """The folder, links followed, or the nearest one above it that is there."""
    path = Path(os.path.realpath(folder))
    while not path.exists():
        path = path.parent
    return path


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB ({count} bytes)"
