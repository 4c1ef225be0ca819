"""Errors a user can act on, and the exit codes of the command line.

    SynthError            1   the work cannot be done: bad data, missing file, wrong weights
    ├── UsageError        2   the request itself is wrong: unknown key, impossible combination
    ├── Unavailable       1   this machine lacks what was asked for: CUDA, an extra, a decoder
    └── Interrupted     130   stopped by a signal; the same command continues

Exit code 3 is not an error: the work is finished and some inputs were quarantined.
"""

from __future__ import annotations

OK = 0
QUARANTINED = 3


class SynthError(Exception):
    """A problem the user can fix: says where, what was got, what was expected, what to do.

    Args:
        problem: one sentence without a full stop, for example ``"no images found"``.
        where: file, config path (``train.batch``) or row it concerns.
        got: what was found there.
        expected: what would have been accepted.
        fix: the next thing to do, preferably a command.
    """

    exit_code = 1

    def __init__(
        self,
        problem: str,
        *,
        where: object = "",
        got: object = "",
        expected: object = "",
        fix: str = "",
    ) -> None:
        self.problem, self.where, self.fix = problem, str(where), fix
        self.got, self.expected = str(got), str(expected)
        super().__init__(self.render())

    def render(self) -> str:
        """One line: ``where: problem (got …; expected …). fix``."""
        head = f"{self.where}: {self.problem}" if self.where else self.problem
        facts = [f"got {self.got}"] if self.got else []
        facts += [f"expected {self.expected}"] if self.expected else []
        body = f"{head} ({'; '.join(facts)})" if facts else head
        return f"{body}. {self.fix}" if self.fix else body


class UsageError(SynthError):
    """The request is wrong: an unknown key, a bad value, options that exclude each other."""

    exit_code = 2


class Unavailable(SynthError):
    """Asked for something this machine or installation does not have."""


class Interrupted(SynthError):
    """Stopped by SIGINT or SIGTERM after saving; running the same command continues."""

    exit_code = 130
