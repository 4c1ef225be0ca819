"""The optimiser loop that the trained kinds of utility share: the same steps in every arm."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from synth.extractors.best_look import BestLook

N = TypeVar("N", bound=nn.Module)
_WEIGHT_DECAY = 1e-2
_LEAST_SCHEDULE = 8  # steps; a one-cycle schedule of four divides by zero


def optimise(
    network: N,
    loss_at: Callable[[int], Tensor],
    *,
    steps: int,
    learning_rate: float,
    judged: Callable[[N], float] | None,
) -> None:
    """Take exactly ``steps`` steps of AdamW with a one-cycle rate, and leave the best weights.

    Args:
        network: trained in place, and left in evaluation mode.
        loss_at: the loss of the batch of a step, 0 to ``steps`` - 1.
        steps: optimiser updates.
        learning_rate: of the peak.
        judged: scores the network in evaluation mode, higher is better; None keeps the last.
    """
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=learning_rate, weight_decay=_WEIGHT_DECAY
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, learning_rate, total_steps=max(steps, _LEAST_SCHEDULE), pct_start=0.25
    )
    best = BestLook(judged, steps)
    network.train()
    for step in range(steps):
        loss = loss_at(step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        best.look(network, step + 1)
    best.restore(network)
    network.eval()
