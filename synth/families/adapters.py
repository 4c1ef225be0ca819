"""Which parameters train: all of a denoiser, or low-rank updates of its attention (LoRA).

LoRA (Hu et al. 2021): W' = W + (alpha / rank)·B·A with B zero at first, through ``peft``, written
in the layout that diffusers pipelines load.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import nn

from synth.errors import SynthError
from synth.seeding import torch_generator

LORA_FILE = "pytorch_lora_weights.safetensors"
LORA_TARGETS = ("to_q", "to_k", "to_v", "to_out.0")
_NAME = "default"


def train_all(denoiser: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """Every parameter, in float32, by name."""
    denoiser.requires_grad_(True)
    denoiser.float()  # fp16 or bf16 parameters lose small updates
    return list(denoiser.named_parameters())


def add_lora(denoiser: nn.Module, *, rank: int, alpha: int) -> list[tuple[str, nn.Parameter]]:
    """Freeze a diffusers model and add LoRA to its attention projections.

    The initial A is a function of the layer's name, so that two runs begin alike.

    Args:
        denoiser: a diffusers model with ``add_adapter``.
        rank: of the update.
        alpha: numerator of its scale.
    """
    from peft import LoraConfig

    denoiser.requires_grad_(False)
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(LORA_TARGETS))
    with torch.random.fork_rng(devices=[]):  # peft draws an A that is replaced below
        denoiser.add_adapter(config)  # type: ignore[operator]
    named = [(name, p) for name, p in denoiser.named_parameters() if p.requires_grad]
    for name, parameter in named:
        parameter.data = parameter.data.float()
        if ".lora_A." in name:
            generator = torch_generator("lora", name, rank)
            bound = parameter.shape[1] ** -0.5  # Kaiming uniform with a = sqrt(5)
            uniform = torch.rand(parameter.shape, generator=generator)
            parameter.data.copy_((2 * uniform - 1) * bound)
    return named


def has_lora(denoiser: nn.Module) -> bool:
    """Whether LoRA layers are in the model."""
    return _NAME in (getattr(denoiser, "peft_config", None) or {})


def save_lora(denoiser: nn.Module, folder: Path) -> None:
    """Write ``pytorch_lora_weights.safetensors`` for ``pipeline.load_lora_weights(folder)``."""
    from diffusers import StableDiffusionPipeline
    from diffusers.utils import convert_state_dict_to_diffusers
    from peft.utils import get_peft_model_state_dict

    StableDiffusionPipeline.save_lora_weights(
        folder,
        unet_lora_layers=convert_state_dict_to_diffusers(get_peft_model_state_dict(denoiser)),
        unet_lora_adapter_metadata=_metadata(denoiser),
        safe_serialization=True,
    )


def load_lora(denoiser: nn.Module, folder: Path) -> None:
    """Read what ``save_lora`` wrote into a model that already has LoRA of the same rank.

    Raises:
        SynthError: the file is missing or its layers differ.
    """
    from diffusers import StableDiffusionPipeline
    from diffusers.utils import convert_unet_state_dict_to_peft
    from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict

    if not (folder / LORA_FILE).is_file():
        raise SynthError(f"no {LORA_FILE}", where=folder)
    state, _ = StableDiffusionPipeline.lora_state_dict(folder, local_files_only=True)
    state = convert_unet_state_dict_to_peft(
        {name.removeprefix("unet."): tensor for name, tensor in state.items()}
    )
    present = {name: t.shape for name, t in get_peft_model_state_dict(denoiser).items()}
    if {name: tensor.shape for name, tensor in state.items()} != present:
        raise SynthError(
            "the LoRA file does not fit the model",
            where=folder / LORA_FILE,
            fix="Use the base model and model.rank it was trained with.",
        )
    set_peft_model_state_dict(denoiser, state)


def merged(denoiser: nn.Module) -> nn.Module:
    """The model with LoRA added into its weights; itself when it has none, else a copy."""
    if not has_lora(denoiser):
        return denoiser
    plain: Any = copy.deepcopy(denoiser)
    plain.fuse_lora()
    plain.unload_lora()
    module: nn.Module = plain
    return module


def _metadata(denoiser: nn.Module) -> dict[str, Any]:
    """Rank and alpha as peft names them; without them a loader assumes alpha = rank."""
    config: dict[str, Any] = denoiser.peft_config[_NAME].to_dict()  # type: ignore[index, union-attr]
    kept = ("r", "lora_alpha", "target_modules", "lora_dropout", "bias", "use_dora")
    plain = {key: config[key] for key in kept}
    plain["target_modules"] = sorted(plain["target_modules"])
    return plain
