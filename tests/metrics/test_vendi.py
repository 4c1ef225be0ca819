from __future__ import annotations

import numpy as np
import pytest
from numpy.random import RandomState

from metrics import vendi_score
from metrics.records import Floor
from metrics.vendi import vendi_of_gram, vendi_of_kernel
from synth.errors import SynthError


@pytest.mark.parametrize("q", [0.5, 1.0, 2.0, np.inf])
def test_extremes_are_n_and_one(q: float) -> None:
    assert vendi_score(synthetic=np.eye(10), q=q).value == pytest.approx(10.0)
    assert vendi_score(synthetic=np.ones((10, 3)), q=q).value == pytest.approx(1.0)


def test_golden_values() -> None:
    one = RandomState(0).randn(2000, 32)
    assert vendi_score(synthetic=one).value == pytest.approx(31.75462724760734, rel=1e-9)
    assert vendi_of_kernel(np.array([[1, 0.9, 0], [0.9, 1, 0], [0, 0, 1]])) == pytest.approx(
        2.1573004833739833, rel=1e-12
    )
    samples = np.array([0, 0, 10, 10, 20, 20.0])
    kernel = np.exp(-np.abs(samples[:, None] - samples))
    assert vendi_of_kernel(kernel) == pytest.approx(2.999999995877701, rel=1e-9)


def test_gram_and_kernel_have_one_score() -> None:
    rows = RandomState(1).randn(30, 50)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    by_rows = vendi_score(synthetic=rows).value
    assert vendi_of_kernel(unit @ unit.T) == pytest.approx(by_rows, rel=1e-10)
    assert vendi_of_gram(unit.T @ unit / 30) == pytest.approx(by_rows, rel=1e-10)


def test_scale_rotation_and_duplicates_do_not_matter_and_new_kinds_do() -> None:
    stream = RandomState(2)
    rows = stream.randn(40, 6)
    rotation, _ = np.linalg.qr(stream.randn(6, 6))
    plain = vendi_score(synthetic=rows).value
    scaled = rows * stream.uniform(0.1, 9, size=(40, 1))
    for same in (scaled, rows @ rotation, np.vstack([rows, rows])):
        assert vendi_score(synthetic=same).value == pytest.approx(plain, rel=1e-10)
    kinds = [vendi_score(synthetic=np.repeat(np.eye(8)[:c], 5, axis=0)).value for c in (1, 3, 8)]
    assert kinds == pytest.approx([1, 3, 8])


def test_a_mode_dropper_has_a_ratio_below_one() -> None:
    stream = RandomState(3)
    real = np.repeat(np.eye(8), 50, axis=0) + 0.02 * stream.randn(400, 8)
    found = vendi_score(synthetic=real[:150], real=real)
    assert found.n_real == found.n_synthetic == 150
    assert found.details["ratio"] < 0.5
    assert found.floor == Floor(found.details["real"], 150, found.value)
    assert vendi_score(synthetic=real[:150]).floor is None
    assert found.ci is None
    assert found.se is not None


def test_what_has_no_score_is_refused() -> None:
    with pytest.raises(SynthError, match="no direction"):
        vendi_score(synthetic=np.zeros((3, 2)))
    with pytest.raises(SynthError, match="order must be positive"):
        vendi_score(synthetic=np.eye(3), q=0.0)
    with pytest.raises(SynthError, match="ones on its diagonal"):
        vendi_of_kernel(2 * np.eye(3))
    with pytest.raises(SynthError, match="symmetric"):
        vendi_of_kernel([[1, 0.5], [0.1, 1]])
