"""Vendi score in a training loop: a sum of outer products, so that states simply add up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from metrics.vendi import vendi_of_gram
from synth.errors import SynthError


class VendiScore(Metric):  # type: ignore[misc]  # torchmetrics is not followed
    """Effective number of different images under the cosine kernel, in O(d²) of memory.

    Args:
        dim: of the features.
        q: order, see ``metrics.vendi``.
        extractor: images to features [b, dim]; None takes features.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    gram: Tensor
    count: Tensor

    def __init__(
        self,
        dim: int,
        q: float = 1.0,
        extractor: Callable[[Tensor], Tensor] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dim, self.q, self.extractor = dim, q, extractor
        self.add_state("gram", torch.zeros(dim, dim, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, images: Tensor) -> None:
        """Take in synthetic images, or their features [b, dim].

        Raises:
            SynthError: features of another dimension, or a row without direction.
        """
        features = images if self.extractor is None else self.extractor(images)
        if features.ndim != 2 or features.shape[1] != self.dim:
            raise SynthError(
                "features have the wrong shape",
                where="VendiScore",
                got=tuple(features.shape),
                expected=f"[b, {self.dim}]",
            )
        rows = features.detach().double()
        lengths = rows.norm(dim=1, keepdim=True)
        if not (torch.isfinite(lengths) & (lengths > 0)).all():
            raise SynthError("a row is zero or not finite", where="VendiScore")
        unit = rows / lengths
        self.gram = self.gram + unit.T @ unit
        self.count = self.count + len(unit)

    def compute(self) -> Tensor:
        """The score, a float64 scalar between 1 and min(n, dim)."""
        if self.count < 1:
            raise SynthError("no images were given", where="VendiScore")
        value = vendi_of_gram((self.gram / self.count).cpu().numpy(), q=self.q)
        return torch.tensor(value, dtype=torch.float64, device=self.device)

    def set_dtype(self, dst_type: str | torch.dtype) -> Metric:
        """The states stay float64."""
        return self
