"""Metrics of real against synthetic features, one class for each function of ``metrics``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import metrics
from metrics.torch_metrics.sides import SidesMetric

_GROUPS = {"real": "real_groups", "synthetic": "synthetic_groups"}


class KernelDistance(SidesMetric):
    """See ``metrics.kernel_distance``."""

    higher_is_better = False
    sides = ("real", "synthetic")
    names: ClassVar[Mapping[str, str]] = _GROUPS
    measure = staticmethod(metrics.kernel_distance)


class MmdRbf(SidesMetric):
    """See ``metrics.mmd_rbf``."""

    higher_is_better = False
    sides = ("real", "synthetic")
    names: ClassVar[Mapping[str, str]] = _GROUPS
    measure = staticmethod(metrics.mmd_rbf)


class Prdc(SidesMetric):
    """See ``metrics.prdc``; ``compute`` gives four scalars by name."""

    higher_is_better = True
    sides = ("real", "synthetic")
    names: ClassVar[Mapping[str, str]] = _GROUPS
    measure = staticmethod(metrics.prdc)


class SlicedWasserstein(SidesMetric):
    """See ``metrics.sliced_wasserstein``."""

    higher_is_better = False
    sides = ("real", "synthetic")
    names: ClassVar[Mapping[str, str]] = _GROUPS
    measure = staticmethod(metrics.sliced_wasserstein)


class C2st(SidesMetric):
    """See ``metrics.c2st``."""

    higher_is_better = False
    sides = ("real", "synthetic")
    names: ClassVar[Mapping[str, str]] = _GROUPS
    measure = staticmethod(metrics.c2st)


class VendiScore(SidesMetric):
    """See ``metrics.vendi_score``; beside real images at equal N, where there are any."""

    higher_is_better = True
    sides = ("real", "synthetic")
    optional = ("real",)
    names: ClassVar[Mapping[str, str]] = {"synthetic": "synthetic_groups"}
    usual = "synthetic"
    measure = staticmethod(metrics.vendi_score)
