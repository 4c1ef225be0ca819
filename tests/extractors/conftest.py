"""Tiny random networks written to disk as users have them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

MEAN, STD = [0.48, 0.45, 0.40], [0.22, 0.23, 0.24]
_VIT = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "image_size": 32,
    "patch_size": 8,
}


def model_folder(kind: str, folder: Path) -> Path:
    """A saved vision model of 32-pixel images, with the processor's configuration."""
    torch.manual_seed(7)
    _model(kind).save_pretrained(folder)
    said: dict[str, Any] = {
        "do_resize": True,
        "size": {"height": 32, "width": 32},
        "resample": 3,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": MEAN,
        "image_std": STD,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(said))
    return folder


def _model(kind: str) -> Any:
    import transformers as t

    text = {
        "vocab_size": 50,
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "max_position_embeddings": 8,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }
    if kind == "vit":
        return t.ViTModel(t.ViTConfig(**_VIT))
    if kind == "vit-classifier":  # a checkpoint without a pooler
        return t.ViTForImageClassification(t.ViTConfig(**_VIT, num_labels=3))
    if kind == "dinov2":
        return t.Dinov2Model(t.Dinov2Config(**{**_VIT, "mlp_ratio": 2}))
    if kind == "clip":
        return t.CLIPModel(t.CLIPConfig(text_config=text, vision_config=_VIT, projection_dim=12))
    if kind == "siglip":
        return t.SiglipModel(t.SiglipConfig(text_config=text, vision_config=_VIT))
    if kind == "resnet":
        return t.ResNetModel(
            t.ResNetConfig(
                embedding_size=8, hidden_sizes=[8, 12], depths=[1, 1], layer_type="basic"
            )
        )
    raise ValueError(kind)


def script_file(path: Path) -> Path:
    """A TorchScript file: [N, 3, 16, 16] -> tokens [N, 4, 5] and a vector [N, 6]."""
    torch.manual_seed(3)

    class Tokens(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens = torch.nn.Conv2d(3, 5, 8, stride=8)
            self.vector = torch.nn.Linear(20, 6)

        def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            maps = self.tokens(pixels)
            return maps.flatten(2).transpose(1, 2), self.vector(maps.flatten(1))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(Tokens().eval()).save(str(path))
    return path


@pytest.fixture
def hf_folder(tmp_path: Path) -> Callable[[str], Path]:
    return lambda kind: model_folder(kind, tmp_path / kind)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return script_file(tmp_path / "tokens.pt")


@pytest.fixture
def images() -> torch.Tensor:
    """Nine smooth 40 × 30 images, uint8 [9, 1, 40, 30]."""
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand((9, 1, 5, 4), generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(40, 30), mode="bilinear")
    return (smooth * 255).round().to(torch.uint8)
