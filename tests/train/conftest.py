from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Child:
    """A process of its own that runs ``code``; ``pid`` may be sent signals."""

    pid: int
    out: Path
    server: Children

    def wait(self) -> int:
        """Its exit code, or the negated signal that killed it."""
        return self.server.ask({"wait": self.pid})

    @property
    def text(self) -> str:
        """What it printed, lines joined."""
        return " ".join(self.out.read_text().split())


class Children:
    """Starts processes in milliseconds, by forking one that has imported everything."""

    def __init__(self) -> None:
        script = str(Path(__file__).with_name("fork_server.py"))
        command = [sys.executable, script]
        self.server = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, job: dict[str, Any]) -> int:
        assert self.server.stdin
        assert self.server.stdout
        self.server.stdin.write(json.dumps(job) + "\n")
        self.server.stdin.flush()
        return int(self.server.stdout.readline())

    def start(self, code: str, out: Path, **env: str) -> Child:
        return Child(self.ask({"code": code, "env": env, "out": str(out)}), out, self)

    def synth(self, *arguments: object, out: Path, before: str = "", **env: str) -> Child:
        """The command line; ``before`` is executed first."""
        argv = ["synth", *(str(item) for item in arguments)]
        code = f"{before}\nimport sys\nsys.argv = {argv!r}\nfrom synth.cli import main\nmain()\n"
        return self.start(code, out, **env)


@pytest.fixture(scope="session")
def children() -> Iterator[Children]:
    started = Children()
    yield started
    assert started.server.stdin
    assert started.server.stdout
    started.server.stdin.close()
    started.server.wait()
    started.server.stdout.close()
