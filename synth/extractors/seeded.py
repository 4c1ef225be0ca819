"""Initial weights as a function of a generator, never of torch's hidden state."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

N = TypeVar("N", bound=nn.Module)


def seeded(make: Callable[[], N], generator: torch.Generator) -> N:
    """A network with initial weights drawn from a generator alone.

    Convolutions and linear layers are uniform within one over the root of their inputs, embeddings
    are normal with a standard deviation of 0.1, normalizations are ones and zeros. Parameters and
    buffers of other modules are zero. The network is made without storage first, so that torch's
    own random state is neither read nor changed.

    Args:
        make: builds the network.
        generator: on the CPU.
    """
    with torch.device("meta"):
        network = make()
    network.to_empty(device="cpu")
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()  # ones and zeros
            elif isinstance(module, nn.Conv2d | nn.Linear):
                bound = module.weight[0].numel() ** -0.5
                for parameter in module.parameters():
                    uniform = torch.rand(parameter.shape, generator=generator)
                    parameter.copy_((2.0 * uniform - 1.0) * bound)
            elif isinstance(module, nn.Embedding):
                module.weight.copy_(0.1 * torch.randn(module.weight.shape, generator=generator))
            else:
                for held in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
                    held.zero_()
    return network
