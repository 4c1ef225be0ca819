"""The metrics as ``torchmetrics.Metric`` subclasses, for use inside training loops.

    distance = FrechetDistance(dim=768)
    distance.update(features, real=True)     float [b, d], any device and precision
    distance.update(made, real=False)
    distance.compute()                       float64 scalar

Each takes features, or images and the ``extractor`` that maps them to features. States merge
exactly over processes and by ``merge_state``. ``record()``, where there is one, gives the value
with its uncertainty, as the function of the same name does. Importing this package imports torch.
"""

from __future__ import annotations

from metrics.torch_metrics.frechet import FrechetDistance
from metrics.torch_metrics.two_sets import (
    Authenticity,
    ClassifierTwoSample,
    CopyRate,
    DataCopying,
    KernelDistance,
    Mifid,
    MmdRbf,
    NearestNeighbourAuc,
    Prdc,
    SlicedWasserstein,
)
from metrics.torch_metrics.vendi import VendiScore

__all__ = [
    "Authenticity",
    "ClassifierTwoSample",
    "CopyRate",
    "DataCopying",
    "FrechetDistance",
    "KernelDistance",
    "Mifid",
    "MmdRbf",
    "NearestNeighbourAuc",
    "Prdc",
    "SlicedWasserstein",
    "VendiScore",
]
