"""prdc 0.2: precision, recall, density and coverage with open balls, k = 5."""

from __future__ import annotations

from metrics.arrays import Floats
from metrics.balls import balls
from synth.errors import SynthError

DEFECTS = (
    "balls are open: identical points lie outside each other's, so that copies of one image "
    "score 0 on all four",
    "N is not equalised, and coverage depends on it",
)


def printed(real: Floats, synthetic: Floats) -> dict[str, float]:
    """``compute_prdc(real, synthetic, nearest_k=5)``."""
    return open_ball_prdc(real, synthetic)


def open_ball_prdc(real: Floats, synthetic: Floats, *, k: int = 5) -> dict[str, float]:
    """The four shares with strict inequalities."""
    if min(len(real), len(synthetic)) <= k:
        raise SynthError("too few images", where="prdc", got=min(len(real), len(synthetic)))
    found = balls(real, synthetic, k, closed=False)
    return {
        "precision": float((found.holding > 0).mean()),
        "recall": float((found.inside > 0).mean()),
        "density": float(found.holding.mean() / k),
        "coverage": float((found.held > 0).mean()),
    }
