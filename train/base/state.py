"""Resumable state of base training: modules, AdamW moments and a step number, in one file."""

from __future__ import annotations

from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import AdamW


def save_state(path: Path, modules: dict[str, nn.Module], optimizer: AdamW, step: int) -> None:
    """Write everything that training needs to continue, whole or not at all."""
    tensors = {
        f"{name}/{key}": value
        for name, module in modules.items()
        for key, value in module.state_dict().items()
    }
    for index, slot in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{key}": value for key, value in slot.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    save_file(
        {name: tensor.contiguous() for name, tensor in tensors.items()},
        temporary,
        metadata={"step": str(step)},
    )
    temporary.replace(path)


def load_state(path: Path, modules: dict[str, nn.Module], optimizer: AdamW) -> int:
    """Read the state back into the modules and the optimiser; the step to continue from, or 0."""
    if not path.is_file():
        return 0
    with safe_open(path, framework="pt") as file:
        step = int(file.metadata()["step"])
        tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for name, module in modules.items():
        head = f"{name}/"
        module.load_state_dict(
            {key.removeprefix(head): t for key, t in tensors.items() if key.startswith(head)}
        )
    slots: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith("optimizer/"):
            _, index, slot = key.split("/")
            slots.setdefault(int(index), {})[slot] = tensor
    state = optimizer.state_dict()
    state["state"] = slots
    optimizer.load_state_dict(state)
    return step
