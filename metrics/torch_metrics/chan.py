"""Moments in blocks as one tensor state that processes can gather and merge exactly.

Each block is ``[n, mean (d), scatter (d²)]`` in float64. Summing the parts of two processes would
be wrong, since their scatters are about different means: the reduction is Chan's merge, block by
block, see ``metrics.moments``. Blocks are what a jackknife leaves out.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from metrics.covariance import Spread


def empty(dim: int, blocks: int) -> Tensor:
    """The state before any row: float64 [blocks, 1 + d + d²]."""
    return torch.zeros(blocks, 1 + dim + dim * dim, dtype=torch.float64)


def with_rows(state: Tensor, rows: Tensor, block: Tensor) -> Tensor:
    """The state after further rows [b, d], each in its block, int64 [b] on the CPU."""
    grown = state.clone()
    for which in torch.unique(block).tolist():
        chosen = rows[(block == which).to(rows.device)]
        grown[which] = merged(grown[which], _of_rows(chosen).to(state.device))
    return grown


def _of_rows(rows: Tensor) -> Tensor:
    """One block of rows [b, d], one at least."""
    rows = rows.detach().double()
    mean = rows.mean(dim=0)
    centred = rows - mean
    count = torch.tensor([float(len(rows))], dtype=torch.float64, device=rows.device)
    return torch.cat([count, mean, (centred.T @ centred).flatten()])


def merged(one: Tensor, two: Tensor) -> Tensor:
    """A block [1 + d + d²] of both sets of rows together; either may be empty."""
    dim = _dim(one)
    n_1, mean_1, scatter_1 = _unpacked(one, dim)
    n_2, mean_2, scatter_2 = _unpacked(two, dim)
    n = n_1 + n_2
    share = n_2 / n.clamp(min=1.0)
    shift = mean_2 - mean_1
    scatter = scatter_1 + scatter_2 + torch.outer(shift, shift) * (n_1 * share)
    return torch.cat([n[None], mean_1 + shift * share, scatter.flatten()])


def reduced(states: Tensor) -> Tensor:
    """The state of the states [processes, blocks, l]: the ``dist_reduce_fx`` of a metric."""
    total = states[0].clone()
    for state in states[1:]:
        for which in range(len(total)):
            total[which] = merged(total[which], state[which])
    return total


def count(state: Tensor) -> int:
    """Rows in all blocks."""
    return int(state[:, 0].sum())


def spreads(state: Tensor) -> list[Spread]:
    """The blocks that hold rows."""
    dim = _dim(state[0])
    held = []
    for block in state.cpu():
        n, mean, scatter = _unpacked(block, dim)
        if n > 0:
            held.append(Spread(int(n), mean.numpy(), scatter.numpy()))
    return held


def _unpacked(block: Tensor, dim: int) -> tuple[Tensor, Tensor, Tensor]:
    return block[0], block[1 : 1 + dim], block[1 + dim :].view(dim, dim)


def _dim(block: Tensor) -> int:
    """D from the length 1 + d + d²."""
    return (math.isqrt(4 * (len(block) - 1) + 1) - 1) // 2
