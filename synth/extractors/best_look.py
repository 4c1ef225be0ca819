"""Early stopping: the weights that were judged best on the way are kept."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

_LOOKS = 8  # how often a fit is judged on the way

N = TypeVar("N", bound=nn.Module)


class BestLook(Generic[N]):
    """The weights of a network that were judged best on the way.

    Args:
        judged: scores the network in evaluation mode, higher is better; None keeps the last.
        steps: optimiser steps of the fit; it is judged at eight of them, the last among them.
    """

    def __init__(self, judged: Callable[[N], float] | None, steps: int) -> None:
        self._judged = judged
        self._steps = {-(-steps * look // _LOOKS) for look in range(1, _LOOKS + 1)}
        self._score = -math.inf
        self._weights: dict[str, Tensor] = {}

    def look(self, network: N, step: int) -> None:
        """Judge the network after some of its steps; the later one of equals is kept."""
        if self._judged is None or step not in self._steps:
            return
        network.eval()
        with torch.no_grad():
            score = self._judged(network)
        network.train()
        if score >= self._score:
            self._score = score
            self._weights = {name: value.clone() for name, value in network.state_dict().items()}

    def restore(self, network: N) -> None:
        """Give the network the best weights back, where there was a judge."""
        if self._weights:
            network.load_state_dict(self._weights)
