from __future__ import annotations

import doctest
import json
import sys

import numpy as np
import pytest
import torch
from numpy.random import RandomState
from numpy.typing import NDArray

from metrics import frechet_distance, kernel_distance, prdc
from metrics.arrays import halves
from metrics.extrapolate import frechet_extrapolated
from metrics.frechet import frechet_distance as plug_in
from metrics.frechet import frechet_estimate
from metrics.kernel import kernel_estimate
from metrics.prdc import expected_coverage, prdc_estimates
from synth.errors import SynthError

Floats = NDArray[np.float64]


def _golden() -> tuple[Floats, Floats]:
    stream = RandomState(0)
    return stream.randn(2000, 32), 1.2 * stream.randn(2000, 32) + 0.3


@pytest.mark.parametrize("name", ["", ".kernel", ".prdc", ".vendi", ".multiplicity"])
def test_examples_in_docstrings_run(name: str) -> None:
    found = doctest.testmod(sys.modules[f"metrics{name}"])
    assert found.failed == 0
    assert found.attempted


def test_records_carry_the_estimates_their_checks_and_floor() -> None:
    one, two = _golden()
    found = frechet_distance(real=one, synthetic=two)
    plain = frechet_estimate(real=one, synthetic=two)
    assert (found.value, found.se, found.ci) == (plain.value, plain.se, plain.ci)
    assert found.details["plug_in"] == pytest.approx(4.869937777342656, rel=1e-10)
    # Population distance 4.16; the plug-in value is 0.7 above, both corrections come closer.
    assert abs((found.value or 0) - 4.16) < 0.5
    assert abs(found.details["extrapolated"] - (found.value or 0)) < 0.1
    assert found.floor is not None
    assert found.floor.n == 1000
    assert found.floor.value < 1.0 < (found.floor.synthetic_at_same_n or 0)
    assert (found.n_real, found.n_synthetic, found.higher_is_better) == (2000, 2000, False)
    assert found.versions["numpy"]
    json.dumps(found.to_json())


def test_the_floor_of_a_distance_is_of_its_own_estimator() -> None:
    """A plug-in floor of the halves was 0.8 here beside values about 0: better than real images."""
    gaps, plain = [], []
    for seed in range(12):
        stream = RandomState(seed)
        one, two = stream.randn(400, 16), stream.randn(400, 16)
        found = frechet_distance(real=one, synthetic=two, cross_check=False, seed=seed)
        assert found.floor is not None
        assert found.floor.n == 200
        gaps.append((found.value, found.floor.value, found.floor.synthetic_at_same_n))
        first, second = halves(400, None, seed=seed)
        plain.append(plug_in(real=one[first], synthetic=one[second]))
    assert np.abs(np.mean(gaps, axis=0)).max() < 0.12
    assert np.mean(plain) > 0.6
    again = frechet_distance(real=one, synthetic=two, estimator="plug-in", seed=seed)
    assert again.floor is not None
    assert again.floor.value == pytest.approx(plain[-1], rel=1e-9)


def test_a_distance_without_a_floor_of_its_estimator_has_none() -> None:
    stream = RandomState(4)
    one, two = stream.randn(60, 16), stream.randn(60, 16)  # halves of fewer than 2 d images
    assert frechet_distance(real=one, synthetic=two, cross_check=False).floor is None
    many = stream.randn(300, 4)
    few = [f"p{row % 7}" for row in range(300)]  # three or four patients a half
    found = frechet_distance(real=many, synthetic=many[::-1], real_groups=few, cross_check=False)
    assert found.estimator.endswith("bias reduced")
    assert found.floor is None
    fewer = [f"p{row % 4}" for row in range(300)]
    plain = frechet_distance(real=many, synthetic=many[::-1], real_groups=fewer, cross_check=False)
    assert plain.estimator.startswith("plug-in")
    assert plain.floor is not None
    assert plain.floor.value > 0


def test_kernel_record_is_the_golden_u_statistic() -> None:
    one, two = _golden()
    found = kernel_distance(real=one[:1500], synthetic=two)
    same = kernel_estimate(real=one[:1500], synthetic=two)
    assert (found.value, found.ci) == (same.value, same.ci)
    assert kernel_distance(real=one, synthetic=two).value == pytest.approx(0.373951425203948)


def test_tensors_of_any_precision_give_the_arrays_value() -> None:
    stream = RandomState(1)
    one, two = stream.randn(80, 4), stream.randn(70, 4)
    tensors = torch.tensor(one, requires_grad=True), torch.tensor(two)
    assert (
        kernel_distance(real=tensors[0], synthetic=tensors[1]).value
        == kernel_distance(real=one, synthetic=two).value
    )
    half = torch.tensor(one).bfloat16()
    assert np.isfinite(kernel_distance(real=half, synthetic=half).value or np.nan)


def test_shares_are_taken_at_equal_n_with_the_expected_coverage() -> None:
    stream = RandomState(2)
    one, two = stream.randn(400, 6), stream.randn(150, 6)
    found = prdc(real=one, synthetic=two, seed=3)
    assert set(found) == {"precision", "recall", "density", "coverage"}
    assert {(record.n_real, record.n_synthetic) for record in found.values()} == {(150, 150)}
    null = expected_coverage(150, 150, 5)
    assert found["coverage"].details["expected"] == null
    assert abs((found["coverage"].value or 0) - null) < 3 / np.sqrt(150)
    same = prdc_estimates(real=one[:150], synthetic=two)  # at equal N nothing is left out
    again = prdc(real=one[:150], synthetic=two)
    assert {k: v.value for k, v in again.items()} == {k: v.value for k, v in same.items()}
    assert prdc(real=one, synthetic=two, seed=3) == found


def test_a_missing_estimator_and_too_few_rows_are_refused() -> None:
    stream = RandomState(3)
    one, two = stream.randn(15, 10), stream.randn(15, 10)
    with pytest.raises(SynthError, match="at least 20 images"):
        frechet_distance(real=one, synthetic=two)
    found = frechet_distance(real=one, synthetic=two, estimator="plug-in")
    assert found.value == plug_in(real=one, synthetic=two)
    assert found.details["extrapolated"] is None
    assert found.ci is None
    assert "does not undo the bias" in found.note
    with pytest.raises(SynthError, match="rank deficient"):
        frechet_distance(real=one[:8], synthetic=two, estimator="plug-in")
    assert frechet_distance(
        real=one[:8], synthetic=two, estimator="plug-in", allow_rank_deficient=True
    ).value == plug_in(real=one[:8], synthetic=two)
    with pytest.raises(SynthError, match="no such estimator"):
        frechet_distance(real=one, synthetic=two, estimator="sqrtm")  # type: ignore[arg-type]


def test_two_sided_extrapolation_meets_the_truth_where_the_plug_in_does_not() -> None:
    values, plain = [], []
    for seed in range(8):
        stream = RandomState(50 + seed)
        one, two = stream.randn(400, 24), stream.randn(400, 24) + 0.1  # truth 0.24
        values.append(frechet_extrapolated(real=one, synthetic=two, seed=seed))
        plain.append(plug_in(real=one, synthetic=two))
    error = np.std(values, ddof=1) / np.sqrt(8)
    assert abs(np.mean(values) - 0.24) < 3 * error + 0.02
    assert min(plain) > 0.8  # the bias is twice the truth
    with pytest.raises(SynthError, match="too few images to extrapolate"):
        frechet_extrapolated(real=one[:40], synthetic=two)
