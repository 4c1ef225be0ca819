"""The metrics as ``torchmetrics.Metric`` subclasses, for use inside training loops.

    distance = FrechetDistance(dim=768)
    distance.update(features, real=True)     float [b, d], any device and precision
    distance.update(made, real=False)
    distance.compute()                       float64 scalar
    distance.record()                        with N, floor and note, as the function gives it

A class is the function of the same name: ``KernelDistance`` is ``metrics.kernel_distance``. Each
takes features, or images and the ``extractor`` that maps them to features, and patients as
``groups=`` where the function does. States merge exactly over processes and by ``merge_state``.
``metric(batch, …)`` takes a batch in and gives its value beside the sides that ``reset`` keeps.
Importing this package imports torch.
"""

from __future__ import annotations

from metrics.torch_metrics.copies import (
    Authenticity,
    CopyRate,
    DataCopying,
    Mifid,
    NearestNeighbourAuc,
)
from metrics.torch_metrics.frechet import FrechetDistance
from metrics.torch_metrics.pixels import MsSsimDiversity, TextureRatio
from metrics.torch_metrics.texts import ImageTextAlignment
from metrics.torch_metrics.two_sets import (
    C2st,
    KernelDistance,
    MmdRbf,
    Prdc,
    SlicedWasserstein,
    VendiScore,
)

__all__ = [
    "Authenticity",
    "C2st",
    "CopyRate",
    "DataCopying",
    "FrechetDistance",
    "ImageTextAlignment",
    "KernelDistance",
    "Mifid",
    "MmdRbf",
    "MsSsimDiversity",
    "NearestNeighbourAuc",
    "Prdc",
    "SlicedWasserstein",
    "TextureRatio",
    "VendiScore",
]
