"""Fréchet distance in a training loop: O(d²) of memory, whatever the number of images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from metrics.frechet import frechet_from_moments
from metrics.torch_metrics import chan
from metrics.torch_metrics.alone import Extracted, value_of
from synth.errors import SynthError


class FrechetDistance(Metric):  # type: ignore[misc]  # torchmetrics is not followed
    """Plug-in Fréchet distance of what has been seen, biased upwards by O(1/n).

    The plug-in value is what a running comparison at fixed N needs. The bias-reduced value with its
    interval needs the features themselves: ``metrics.frechet_distance``.

    Args:
        dim: of the features.
        extractor: images to features [b, dim]; None takes features.
        reset_real: False keeps the real side at ``reset``.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    real: Tensor
    synthetic: Tensor

    def __init__(
        self,
        dim: int,
        extractor: Callable[[Tensor], Tensor] | None = None,
        reset_real: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dim, self.extractor, self.reset_real = dim, extractor, reset_real
        self.add_state("real", chan.empty(dim), dist_reduce_fx=chan.reduced)
        self.add_state("synthetic", chan.empty(dim), dist_reduce_fx=chan.reduced)

    def update(self, images: Tensor | Extracted, real: bool) -> None:
        """Take in images, or features [b, dim], of one side.

        Raises:
            SynthError: features of another dimension, or not finite.
        """
        state = chan.of_rows(self._features(images))
        if real:
            self.real = chan.merged(self.real, state)
        else:
            self.synthetic = chan.merged(self.synthetic, state)

    def forward(self, images: Tensor, real: bool) -> Any:
        """Take in a batch as ``update`` does.

        Returns:
            The distance of this batch to the real side, of this process, where ``reset_real`` is
            False; else None: a batch of one side is compared with nothing.
        """
        features = self._features(images)
        self.update(Extracted(features), real=real)
        nothing = chan.empty(self.dim).to(self.device)
        states = {"real": nothing, "synthetic": nothing}
        states["real" if real else "synthetic"] = chan.of_rows(features)
        if not self.reset_real:
            states["real"] = self.real
        self._forward_cache = value_of(self, states)  # where Lightning's logger looks
        return self._forward_cache

    def _features(self, images: Tensor | Extracted) -> Tensor:
        if isinstance(images, Extracted):
            return images.features
        features = images if self.extractor is None else self.extractor(images)
        if features.ndim != 2 or features.shape[1] != self.dim:
            raise SynthError(
                "features have the wrong shape",
                where="FrechetDistance",
                got=tuple(features.shape),
                expected=f"[b, {self.dim}]",
            )
        if not torch.isfinite(features).all():
            raise SynthError("features hold NaN or infinite values", where="FrechetDistance")
        return features

    def compute(self) -> Tensor:
        """The distance, a float64 scalar.

        Raises:
            SynthError: fewer than two images on a side.
        """
        sides = []
        for name, state in (("real", self.real), ("synthetic", self.synthetic)):
            n, mean, scatter = chan.unpacked(state.cpu(), self.dim)
            if n < 2:
                raise SynthError("too few images", where=name, got=int(n), expected="at least 2")
            sides.append((mean.numpy(), (scatter / (n - 1)).numpy()))
        value = frechet_from_moments(
            real_mean=sides[0][0],
            real_covariance=sides[0][1],
            synthetic_mean=sides[1][0],
            synthetic_covariance=sides[1][1],
        )
        return torch.tensor(value, dtype=torch.float64, device=self.device)

    def set_dtype(self, dst_type: str | torch.dtype) -> Metric:
        """The states stay float64: half a mantissa would undo the centred sums."""
        return self

    def reset(self) -> None:
        """Forget what was seen; the real side stays where ``reset_real`` is False."""
        kept = self.real
        super().reset()
        if not self.reset_real:
            self.real = kept
