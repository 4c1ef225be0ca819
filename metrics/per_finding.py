"""Each finding on its own: real images that show it against synthetic ones asked to show it.

A generator may be good on average and fail on one finding. Every finding is tested, and the
p-values are corrected for their number. Images show other findings too: a set that mixes them
differently than the reference lies apart from it for that reason as well.
"""

from __future__ import annotations

import numpy as np

from metrics.group_scores import scores_of_groups
from metrics.groups import Group, GroupScores, Sides
from metrics.records import Missing

WHAT = "per-finding"


def per_finding(sides: Sides) -> tuple[dict[str, GroupScores], list[Missing]]:
    """Scores of every finding that enough images of both sides show.

    Args:
        sides: the reference, and synthetic images with the labels they were conditioned on.

    Returns:
        Scores by finding, and what could not be computed.
    """
    real, synthetic = sides.real, sides.synthetic
    names = [name for name in real.findings if name in synthetic.findings]
    if not names:
        return {}, [Missing(WHAT, "real and synthetic labels have no finding in common")]
    truth, asked = real.columns(names), synthetic.columns(names)
    taught = None if sides.train is None else sides.train.columns(names)
    groups = [
        Group(
            name,
            real=np.flatnonzero(truth[:, at] == 1),
            synthetic=np.flatnonzero(asked[:, at] == 1),
            known=np.flatnonzero(np.isfinite(truth[:, at])),
            train=None if taught is None else np.flatnonzero(taught[:, at] == 1),
        )
        for at, name in enumerate(names)
    ]
    shown = [group for group in groups if len(group.real) or len(group.synthetic)]
    return scores_of_groups(shown, sides, what=WHAT)
