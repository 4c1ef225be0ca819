"""The ``synth`` command: the composition root. Each handler imports its verb when it runs."""

from synth.cli.app import main

__all__ = ["main"]
