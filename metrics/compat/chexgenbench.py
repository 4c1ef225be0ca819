"""CheXGenBench (2025): torchmetrics FID and KID, prdc at k = 5, as its ``metrics/fid.py`` does."""

from __future__ import annotations

from metrics.arrays import Floats
from metrics.compat.prdc_0_2 import open_ball_prdc
from metrics.compat.torchmetrics_1_9 import float32_kid, raw_moment_fid

DEFECTS = (
    "every KID subset is the whole smaller set, so that its standard deviation is about 0; the "
    "mean is rounded to three decimals",
    "per-label FID is finite-N bias for the most part: it follows the label's frequency",
    "images are squashed to 299 × 299, unreadable ones scored as black, shards averaged",
    "the published pixel distance wraps around in uint8 and carries no information",
)


def printed(real: Floats, synthetic: Floats) -> dict[str, float]:
    """FID, KID and the four shares of one set; not its per-shard averages."""
    size = min(len(real), len(synthetic))
    # Equal sides make each of its hundred subsets the same whole set.
    subsets = 1 if len(real) == len(synthetic) else 100
    mean, spread = float32_kid(real, synthetic, subsets=subsets, size=size)
    shares = open_ball_prdc(real, synthetic, k=5)
    return {
        "fid": raw_moment_fid(real, synthetic),
        "kid_mean": round(mean, 3),
        "kid_std": round(spread, 3),
        **shares,
    }
