"""DeLong against R's pROC on its aSAH data (113 patients), where both are installed.

The data are under the GPL and therefore not in this repository; `apt install r-cran-proc` brings
them. The numbers expected are those that pROC's own tests expect.
"""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from metrics.delong import delong, paired_delong

DATA = """
suppressMessages(library(pROC)); data(aSAH)
cat(ifelse(aSAH$outcome == "Poor", 1, 0), as.integer(aSAH$wfns), aSAH$s100b, aSAH$ndka)
"""
PAIRS = {
    ("wfns", "s100b"): (2.20898359144091, 0.0271757822291882),
    ("wfns", "ndka"): (2.79777591868904, 0.00514557970691098),
    ("ndka", "s100b"): (-1.39077002573558, 0.164295175223054),
}
INTERVAL = (0.0104061769564846, 0.174214419249478)  # of wfns minus s100b
UNPAIRED = (1.43490640926908, 0.152825378808796)  # wfns against s100b, Welch's t
ONE_SIDED = 0.0135878911145941


@pytest.fixture(scope="module")
def patients() -> dict[str, NDArray[np.float64]]:
    if shutil.which("Rscript") is None:
        pytest.skip("R is not installed")
    done = subprocess.run(["Rscript", "-e", DATA], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("R's package pROC is not installed")
    columns = np.array(done.stdout.split(), dtype=np.float64).reshape(4, 113)
    return dict(zip(("poor", "wfns", "s100b", "ndka"), columns, strict=True))


@pytest.mark.parametrize("pair", PAIRS)
def test_paired(patients: dict[str, NDArray[np.float64]], pair: tuple[str, str]) -> None:
    found = paired_delong(patients["poor"], patients[pair[0]], patients[pair[1]])
    assert (found.z, found.p) == pytest.approx(PAIRS[pair], rel=1e-12)


def test_interval_of_the_difference(patients: dict[str, NDArray[np.float64]]) -> None:
    found = paired_delong(patients["poor"], patients["wfns"], patients["s100b"])
    half = stats.norm.ppf(0.975) * found.se
    assert (found.difference - half, found.difference + half) == pytest.approx(INTERVAL, rel=1e-12)
    assert stats.norm.sf(found.z) == pytest.approx(ONE_SIDED, rel=1e-12)


def test_unpaired(patients: dict[str, NDArray[np.float64]]) -> None:
    one, two = (delong(patients["poor"], patients[name]) for name in ("wfns", "s100b"))
    variances = np.array([float(one.covariance[0, 0]), float(two.covariance[0, 0])])
    d = float(one.auc[0] - two.auc[0]) / variances.sum() ** 0.5
    degrees = variances.sum() ** 2 / (variances**2 / 112).sum()
    p = float(2 * stats.t.sf(d, degrees))
    assert (d, p) == pytest.approx(UNPAIRED, rel=1e-12)
