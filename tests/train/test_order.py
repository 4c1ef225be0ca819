from __future__ import annotations

import numpy as np
import pytest

from synth.errors import SynthError, UsageError
from train.order import Order, epoch_rows, sampling_probabilities

COMMON, RARE = {"edema": 1, "hernia": 0}, {"edema": 0, "hernia": 1}
LABELS = [COMMON] * 60 + [RARE] * 4 + [{"edema": -1, "hernia": None}] * 36


def test_order_is_a_function_of_seed_and_position():
    probabilities = sampling_probabilities(LABELS, 0.5)
    one, other = Order(probabilities, seed=1), Order(probabilities, seed=1)
    forward = [one.row(p) for p in range(350)]
    backward = [other.row(p) for p in reversed(range(350))]
    assert forward == backward[::-1]
    assert forward != [Order(probabilities, seed=2).row(p) for p in range(350)]


@pytest.mark.parametrize("count", [1, 7, 14, 1000, 4099])
def test_natural_epochs_are_permutations_and_differ(count):
    probabilities = sampling_probabilities([COMMON] * count, 0.0)
    for epoch in (0, 1, 5):
        assert sorted(epoch_rows(probabilities, 0, epoch)) == list(range(count))
    if count > 7:
        first, second = (epoch_rows(probabilities, 0, epoch) for epoch in (0, 1))
        assert not np.array_equal(first, second)


def test_full_balance_gives_every_finding_and_none_the_same_share():
    rows = epoch_rows(sampling_probabilities(LABELS, 1.0), 0, 0)
    edema, hernia = (rows < 60).sum(), ((rows >= 60) & (rows < 64)).sum()
    assert abs(edema - 100 / 3) <= 1
    assert abs(hernia - 100 / 3) <= 1
    assert len(rows) == 100


def test_balance_mixes_linearly():
    natural, even = (sampling_probabilities(LABELS, b) for b in (0.0, 1.0))
    half = sampling_probabilities(LABELS, 0.5)
    np.testing.assert_allclose(half, (natural + even) / 2, rtol=1e-12)
    for probabilities in (natural, even, half):
        assert probabilities.sum() == pytest.approx(1.0)
    both = sampling_probabilities([{"a": 1, "b": 1}, {"a": 1, "b": 0}], 1.0)
    np.testing.assert_allclose(both, [0.25 + 0.5, 0.25])  # half of a, all of b


def test_no_rows():
    with pytest.raises(SynthError, match="no image in the training split"):
        Order(np.empty(0), seed=0)


def test_weights_show_rare_findings_more_often():
    labels = [{"hernia": 1}, {"hernia": 0}, {"hernia": None}, {"hernia": 1, "nodule": 1}]
    p = sampling_probabilities(labels, 0.0, {"hernia": 3.0, "nodule": 5.0})
    np.testing.assert_allclose(p, np.array([3, 1, 1, 5]) / 10)
    with pytest.raises(UsageError, match=r"data.weights.edema: no training image.*hernia, nodule"):
        sampling_probabilities(labels, 0.0, {"edema": 2.0})
