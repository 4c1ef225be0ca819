"""Fréchet distance in a training loop: O(d²) of memory, whatever the number of images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torchmetrics import Metric

from metrics.frechet import BLOCKS
from metrics.frechet_blocks import floor_of_blocks, frechet_of_blocks, plug_in_of_blocks
from metrics.meanings import MEANINGS
from metrics.records import Record, recorded
from metrics.torch_metrics import chan
from metrics.torch_metrics.alone import Extracted, value_of
from metrics.torch_metrics.names import numbered
from synth.errors import SynthError, UsageError


class FrechetDistance(Metric):  # type: ignore[misc]  # torchmetrics is not followed
    """See ``metrics.frechet_distance``: the same estimators, from moments.

    Bias-reduced, each side keeps the moments of ten blocks, 10 d² numbers of float64 (47 MB a side
    for d = 768); a row goes to the block of its patient, or to the next block in turn. ``plug-in``
    keeps a tenth of that. The interval needs the features themselves and is withheld.

    Args:
        dim: of the features.
        extractor: images to features [b, dim]; None takes features.
        reset_real: False keeps the real side at ``reset``.
        estimator: ``jackknife`` reduces the bias; ``plug-in`` is the usual number, biased upwards
            by O(1/n), for a running comparison at fixed N.
        kwargs: of ``torchmetrics.Metric``.
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
        estimator: Literal["jackknife", "plug-in"] = "jackknife",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if estimator not in ("jackknife", "plug-in"):
            raise UsageError("no such estimator", got=estimator, expected="jackknife or plug-in")
        self.dim, self.extractor, self.reset_real = dim, extractor, reset_real
        self.estimator, self.blocks = estimator, BLOCKS if estimator == "jackknife" else 1
        self.add_state("real", chan.empty(dim, self.blocks), dist_reduce_fx=chan.reduced)
        self.add_state("synthetic", chan.empty(dim, self.blocks), dist_reduce_fx=chan.reduced)

    def update(
        self, images: Tensor | Extracted, real: bool, groups: Sequence[str] | None = None
    ) -> None:
        """Take in images, or features [b, dim], of one side.

        Args:
            images: what the extractor takes, or features.
            real: True for real images, False for synthetic ones.
            groups: [b] the patient of each row: a patient's rows are left out together.

        Raises:
            SynthError: features of another dimension, or not finite, or not one group a row.
        """
        features = self._features(images)
        side = "real" if real else "synthetic"
        state = getattr(self, side)
        setattr(self, side, self._grown(state, features, groups))

    def forward(self, images: Tensor, real: bool, groups: Sequence[str] | None = None) -> Any:
        """Take in a batch as ``update`` does.

        Returns:
            The distance of this batch to the real side, of this process, where ``reset_real`` is
            False; None where that is none: a batch of one side is compared with nothing, and a
            bias-reduced distance needs 2 dim images.
        """
        features = self._features(images)
        self.update(Extracted(features), real=real, groups=groups)
        nothing = chan.empty(self.dim, self.blocks).to(self.device)
        states = {"real": nothing, "synthetic": nothing}
        states["real" if real else "synthetic"] = self._grown(nothing, features, groups)
        if not self.reset_real:
            states["real"] = self.real
        self._forward_cache = value_of(self, states)  # where Lightning's logger looks
        return self._forward_cache

    def record(self) -> Record:
        """The distance with its floor, as ``metrics.frechet_distance`` gives it.

        Inside a distributed run call it within ``sync_context()``; ``compute`` does so itself.

        Raises:
            SynthError: too few images for the estimator.
        """
        real, made = chan.spreads(self.real), chan.spreads(self.synthetic)
        plain = plug_in_of_blocks(real, made)
        found = plain if self.estimator == "plug-in" else frechet_of_blocks(real, made)
        return recorded(
            found,
            n_real=chan.count(self.real),
            n_synthetic=chan.count(self.synthetic),
            higher_is_better=False,
            meaning=MEANINGS["fd"],
            floor=floor_of_blocks(real, made) if found is not plain else None,
            details={"plug_in": plain.value},
        )

    def compute(self) -> Tensor:
        """The distance, a float64 scalar.

        Raises:
            SynthError: too few images for the estimator.
        """
        real, made = chan.spreads(self.real), chan.spreads(self.synthetic)
        measure = plug_in_of_blocks if self.estimator == "plug-in" else frechet_of_blocks
        return torch.tensor(measure(real, made).value, dtype=torch.float64, device=self.device)

    def set_dtype(self, dst_type: str | torch.dtype) -> Metric:
        """The states stay float64: half a mantissa would undo the centred sums."""
        return self

    def reset(self) -> None:
        """Forget what was seen; the real side stays where ``reset_real`` is False."""
        kept = self.real
        super().reset()
        if not self.reset_real:
            self.real = kept

    def _grown(self, state: Tensor, features: Tensor, groups: Sequence[str] | None) -> Tensor:
        """The state with further rows, each in the block of its patient or the next in turn."""
        if groups is None:
            place = chan.count(state) + torch.arange(len(features))
        else:
            place = numbered(groups, len(features), where="groups")
        return chan.with_rows(state, features, place % self.blocks)

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
