from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from synth.config import parse_config
from synth.config.schema import Config


@pytest.fixture
def make_config(tiny_pipeline: Path, tiny_dataset: Path) -> Callable[..., Config]:
    """A fast configuration on the tiny pipeline; keyword arguments go to ``train``."""

    def make(out: Path, *, model: dict[str, Any] | None = None, **train: Any) -> Config:
        fast = {
            "steps": 4,
            "batch": 4,
            "device": "cpu",
            "log_every": 1,
            "validate_every": 1000,
            "preview_every": 1000,
            "checkpoint_every": 1000,
            "optim": {"learning_rate": 1e-3, "schedule": "constant", "warmup_steps": 2},
        }
        return parse_config(
            {
                "run": {"out": str(out), "seed": 3},
                "model": {"weights": str(tiny_pipeline), **(model or {})},
                "data": {"dataset": str(tiny_dataset)},
                "train": {**fast, **train},
                "sample": {"steps": 2, "batch": 4},
            }
        )

    return make


@pytest.fixture
def same_tensors() -> Callable[[Path, Path], bool]:
    """Whether two safetensors files hold bit-equal tensors under the same names."""
    from safetensors.torch import load_file

    def same(a: Path, b: Path) -> bool:
        one, other = load_file(a), load_file(b)
        assert one
        return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)

    return same
