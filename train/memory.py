"""How much memory a piece of work needs, found without doing it.

The work runs on torch's fake tensors, which have shapes and no content, and every storage is
counted from when it is made to when it is let go. So the peak is exact for the tensors, for any
model, in seconds and on any machine. What a device's libraries take besides (the CUDA context,
cuDNN's workspaces, gaps between blocks) is not counted.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

T = TypeVar("T")
_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")


@dataclass(frozen=True)
class Cost:
    """What a piece of work takes.

    Attributes:
        peak: bytes of the tensors it makes, at their most.
        flops: floating-point operations of its matrix products and convolutions.
    """

    peak: int
    flops: int


def cost_of(
    work: Callable[[T], object], present: Iterable[Tensor], prepare: Callable[[], T]
) -> Cost:
    """Run work on fake tensors, once to make gradients exist and once to count.

    Args:
        work: reads no value of a tensor; takes what ``prepare`` gives.
        present: parameters and buffers; they are there before and are not counted.
        prepare: makes the inputs, which are not counted either.
    """
    mode = fake()
    known = [mode.from_tensor(tensor) for tensor in present]
    with mode:
        inputs = prepare()
        with FlopCounterMode(display=False) as counter:  # it holds on to tensors: not in both
            work(inputs)
        with Storages(known) as storages:
            work(inputs)
    return Cost(storages.peak, int(counter.get_total_flops()))


def fake() -> FakeTensorMode:
    """Within the block tensors have shapes and no content; networks that are there may be used."""
    return FakeTensorMode(allow_non_fake_inputs=True)


class Storages(TorchDispatchMode):
    """Counts the bytes of the storages that are made within the block and still alive.

    Args:
        known: tensors whose storages are not counted, nor are those of any tensor first met as
            an input.
    """

    def __init__(self, known: Iterable[Tensor] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._sizes: dict[int, int] = {}
        for tensor in known:
            self._meet(tensor, made=False)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        for tensor in _tensors((args, kwargs)):
            self._meet(tensor, made=False)
        output = func(*args, **(kwargs or {}))
        for tensor in _tensors(output):
            self._meet(tensor, made=True)
        return output

    def _meet(self, tensor: Tensor, *, made: bool) -> None:
        storage = tensor.untyped_storage()
        key = id(storage)
        if key in self._sizes:
            return
        self._sizes[key] = storage.nbytes() if made else 0
        weakref.finalize(storage, self._let_go, key)
        self.now += self._sizes[key]
        self.peak = max(self.peak, self.now)

    def _let_go(self, key: int) -> None:
        self.now -= self._sizes.pop(key)


def _tensors(tree: Any) -> Iterator[Tensor]:
    return (leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor))


def modules_of(holder: object) -> list[nn.Module]:
    """The networks an object holds as attributes, alone or in tuples."""
    found: dict[int, nn.Module] = {}
    for value in vars(holder).values():
        for part in value if isinstance(value, tuple | list) else (value,):
            if isinstance(part, nn.Module):
                found.setdefault(id(part), part)
    return list(found.values())


def tensors_of(modules: Iterable[nn.Module]) -> list[Tensor]:
    """Parameters and buffers, each once."""
    found: dict[int, Tensor] = {}
    for module in modules:
        for tensor in (*module.parameters(), *module.buffers()):
            found.setdefault(id(tensor), tensor)
    return list(found.values())


def free_memory(device: torch.device) -> int | None:
    """Bytes that this process may still take on a device; None where it cannot be told."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "cpu":
        return _free_ram()
    return None


def _free_ram() -> int | None:
    """What the kernel says is available, less where a container's limit is nearer."""
    try:
        lines = _MEMINFO.read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if "MemAvailable" in line)
    except (OSError, ValueError, StopIteration):  # macOS, Windows
        names = getattr(os, "sysconf_names", {})
        if "SC_PHYS_PAGES" not in names:
            return None
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit, used = (int(path.read_text()) for path in _CGROUP)
    except (OSError, ValueError):  # no container, or "max"
        return free
    return min(free, limit - used)
