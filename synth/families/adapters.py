"""Which parameters train: all of a module, or low-rank updates of its attention.

LoRA (Hu et al. 2021): W' = W + (alpha / rank)·B·A with B zero at first. DoRA (Liu et al. 2024,
eq. 5) learns the length of each column of W' beside it. Both through ``peft``, written in the
layout that diffusers pipelines load.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from synth.config.schema import ModelSection
from synth.errors import SynthError, UsageError
from synth.seeding import torch_generator

LORA_FILE = "pytorch_lora_weights.safetensors"
LORA_TARGETS = ("to_q", "to_k", "to_v", "to_out.0")  # attention of every diffusers denoiser
TEXT_TARGETS = ("q_proj", "k_proj", "v_proj", "out_proj")  # attention of CLIP
Named = list[tuple[str, nn.Parameter]]
_NAME = "default"


def make_trainable(
    model: ModelSection, denoiser: nn.Module, texts: Mapping[str, nn.Module]
) -> Named:
    """Add the adapter that a configuration asks for, to the denoiser and the given text encoders.

    Args:
        model: ``adapter``, ``rank``, ``alpha``, ``targets`` and ``dora`` are used.
        denoiser: its parameters keep their names.
        texts: text encoders that train too, by part name, which prefixes their parameters' names.

    Raises:
        UsageError: a target names no layer.
    """
    named: Named = []
    for prefix, module in {"": denoiser, **texts}.items():
        if model.adapter == "lora":
            targets = TEXT_TARGETS if prefix else (model.targets or LORA_TARGETS)
            rank, alpha = model.rank, model.alpha
            found = add_lora(module, rank=rank, alpha=alpha, targets=targets, dora=model.dora)
        else:
            found = train_all(module)
        named += [(f"{prefix}.{name}" if prefix else name, p) for name, p in found]
    return named


def train_all(module: nn.Module) -> Named:
    """Every parameter, in float32, by name."""
    module.requires_grad_(True)
    module.float()  # fp16 or bf16 parameters lose small updates
    return list(module.named_parameters())


def add_lora(
    module: nn.Module,
    *,
    rank: int,
    alpha: int,
    targets: Sequence[str] = LORA_TARGETS,
    dora: bool = False,
) -> Named:
    """Freeze a model and add LoRA to some of its layers.

    The initial A is a function of the layer's name, so that two runs begin alike.

    Args:
        module: a diffusers or transformers model with ``add_adapter``.
        rank: of the update.
        alpha: numerator of its scale.
        targets: endings of the names of the linear layers to adapt.
        dora: whether the columns' lengths are learned apart.

    Raises:
        UsageError: a target names no layer.
    """
    from peft import LoraConfig

    _check_targets(module, targets)
    module.requires_grad_(False)
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(targets), use_dora=dora)
    with torch.random.fork_rng(devices=[]):  # peft draws an A that is replaced below
        _inject(module, config)
    named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    for name, parameter in named:
        parameter.data = parameter.data.float()
        if ".lora_A." in name:
            generator = torch_generator("lora", name, rank)
            bound = parameter[0].numel() ** -0.5  # Kaiming uniform with a = sqrt(5)
            uniform = torch.rand(parameter.shape, generator=generator)
            parameter.data.copy_((2 * uniform - 1) * bound)
    return named


def _inject(module: Any, config: Any) -> None:
    """Add the layers; PixArt's transformer has no ``add_adapter`` of its own."""
    from peft import inject_adapter_in_model

    if hasattr(module, "add_adapter"):
        module.add_adapter(config)
        return
    inject_adapter_in_model(config, module, _NAME)
    module.peft_config = {_NAME: config}


def _check_targets(module: nn.Module, targets: Sequence[str]) -> None:
    names = [name for name, _ in module.named_modules()]
    for target in targets:
        if not any(name == target or name.endswith(f".{target}") for name in names):
            known = {
                ".".join(n.split(".")[-2:]) if n[-1:].isdigit() else n.split(".")[-1] for n in names
            }
            raise UsageError(
                "no layer has this name",
                where="model.targets",
                got=target,
                expected=", ".join(sorted(k for k in known if k.startswith(("to_", "ff", "proj")))),
            )


def has_lora(module: nn.Module) -> bool:
    """Whether LoRA layers are in the model."""
    return _NAME in (getattr(module, "peft_config", None) or {})


