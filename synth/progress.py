"""How a verb tells what it is doing: it reports to a ``Progress`` and never prints.

The command line gives an implementation that draws on a terminal; ``Silent`` is the default
everywhere else, so that a library call stays quiet.
"""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """What a long-running function reports to."""

    def stage(self, text: str) -> None:
        """A new stage begins: ``"encoding latents"``."""

    def update(self, done: int, total: int, text: str = "") -> None:
        """``done`` of ``total`` items of the stage are finished; ``text`` says how it goes."""

    def note(self, text: str) -> None:
        """A line worth keeping: a warning, a path, a score."""


class Silent:
    """A ``Progress`` that says nothing."""

    def stage(self, text: str) -> None:
        """Ignore the stage."""

    def update(self, done: int, total: int, text: str = "") -> None:
        """Ignore the count."""

    def note(self, text: str) -> None:
        """Ignore the line."""
