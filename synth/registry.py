"""Names in a configuration file to code: a table that imports nothing until a name is used.

A configuration says ``family: sd``, never a dotted import path: the layout of the code stays free
to change, and a file from a stranger cannot import what it likes.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from synth.errors import UsageError


@dataclass(frozen=True)
class Registry:
    """A table of names, each standing for ``"module:attribute"``.

    >>> solvers = Registry("solver", {"half": "math:sqrt"})
    >>> solvers.get("half")(4.0)
    2.0

    Args:
        kind: what the names stand for, in one word, for messages: ``"family"``.
        entries: name to ``"module:attribute"``.
    """

    kind: str
    entries: Mapping[str, str]

    def names(self) -> tuple[str, ...]:
        """Every name, sorted."""
        return tuple(sorted(self.entries))

    def get(self, name: str) -> Any:
        """Import and return what a name stands for.

        Raises:
            UsageError: the name is not in the table; the closest one is suggested.
        """
        if name not in self.entries:
            raise UsageError(
                f"unknown {self.kind}",
                got=name,
                expected="one of " + ", ".join(self.names()),
                fix=did_you_mean(name, self.entries),
            )
        module, _, attribute = self.entries[name].partition(":")
        return getattr(import_module(module), attribute)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``"Did you mean `steps`?"``, or an empty string when nothing is close."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"Did you mean `{close[0]}`?" if close else ""
