import numpy as np
import pytest

from metrics.seed_luck import seed_picks


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_resampled_seeds_have_the_variance_of_their_mean(seeds):
    """Over draws of the seeds themselves, the resamples' variance averages σ²/n."""
    rng = np.random.default_rng(0)
    picks = seed_picks(seeds, 2000, 0)
    assert picks.shape == (seeds, 2000)
    np.testing.assert_allclose(picks.sum(axis=0), 1.0)
    found = np.mean([(rng.normal(size=seeds) @ picks).var() for _ in range(3000)])
    assert found == pytest.approx(1.0 / seeds, rel=0.05)


def test_one_seed_is_taken_as_it_is():
    assert (seed_picks(1, 10, 0) == 1.0).all()
