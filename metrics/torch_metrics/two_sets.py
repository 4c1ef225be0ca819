"""Metrics that need the features themselves: states are lists of rows, concatenated over processes.

One class for each function of ``metrics``; keyword arguments are those of the function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

import metrics
from metrics.records import Record
from metrics.torch_metrics.alone import value_of
from synth.errors import SynthError, UsageError


class FeatureMetric(Metric):  # type: ignore[misc]  # torchmetrics is not followed
    """A function of feature sets, each named by a keyword: ``update(x, side="real")``.

    Args:
        extractor: images to features [b, d]; None takes features.
        keep: sides that ``reset`` leaves, for reference sets that do not change.
        settings: keyword arguments of the function, for example ``k=3`` or ``seed=1``.
        kwargs: of ``torchmetrics.Metric``.
    """

    is_differentiable = False
    full_state_update = False
    sides: ClassVar[tuple[str, ...]]
    measure: ClassVar[Callable[..., Any]]

    def __init__(
        self,
        extractor: Callable[[Tensor], Tensor] | None = None,
        keep: tuple[str, ...] = (),
        settings: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.extractor, self.keep, self.settings = extractor, keep, dict(settings or {})
        for side in self.sides:
            self.add_state(side, [], dist_reduce_fx="cat")

    def update(self, images: Tensor, real: bool | None = None, side: str | None = None) -> None:
        """Take in images, or features [b, d], of one side.

        Args:
            images: what the extractor takes, or features.
            real: True for ``real``, False for ``synthetic``.
            side: or the side's name, for metrics of training and held-out images.

        Raises:
            SynthError: features that are not a matrix, or no such side.
        """
        name = self._named(real, side)
        features = images if self.extractor is None else self.extractor(images)
        if features.ndim != 2:
            raise SynthError("features must be a matrix", where=name, got=tuple(features.shape))
        getattr(self, name).append(features.detach().float())

    def forward(self, images: Tensor, real: bool | None = None, side: str | None = None) -> Any:
        """Take in a batch as ``update`` does.

        Returns:
            The value of this batch beside the sides in ``keep``, of this process; None where that
            is none: without kept sides a batch of one side is compared with nothing.
        """
        self.update(images, real=real, side=side)
        name = self._named(real, side)
        states: dict[str, list[Tensor]] = {
            one: list(getattr(self, one)) if one in self.keep else [] for one in self.sides
        }
        if name not in self.keep:
            states[name] = getattr(self, name)[-1:]
        self._forward_cache = value_of(self, states)  # where Lightning's logger looks
        return self._forward_cache

    def record(self) -> Any:
        """The function's record, or its records by name, over everything seen.

        Inside a distributed run call it within ``sync_context()``; ``compute`` does so itself.
        """
        held = {}
        for side in self.sides:
            rows = getattr(self, side)
            if isinstance(rows, list) and not rows:
                raise SynthError("no images were given", where=side)
            held[side] = dim_zero_cat(rows).cpu()
        return type(self).measure(**held, **self.settings)

    def compute(self) -> Any:
        """The value, a float64 scalar; of several records, scalars by name."""
        found = self.record()
        if isinstance(found, Record):
            return self._scalar(found)
        return {name: self._scalar(record) for name, record in found.items()}

    def reset(self) -> None:
        """Forget what was seen, except the sides in ``keep``."""
        # Copies: torchmetrics empties the very lists.
        kept = {side: list(getattr(self, side)) for side in self.keep}
        super().reset()
        for side, rows in kept.items():
            setattr(self, side, rows)

    def _named(self, real: bool | None, side: str | None) -> str:
        name = side
        if name is None and real is not None:
            name = "real" if real else "synthetic"
        if name not in self.sides:
            raise UsageError(
                "no such side", where=type(self).__name__, got=name, expected=self.sides
            )
        return name

    def _scalar(self, record: Record) -> Tensor:
        value = float("nan") if record.value is None else record.value
        return torch.tensor(value, dtype=torch.float64, device=self.device)


class KernelDistance(FeatureMetric):
    """See ``metrics.kernel_distance``."""

    higher_is_better = False
    sides = ("real", "synthetic")
    measure = staticmethod(metrics.kernel_distance)


class MmdRbf(FeatureMetric):
    """See ``metrics.mmd_rbf``."""

    higher_is_better = False
    sides = ("real", "synthetic")
    measure = staticmethod(metrics.mmd_rbf)


class Prdc(FeatureMetric):
    """See ``metrics.prdc``; ``compute`` gives four scalars by name."""

    higher_is_better = True
    sides = ("real", "synthetic")
    measure = staticmethod(metrics.prdc)


class SlicedWasserstein(FeatureMetric):
    """See ``metrics.sliced_wasserstein``."""

    higher_is_better = False
    sides = ("real", "synthetic")
    measure = staticmethod(metrics.sliced_wasserstein)


class ClassifierTwoSample(FeatureMetric):
    """See ``metrics.c2st``."""

    higher_is_better = False
    sides = ("real", "synthetic")
    measure = staticmethod(metrics.c2st)


class Authenticity(FeatureMetric):
    """See ``metrics.authenticity``, calibrated: it needs held-out images."""

    higher_is_better = True
    sides = ("train", "heldout", "synthetic")
    measure = staticmethod(metrics.authenticity)


class NearestNeighbourAuc(FeatureMetric):
    """See ``metrics.nearest_neighbour_auc``."""

    higher_is_better = False
    sides = ("train", "heldout", "synthetic")
    measure = staticmethod(metrics.nearest_neighbour_auc)


class DataCopying(FeatureMetric):
    """See ``metrics.data_copying``."""

    sides = ("train", "heldout", "synthetic")
    measure = staticmethod(metrics.data_copying)


class CopyRate(FeatureMetric):
    """See ``metrics.copy_rate``."""

    higher_is_better = False
    sides = ("train", "heldout", "synthetic")
    measure = staticmethod(metrics.copy_rate)


class Mifid(FeatureMetric):
    """See ``metrics.mifid``."""

    higher_is_better = False
    sides = ("train", "synthetic")
    measure = staticmethod(metrics.mifid)
