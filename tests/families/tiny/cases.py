"""The families under the shared tests, each with a tiny random pipeline of its own class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tiny_pixart
import tiny_sana
import tiny_sd3
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
        loads_lora: whether the stock pipeline loads LoRA files; else ``peft`` does.
    """

    name: str
    build: Callable[[Path, Any], None] | None
    solver: str = "ddim"
    tolerance: float = 0.0
    call: Mapping[str, Any] = field(default_factory=dict)
    loads_lora: bool = True


# All but the first encode prompts one by one where the stock pipeline pads and batches them.
CASES = (
    Case("sd", None),
    Case("sdxl", tiny_sdxl.build, tolerance=2e-6),
    Case("sd3", tiny_sd3.build, solver="euler", tolerance=1e-5),
    Case(
        "pixart",
        tiny_pixart.build,
        tolerance=1e-5,
        call={"clean_caption": False, "use_resolution_binning": False},
        loads_lora=False,
    ),
    Case(
        "sana",
        tiny_sana.build,
        solver="euler",
        tolerance=1e-5,
        call={"complex_human_instruction": None, "use_resolution_binning": False},
    ),
)
