from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.random import RandomState

from metrics.frechet import frechet_distance
from metrics.moments import (
    Moments,
    frechet_of_moments,
    load_moments,
    moments_of,
    streamed_moments,
)
from synth.errors import SynthError


def test_shards_merge_to_the_moments_of_all_rows() -> None:
    rows = RandomState(0).randn(1000, 12) * np.arange(1, 13) + 5.0
    for cuts in ([1, 2, 500], [333, 666], list(range(50, 1000, 50))):
        merged = streamed_moments(np.split(rows, cuts))
        assert merged.n == 1000
        assert merged.mean == pytest.approx(rows.mean(axis=0), rel=1e-12)
        assert np.allclose(merged.covariance, np.cov(rows.T), rtol=1e-11, atol=1e-12)


def test_order_of_merging_does_not_matter() -> None:
    parts = [moments_of(part) for part in np.split(RandomState(1).randn(90, 4), [10, 40])]
    left = parts[0].merge(parts[1]).merge(parts[2])
    right = parts[2].merge(parts[1].merge(parts[0]))
    assert np.allclose(left.scatter, right.scatter, rtol=1e-12, atol=1e-12)


def test_a_large_offset_costs_no_digits() -> None:
    """Raw moments lose everything here: mean over spread is 1e6."""
    rows = RandomState(2).randn(2000, 6) + 1e6
    merged = streamed_moments(np.array_split(rows, 20))
    assert np.allclose(merged.covariance, np.cov((rows - 1e6).T), rtol=1e-6, atol=1e-7)
    raw = (rows.T @ rows - 2000 * np.outer(rows.mean(axis=0), rows.mean(axis=0))) / 1999
    assert not np.allclose(raw, np.cov((rows - 1e6).T), rtol=1e-4, atol=1e-5)


def test_statistics_give_the_distance_of_their_rows() -> None:
    stream = RandomState(3)
    one, two = stream.randn(200, 8), 1.3 * stream.randn(150, 8) + 0.1
    found = frechet_of_moments(real=moments_of(one), synthetic=moments_of(two))
    assert found == pytest.approx(frechet_distance(real=one, synthetic=two), rel=1e-10)


def test_files_keep_n_and_are_read_by_other_tools(tmp_path: Path) -> None:
    rows = RandomState(4).randn(40, 3)
    path = tmp_path / "real.npz"
    moments_of(rows, extractor="pixel").save(path)
    with np.load(path) as file:  # what pytorch-fid reads
        assert file["mu"] == pytest.approx(rows.mean(axis=0))
        assert np.allclose(file["sigma"], np.cov(rows.T))
    again = load_moments(path)
    assert (again.n, again.extractor) == (40, "pixel")
    assert np.allclose(again.merge(again).covariance, np.cov(np.vstack([rows, rows]).T))


def test_a_file_without_n_can_be_compared_and_not_merged(tmp_path: Path) -> None:
    rows = RandomState(5).randn(40, 3)
    path = tmp_path / "foreign.npz"
    np.savez(path, mu=rows.mean(axis=0), sigma=np.cov(rows.T))
    foreign = load_moments(path)
    assert frechet_of_moments(real=foreign, synthetic=moments_of(rows)) == pytest.approx(
        0, abs=1e-9
    )
    with pytest.raises(SynthError, match="without n cannot be merged"):
        foreign.merge(moments_of(rows))
    known = load_moments(path, n=40).merge(moments_of(rows))
    assert known.n == 80


def test_wrong_files_and_sides_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    with pytest.raises(SynthError, match="not a statistics file"):
        load_moments(path)
    path.write_bytes(b"nothing")
    with pytest.raises(SynthError, match="not a statistics file"):
        load_moments(path)
    np.savez(path, mu=np.zeros(3))
    with pytest.raises(SynthError, match="expected mu and sigma"):
        load_moments(path)
    moments_of(np.eye(3)).save(path)
    with pytest.raises(SynthError, match=r"says another n \(got 4; expected 3\)"):
        load_moments(path, n=4)
    with pytest.raises(SynthError, match="different extractors"):
        moments_of(np.eye(3), extractor="a").merge(moments_of(np.eye(3), extractor="b"))
    with pytest.raises(SynthError, match="no features"):
        streamed_moments([])
    with pytest.raises(SynthError, match="two rows"):
        _ = Moments(1, np.zeros(2), np.zeros((2, 2))).covariance
