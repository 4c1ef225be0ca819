"""Copies finding by finding: a rare one has few training images, and those are copied first.

For each finding the synthetic images asked to show it are held against unseen real images that show
it, each by the distance to its nearest training image. How many synthetic images lie closer than
the closest unseen patients has an exact law where both are draws of one distribution: the share
below the r-th of h order statistics is Beta(r, h - r + 1) (Rényi 1953), the count beta-binomial.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from metrics.arrays import Floats, Groups, group_names
from metrics.multiplicity import holm_by_name
from metrics.share_closer import beta_binomial_p, closest_of_each, limit_rank

LEAST = 10  # synthetic images, and unseen patients, below which nothing is said of a finding


def copies_by_finding(
    *,
    synthetic: ArrayLike,
    held_out: ArrayLike,
    synthetic_labels: ArrayLike,
    held_out_labels: ArrayLike,
    findings: Sequence[str],
    held_out_groups: Groups = None,
) -> dict[str, dict[str, Any]]:
    """Share of each finding's synthetic images closer to training than the closest unseen ones.

    Args:
        synthetic: [m] distance of each synthetic image to its nearest training image.
        held_out: [h] the same of unseen real images.
        synthetic_labels: [m, findings] what was asked for: 1, 0 or NaN.
        held_out_labels: [h, findings].
        findings: names of the columns.
        held_out_groups: the patient of each unseen image; each counts once, by its closest image,
            which makes the test conservative.

    Returns:
        For each finding with enough images ``share``, ``expected``, ``limit`` (the distance),
        ``n_synthetic``, ``patients`` and the one-sided ``p`` with its ``p_holm``; ``withheld``
        with the reason for the others.
    """
    close, far = np.asarray(synthetic, np.float64), np.asarray(held_out, np.float64)
    asked, shown = np.asarray(synthetic_labels) == 1, np.asarray(held_out_labels) == 1
    names = np.asarray(group_names(len(far), held_out_groups, side="held_out"))
    found = {
        name: _finding(close[asked[:, at]], far[shown[:, at]], names[shown[:, at]])
        for at, name in enumerate(findings)
        if asked[:, at].any()
    }
    corrected = holm_by_name({name: row["p"] for name, row in found.items() if "p" in row})
    return {
        name: row | ({"p_holm": corrected[name]} if name in corrected else {})
        for name, row in found.items()
    }


def _finding(close: Floats, far: Floats, names: np.ndarray[Any, Any]) -> dict[str, Any]:
    patients = np.unique(names)
    counts = {"n_synthetic": len(close), "patients": len(patients)}
    if min(counts.values()) < LEAST:
        why = f"fewer than {LEAST} synthetic images or unseen patients with it"
        return counts | {"withheld": why}
    nearest = closest_of_each(far, names.tolist())
    rank = limit_rank(len(nearest))
    limit = float(nearest[rank - 1])
    below = int((close < limit).sum())
    return counts | {
        "share": below / len(close),
        "expected": rank / (len(nearest) + 1),
        "limit": limit,
        "p": beta_binomial_p(below, len(close), rank=rank, patients=len(nearest)),
    }
