"""Packages that are not part of the default installation, imported when an extractor needs them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from synth.errors import Unavailable


def optional(module: str, extra: str, what: str) -> Any:
    """Import a package of an extra.

    Args:
        module: what is imported.
        extra: the extra of this project that brings it.
        what: the extractor that needs it, for the message.

    Raises:
        Unavailable: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        missing = error.name or module
        raise Unavailable(
            f"{what} needs a package that is not installed",
            got=f"no {missing}",
            fix=f'Install it: pip install "medical-image-synthesis[{extra}]".',
        ) from None
