from __future__ import annotations

import numpy as np
import pytest
from numpy.random import RandomState

from metrics.covariance import accumulated, spread_of, without_each
from metrics.frechet import frechet_distance, trace_of_root


def test_slabs_and_small_parts_give_the_spread_of_all_rows() -> None:
    rows = RandomState(0).randn(5000, 7) * np.arange(1, 8) + 1e3
    centred = rows - rows.mean(axis=0)
    for found in (spread_of(rows), accumulated(np.array_split(rows, 900))):
        assert found.n == 5000
        assert found.mean == pytest.approx(rows.mean(axis=0), rel=1e-13)
        assert np.allclose(found.scatter, centred.T @ centred, rtol=1e-9, atol=1e-7)


def test_float32_rows_are_summed_in_float64() -> None:
    rows = RandomState(1).randn(4000, 5).astype(np.float32) + np.float32(100)
    assert np.allclose(spread_of(rows).covariance, np.cov(rows.astype(np.float64).T), rtol=1e-10)


def test_leaving_a_block_out_is_the_spread_of_the_others() -> None:
    rows = RandomState(2).randn(300, 6) + 50.0
    block = RandomState(3).randint(0, 4, 300)
    for which, found in enumerate(without_each(rows, block, 4)):
        kept = rows[block != which]
        assert found.n == len(kept)
        assert found.mean == pytest.approx(kept.mean(axis=0), rel=1e-13)
        assert np.allclose(found.covariance, np.cov(kept.T), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 4.0])
def test_the_trace_keeps_its_digits_on_falling_spectra(power: float) -> None:
    """Covariances that share their axes: the trace is Σ √(λᵢ μᵢ), and eigenvalues may be tiny."""
    axes, _ = np.linalg.qr(RandomState(4).randn(60, 60))
    one = np.arange(1.0, 61) ** -power
    two = 1.3 * np.arange(1.0, 61) ** (-0.9 * power)
    found = trace_of_root((axes * one) @ axes.T, (axes * two) @ axes.T)
    assert found == pytest.approx(np.sqrt(one * two).sum(), rel=1e-10)


def test_rows_and_singular_rows_have_one_distance() -> None:
    """A constant column sends the distance through QR factors: nothing else may change."""
    one, two = RandomState(5).randn(2, 200, 6)
    plain = frechet_distance(real=one, synthetic=1.5 * two)
    flat = np.ones((200, 1))
    again = frechet_distance(real=np.hstack([one, flat]), synthetic=np.hstack([1.5 * two, flat]))
    assert again == pytest.approx(plain, rel=1e-11)
