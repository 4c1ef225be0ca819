"""The YAML beside a TorchScript or ONNX file: what the file itself cannot say.

channels: 3            # 1 or 3
size: 224              # side in pixels
resize: bicubic        # or bilinear; antialiased, after padding to a square
range: [0, 1]          # what black and white become
mean: [0.485, 0.456, 0.406]
std: [0.229, 0.224, 0.225]
output: 0              # which output, by position or name
pooling: none          # none [N, d]; mean or cls of tokens [N, t, d]; mean of maps [N, d, h, w]
unit_length: false
name: my-model         # for metric keys; the file's name otherwise
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from synth.errors import SynthError
from synth.extractors.preprocess import Preprocess, Resize

Pooling = Literal["none", "mean", "cls"]


class Spec(BaseModel):
    """The content of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(gt=0)
    channels: Literal[1, 3] = 3
    resize: Resize = "bicubic"
    range: tuple[float, float] = (0.0, 1.0)
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    output: int | str = 0
    pooling: Pooling = "none"
    unit_length: bool = False
    name: str = ""

    @property
    def preprocess(self) -> Preprocess:
        """The same as a preprocessing."""
        return Preprocess(
            size=self.size,
            channels=self.channels,
            resize=self.resize,
            low=self.range[0],
            high=self.range[1],
            mean=self.mean,
            std=self.std,
        )

    @property
    def output_words(self) -> str:
        """``0-cls``, for the extractor's id."""
        return str(self.output) if self.pooling == "none" else f"{self.output}-{self.pooling}"

    def pooled(self, found: Tensor) -> Tensor:
        """One vector an image, where the output is tokens or maps."""
        if self.pooling == "cls" and found.ndim == 3:
            return found[:, 0]
        if self.pooling == "mean" and found.ndim == 3:
            return found.mean(dim=1)
        if self.pooling == "mean" and found.ndim == 4:
            return found.mean(dim=(2, 3))
        return found


def read_spec(weights: Path) -> Spec:
    """The YAML beside a weights file: ``model.onnx`` has ``model.yaml``.

    Raises:
        SynthError: a file is missing, or the YAML is wrong.
    """
    if not weights.is_file():
        raise SynthError("no such file", where=weights)
    path = weights.with_suffix(".yaml")
    if not path.is_file():
        raise SynthError(
            "no YAML beside the weights",
            where=path,
            expected="size, channels, range, mean, std, output",
            fix="docs/metrics.md shows one.",
        )
    try:
        said: Any = yaml.safe_load(path.read_text("utf-8"))
        return Spec.model_validate(said)
    except yaml.YAMLError as error:
        raise SynthError("not valid YAML", where=path, got=error) from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        raise SynthError(f"bad value for `{key}`: {first['msg']}", where=path) from None
