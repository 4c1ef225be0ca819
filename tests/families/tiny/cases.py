"""The families under the shared tests, each with a tiny random pipeline of its own class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tiny_sdxl


@dataclass(frozen=True)
class Case:
    """What the shared tests need to know of a family.

    Attributes:
        name: of the family.
        build: writes the pipeline; takes the folder and a CLIP tokenizer. None: the shared one.
        solver: under which the stock pipeline is compared.
        tolerance: of that comparison without guidance, relative to the latents' deviation.
        call: further arguments of the stock pipeline.
    """

    name: str
    build: Callable[[Path, Any], None] | None
    solver: str = "ddim"
    tolerance: float = 0.0
    call: Mapping[str, Any] = field(default_factory=dict)


CASES = (
    Case("sd", None),
    Case("sdxl", tiny_sdxl.build, tolerance=2e-6),  # we encode prompts one by one
)
