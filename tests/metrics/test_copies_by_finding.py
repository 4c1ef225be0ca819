import numpy as np
import pytest

from metrics.copies_by_finding import copies_by_finding


def score(close, far, asked=None, shown=None, groups=None, findings=("a",)):
    asked = np.ones((len(close), 1)) if asked is None else asked
    shown = np.ones((len(far), 1)) if shown is None else shown
    return copies_by_finding(
        synthetic=close,
        held_out=far,
        synthetic_labels=asked,
        held_out_labels=shown,
        findings=findings,
        held_out_groups=groups,
    )


def test_by_hand():
    """One of twelve lies below the least of eleven: with h = 11 that is expected of one in 12."""
    found = score([0.5, *[5.0] * 11], np.arange(1.0, 12.0))["a"]
    assert (found["share"], found["limit"]) == (1 / 12, 1.0)
    assert found["expected"] == pytest.approx(1 / 12)
    none_below = 11 / 23  # of 23 exchangeable distances the least is one of the eleven
    assert found["p"] == pytest.approx(1 - none_below)


def test_only_images_of_the_finding_count():
    rng = np.random.default_rng(0)
    far = rng.uniform(1, 2, 60)
    close = rng.uniform(1, 2, 60)
    asked = np.tile([[1.0, 0.0], [0.0, 1.0]], (30, 1))
    close[::2] = 0.1  # copies, of the first finding alone
    shown = np.ones((60, 2))
    found = score(close, far, asked, shown, findings=("copied", "fine"))
    assert found["copied"]["share"] == 1.0
    assert found["copied"]["p_holm"] < 1e-6
    assert found["fine"]["p_holm"] > 0.05


def test_the_level_holds_under_the_null_and_with_repeated_patients():
    rng = np.random.default_rng(1)
    rejected, repeated = 0, 0
    for _ in range(400):
        rejected += score(rng.normal(size=40), rng.normal(size=30))["a"]["p"] < 0.05
        own = np.repeat(rng.normal(size=30), 4) + 0.3 * rng.normal(size=120)
        groups = [f"p{at // 4}" for at in range(120)]
        made = rng.normal(size=40) + 0.3 * rng.normal(size=40)
        repeated += score(made, own, groups=groups)["a"]["p"] < 0.05
    assert rejected / 400 <= 0.07
    assert repeated / 400 <= 0.07


def test_small_findings_are_withheld():
    assert "withheld" in score(np.ones(9), np.ones(40))["a"]
    few = score(np.ones(40), np.ones(40), groups=["one", "two"] * 20)["a"]
    assert few["patients"] == 2
    assert "p" not in few
    assert score(np.ones(40), np.ones(40), asked=np.zeros((40, 1))) == {}
