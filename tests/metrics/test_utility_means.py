"""Intervals of retrieval and segmentation means hold the truth of other patients and seeds."""

import numpy as np
import pytest

from metrics.utility_means import against, resampling, spread_of_means, spread_of_medians

TRIALS = 150


def held(draw, *, patients, seeds, median):
    """How often ``ci`` and ``delta_ci`` hold the population's value, 0 and 0.3."""
    rng = np.random.default_rng(patients + seeds)
    hits = {"ci": 0, "delta_ci": 0}
    groups = [f"p{at // 2}" for at in range(2 * patients)]
    spread = spread_of_medians if median else spread_of_means
    for trial in range(TRIALS):
        how = resampling(len(groups), groups, seeds=seeds, resamples=300, seed=trial)
        shared = np.repeat(draw(rng, patients), 2) + 0.5 * draw(rng, 2 * patients)
        luck = 0.2 * rng.normal(size=(2, seeds))
        base, arm = (
            spread(
                [
                    shared + gain + lucky + 0.5 * draw(rng, len(groups))
                    for lucky in (luck[at] if seeds > 1 else [0.0])
                ],
                how,
            )
            for at, gain in enumerate((0.0, 0.3))
        )
        found = against(arm, base)
        hits["ci"] += found["ci"][0] <= 0.3 <= found["ci"][1]
        hits["delta_ci"] += found["delta_ci"][0] <= 0.3 <= found["delta_ci"][1]
    return hits


@pytest.mark.parametrize("median", [False, True])
@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("patients", [12, 40])
@pytest.mark.parametrize("tails", ["gaussian", "t5"])
def test_means_and_gains_hold(tails, patients, seeds, median):
    draws = {
        "gaussian": lambda rng, n: rng.normal(size=n),
        "t5": lambda rng, n: rng.standard_t(5, size=n),
    }
    hits = held(draws[tails], patients=patients, seeds=seeds, median=median)
    assert min(hits.values()) >= 0.9 * TRIALS, hits


def test_few_patients_are_withheld():
    how = resampling(4, None, seeds=1, resamples=100, seed=0)
    spread = spread_of_means([np.arange(4.0)], how)
    assert against(spread, spread)["ci"] is None
