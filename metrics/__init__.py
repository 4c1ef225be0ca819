"""How good a synthetic dataset is, each number with its N, its interval and its floor.

The distances are pure functions of feature arrays, keyword-only so that the two sides cannot be
swapped by accident, and import no torch:

>>> import numpy as np
>>> from metrics import frechet_distance, kernel_distance, prdc
>>> real = np.random.default_rng(0).normal(size=(200, 4))
>>> frechet_distance(real=real, synthetic=real) < 1e-9
True

``metrics.run.evaluate`` scores a synthetic dataset against a real one and writes ``scores.json``
(its structure: ``metrics.records``); ``metrics.report.write_report`` makes the page.
"""

from __future__ import annotations

from metrics.frechet import frechet_distance
from metrics.kernel import kernel_distance
from metrics.prdc import prdc

__all__ = ["frechet_distance", "kernel_distance", "prdc"]
