"""Metrics of copying, which compare training, unseen and synthetic images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import metrics
from metrics.torch_metrics.sides import SidesMetric


class Authenticity(SidesMetric):
    """See ``metrics.authenticity``: calibrated where there are held-out images."""

    higher_is_better = True
    sides = ("train", "heldout", "synthetic")
    optional = ("heldout",)
    names: ClassVar[Mapping[str, str]] = {
        "train": "train_groups",
        "heldout": "heldout_groups",
        "synthetic": "synthetic_groups",
    }
    measure = staticmethod(metrics.authenticity)


class NearestNeighbourAuc(SidesMetric):
    """See ``metrics.nearest_neighbour_auc``."""

    higher_is_better = False
    sides = ("train", "heldout", "synthetic")
    names: ClassVar[Mapping[str, str]] = {"train": "train_groups", "heldout": "heldout_groups"}
    measure = staticmethod(metrics.nearest_neighbour_auc)


class DataCopying(SidesMetric):
    """See ``metrics.data_copying``."""

    sides = ("train", "heldout", "synthetic")
    names: ClassVar[Mapping[str, str]] = {"heldout": "heldout_groups"}
    measure = staticmethod(metrics.data_copying)


class CopyRate(SidesMetric):
    """See ``metrics.copy_rate``."""

    higher_is_better = False
    sides = ("train", "heldout", "synthetic")
    measure = staticmethod(metrics.copy_rate)


class Mifid(SidesMetric):
    """See ``metrics.mifid``; the training images are the reference where no real ones are given."""

    higher_is_better = False
    sides = ("train", "synthetic", "real")
    optional = ("real",)
    measure = staticmethod(metrics.mifid)
