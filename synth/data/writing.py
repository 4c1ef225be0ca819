"""What a full, read-only or unreachable disk means: a clear end that the same command continues."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from synth.errors import SynthError

_AGAIN = "the same command continues where this one stopped."
_CAUSES = {  # errno -> problem, what to do first
    errno.ENOSPC: ("the disk is full", "Free some space"),
    errno.EDQUOT: ("the disk quota is used up", "Free some space"),
    errno.EFBIG: ("a file would become larger than this system allows", "Raise the limit"),
    errno.EROFS: ("the disk is read-only", "Make it writable"),
    errno.EACCES: ("this user may not write here", "Change the permissions"),
    errno.EPERM: ("this user may not write here", "Change the permissions"),
    errno.EIO: ("the disk does not work", "Check the disk"),
    errno.ESTALE: ("the network disk went away", "Mount it again"),
    errno.EMFILE: ("too many files are open", "Raise `ulimit -n`"),
    errno.ENFILE: ("too many files are open", "Raise the system's limit"),
}


@contextmanager
def resumable(out: Path) -> Iterator[None]:
    """Say what is wrong with the disk; whatever was committed before stays and counts.

    Raises:
        SynthError: instead of an ``OSError`` about the disk.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _CAUSES:
            raise
        problem, first = _CAUSES[error.errno]
        raise SynthError(problem, where=out, fix=f"{first}; {_AGAIN}") from None
