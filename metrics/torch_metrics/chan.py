"""Moments as one tensor state that processes can gather and merge exactly.

``[n, mean (d), scatter (d²)]`` in float64. Summing the parts of two processes would be wrong, since
their scatters are about different means: the reduction is Chan's merge, see ``metrics.moments``.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def empty(dim: int) -> Tensor:
    """The state before any row: float64 [1 + d + d²]."""
    return torch.zeros(1 + dim + dim * dim, dtype=torch.float64)


def of_rows(rows: Tensor) -> Tensor:
    """The state of rows [b, d]; of no rows, the empty one."""
    rows = rows.detach().double()
    if len(rows) == 0:
        return empty(rows.shape[1]).to(rows.device)
    mean = rows.mean(dim=0)
    centred = rows - mean
    count = torch.tensor([float(len(rows))], dtype=torch.float64, device=rows.device)
    return torch.cat([count, mean, (centred.T @ centred).flatten()])


def unpacked(state: Tensor, dim: int) -> tuple[Tensor, Tensor, Tensor]:
    """N [], mean [d] and scatter [d, d] of a state."""
    return state[0], state[1 : 1 + dim], state[1 + dim :].view(dim, dim)


def merged(one: Tensor, two: Tensor) -> Tensor:
    """The state of both sets of rows together; either may be empty."""
    dim = _dim(one)
    n_1, mean_1, scatter_1 = unpacked(one, dim)
    n_2, mean_2, scatter_2 = unpacked(two, dim)
    n = n_1 + n_2
    share = n_2 / n.clamp(min=1.0)
    shift = mean_2 - mean_1
    scatter = scatter_1 + scatter_2 + torch.outer(shift, shift) * (n_1 * share)
    return torch.cat([n[None], mean_1 + shift * share, scatter.flatten()])


def reduced(states: Tensor) -> Tensor:
    """The state [l] of the states [processes, l]: the ``dist_reduce_fx`` of a metric."""
    total = states[0]
    for state in states[1:]:
        total = merged(total, state)
    return total


def _dim(state: Tensor) -> int:
    """D from the length 1 + d + d²."""
    return (math.isqrt(4 * (len(state) - 1) + 1) - 1) // 2
