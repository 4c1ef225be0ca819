"""Every interval of a distance, on Gaussian and on heavy-tailed rows: it holds, or is withheld."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.random import RandomState
from numpy.typing import NDArray

from metrics import mmd_rbf
from metrics.frechet import frechet_estimate
from metrics.kernel import kernel_estimate

TRIALS, ROWS, DIM = 200, 160, 8
SHIFT = 0.5


def _pair(seed: int, heavy: bool, shift: float) -> dict[str, NDArray[np.float64]]:
    """Two sets of one covariance, multivariate t with five degrees of freedom where heavy."""
    stream = RandomState(seed)
    rows = stream.randn(2, ROWS, DIM)
    if heavy:
        rows *= np.sqrt(5 / stream.chisquare(5, size=(2, ROWS, 1)))
    return {"real": rows[0], "synthetic": rows[1] + shift}


def _holds(intervals: list[tuple[float, float] | None], truth: float) -> None:
    shown = [interval for interval in intervals if interval is not None]
    covered = sum(low <= truth <= high for low, high in shown)
    assert covered >= 0.9 * len(shown), (covered, len(shown))


@pytest.mark.parametrize("heavy", [False, True], ids=["gaussian", "t5"])
@pytest.mark.parametrize("shift", [0.0, SHIFT])
def test_frechet_interval_holds_or_is_withheld(heavy: bool, shift: float) -> None:
    found = [
        frechet_estimate(**_pair(s, heavy, shift), seed=s).ci  # type: ignore[arg-type]
        for s in range(TRIALS)
    ]
    _holds(found, DIM * shift**2)  # equal covariances: the squared shift alone
    assert heavy or sum(interval is None for interval in found) <= 5


@pytest.mark.parametrize("heavy", [False, True], ids=["gaussian", "t5"])
def test_kernel_interval_holds_for_equal_distributions(heavy: bool) -> None:
    found = [
        kernel_estimate(**_pair(s, heavy, 0.0), seed=s).ci  # type: ignore[arg-type]
        for s in range(TRIALS)
    ]
    _holds(found, 0.0)
    assert None not in found


@pytest.mark.parametrize(
    ("heavy", "shift"), [(False, 0.0), (True, 0.0), (False, SHIFT)], ids=["null", "t5", "shift"]
)
def test_mmd_interval_holds(heavy: bool, shift: float) -> None:
    found = [
        mmd_rbf(
            real=pair["real"], synthetic=pair["synthetic"], bandwidths=(3.0,), permutations=0
        ).ci
        for pair in (_pair(s, heavy, shift) for s in range(TRIALS))
    ]
    spread = 3.0**2 + 2.0
    closed = 2 * (9 / spread) ** (DIM / 2) * (1 - np.exp(-DIM * shift**2 / (2 * spread)))
    _holds(found, float(closed))
    assert None not in found
