"""Which software made a result: versions written beside it, read without importing torch."""

from __future__ import annotations

import platform
from functools import cache
from importlib import metadata

PROJECT = "medical-image-synthesis"
PACKAGES = (
    "torch",
    "diffusers",
    "transformers",
    "accelerate",
    "peft",
    "safetensors",
    "numpy",
    "scipy",
    "pillow",
    "pydicom",
    "pydantic",
)


def project_version() -> str:
    """The version of this project, ``"0+unknown"`` when it runs without being installed."""
    return _version(PROJECT) or "0+unknown"


def versions() -> dict[str, str]:
    """The project, Python and the packages that shape results, for manifests and ``synth doctor``.

    Read from installed metadata, so that torch is not imported to learn its version. A package that
    is not installed is left out.
    """
    found = {PROJECT: project_version(), "python": platform.python_version()}
    for name in PACKAGES:
        version = _version(name)
        if version is not None:
            found[name] = version
    return found


@cache  # every record asks, and parsing all the metadata takes 40 ms
def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