def save_lora(parts: Mapping[str, nn.Module], folder: Path, pipeline: Any) -> None:
    """Write ``pytorch_lora_weights.safetensors`` for ``pipeline.load_lora_weights(folder)``.

    Args:
        parts: modules with LoRA by the pipeline's part name, ``unet`` or ``transformer`` and
            ``text_encoder`` …; those without are left out.
        folder: where to.
        pipeline: the diffusers pipeline class.
    """
    from diffusers.utils import convert_state_dict_to_diffusers
    from peft.utils import get_peft_model_state_dict

    layers: dict[str, Any] = {}
    for part, module in parts.items():
        if has_lora(module):
            state = get_peft_model_state_dict(module, save_embedding_layers=False)
            layers[f"{part}_lora_layers"] = convert_state_dict_to_diffusers(state)
            layers[f"{part}_lora_adapter_metadata"] = _metadata(module)
    pipeline.save_lora_weights(folder, **layers, safe_serialization=True)


def save_peft(module: nn.Module, folder: Path) -> None:
    """Write the LoRA of a denoiser whose pipeline class loads none, as ``peft`` loads adapters.

    ``PeftModel.from_pretrained(pipeline.transformer, folder / "lora")`` puts it on the base.
    """
    from peft.utils import get_peft_model_state_dict
    from safetensors.torch import save_file

    target = folder / "lora"
    target.mkdir()
    state = get_peft_model_state_dict(module, save_embedding_layers=False)
    named = {f"base_model.model.{name}": t.contiguous() for name, t in state.items()}
    save_file(named, target / "adapter_model.safetensors")
    module.peft_config[_NAME].save_pretrained(target)  # type: ignore[index, union-attr]


def load_lora(parts: Mapping[str, nn.Module], folder: Path, pipeline: Any) -> None:
    """Read what ``save_lora`` wrote into modules that already have LoRA of the same shape.

    Raises:
        SynthError: the file is missing or its layers differ.
    """
    from diffusers.utils import convert_state_dict_to_peft, convert_unet_state_dict_to_peft
    from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict

    if not (folder / LORA_FILE).is_file():
        raise SynthError(f"no {LORA_FILE}", where=folder)
    loaded = pipeline.lora_state_dict(
        folder, weight_name=LORA_FILE, use_safetensors=True, local_files_only=True
    )
    state = loaded[0] if isinstance(loaded, tuple) else loaded
    for part, module in parts.items():
        mine = {n.removeprefix(f"{part}."): t for n, t in state.items() if n.startswith(f"{part}.")}
        text = part.startswith("text_encoder")
        mine = convert_state_dict_to_peft(mine) if text else convert_unet_state_dict_to_peft(mine)
        present = {
            name: t.shape
            for name, t in get_peft_model_state_dict(module, save_embedding_layers=False).items()
        }
        if {name: tensor.shape for name, tensor in mine.items()} != present:
            raise SynthError(
                "the LoRA file does not fit the model",
                where=folder / LORA_FILE,
                fix="Use the base model, model.rank and model.targets it was trained with.",
            )
        set_peft_model_state_dict(module, mine)


def merged(module: Any) -> Any:
    """The model with LoRA added into its weights; itself when it has none, else a copy."""
    if not has_lora(module):
        return module
    from peft.tuners.tuners_utils import BaseTunerLayer

    plain = copy.deepcopy(module)
    for name, layer in list(plain.named_modules()):
        if isinstance(layer, BaseTunerLayer):
            layer.merge()
            parent, _, child = name.rpartition(".")
            setattr(plain.get_submodule(parent), child, layer.get_base_layer())
    del plain.peft_config
    if hasattr(plain, "_hf_peft_config_loaded"):
        plain._hf_peft_config_loaded = False
    return plain


def _metadata(module: nn.Module) -> dict[str, Any]:
    """Rank and alpha as peft names them; without them a loader assumes alpha = rank."""
    config: dict[str, Any] = module.peft_config[_NAME].to_dict()  # type: ignore[index, union-attr]
    kept = ("r", "lora_alpha", "target_modules", "lora_dropout", "bias", "use_dora")
    plain = {key: config[key] for key in kept}
    plain["target_modules"] = sorted(plain["target_modules"])
    return plain
