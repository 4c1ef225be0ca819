"""The value of one batch, as ``metric(batch, …)`` gives it, with the states left as they are.

``Metric.forward`` of torchmetrics resets, updates and merges what was there before. Sides that
``reset`` keeps would be merged with themselves, and an error halfway would lose what was seen. So
the batch is taken in once, and its value is computed on states put in place for that moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torchmetrics import Metric

from synth.errors import SynthError


@dataclass(frozen=True)
class Extracted:
    """Features of images that the extractor has been through: it need not see them twice."""

    features: Tensor


def value_of(metric: Metric, states: Mapping[str, Any]) -> Any:
    """``compute`` on other states than those held, which are put back whatever happens.

    Args:
        metric: whose ``compute`` it is.
        states: all of its states by name.

    Returns:
        What ``compute`` returns; None where the batch and the kept sides have no value: a side is
        missing, or holds too few images.
    """
    held = {name: getattr(metric, name) for name in states}
    try:
        for name, state in states.items():
            setattr(metric, name, state)
        with metric.sync_context(should_sync=metric.dist_sync_on_step):
            return _computed(metric)
    finally:
        for name, state in held.items():
            setattr(metric, name, state)


def _computed(metric: Metric) -> Any:
    """Not by the instance's ``compute``, which caches, warns and gathers over processes."""
    try:
        return type(metric).compute(metric)
    except SynthError:
        return None
