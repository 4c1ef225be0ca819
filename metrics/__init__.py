"""How good a synthetic dataset is, each number with its N, its interval and its floor.

The metrics are pure functions of feature arrays or tensors ``[N, D]``, keyword-only so that two
sides cannot be swapped by accident. Each returns a record (``metrics.records.Record``) whose
``.value`` is the number; this package imports no torch:

>>> import numpy as np
>>> from metrics import frechet_distance, kernel_distance, prdc
>>> real = np.random.default_rng(0).normal(size=(200, 4))
>>> abs(kernel_distance(real=real, synthetic=real[::-1]).value) < 0.1
True
>>> abs(frechet_distance(real=real, synthetic=real, estimator="plug-in").value) < 1e-9
True

``ms_ssim_diversity`` and ``texture_ratio`` take images, ``image_text_alignment`` pairs of features,
``label_fidelity`` a judge and labelled sets. ``memorization`` gives distances and two estimates;
``copies_by_finding`` takes those distances apart by finding.

The same metrics for training loops, with ``update`` and ``compute``: ``metrics.torch_metrics``.
What other tools would print: ``metrics.compat``. Statistics to keep and merge: ``metrics.moments``.
``metrics.run.evaluate`` scores a synthetic dataset against a real one and writes ``scores.json``
(its structure: ``metrics.records``); ``metrics.report.write_report`` makes the page.
"""

from __future__ import annotations

from metrics.alignment import image_text_alignment
from metrics.authenticity import authenticity
from metrics.c2st import c2st
from metrics.copies_by_finding import copies_by_finding
from metrics.copy_rate import copy_rate
from metrics.data_copying import data_copying
from metrics.delong import delong
from metrics.fidelity import frechet_distance, kernel_distance, prdc
from metrics.label_fidelity import label_fidelity
from metrics.memorization import memorization
from metrics.mifid import mifid
from metrics.mmd import mmd_rbf
from metrics.ms_ssim import ms_ssim_diversity
from metrics.multiplicity import holm
from metrics.nearest_neighbour import nearest_neighbour_auc
from metrics.nearest_share import nearest_share
from metrics.prdc import expected_coverage
from metrics.sliced_wasserstein import sliced_wasserstein
from metrics.texture import texture_ratio
from metrics.vendi import vendi_score

__all__ = [
    "authenticity",
    "c2st",
    "copies_by_finding",
    "copy_rate",
    "data_copying",
    "delong",
    "expected_coverage",
    "frechet_distance",
    "holm",
    "image_text_alignment",
    "kernel_distance",
    "label_fidelity",
    "memorization",
    "mifid",
    "mmd_rbf",
    "ms_ssim_diversity",
    "nearest_neighbour_auc",
    "nearest_share",
    "prdc",
    "sliced_wasserstein",
    "texture_ratio",
    "vendi_score",
]
