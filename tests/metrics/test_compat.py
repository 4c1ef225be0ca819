"""Presets against the tools themselves where installed, and against what they printed elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.random import RandomState
from numpy.typing import NDArray
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance
from torchmetrics.image.mifid import MemorizationInformedFrechetInceptionDistance

from metrics import frechet_distance, mifid
from metrics.compat import PRESETS, compatible, defects, inception_score
from metrics.compat.torch_fidelity import subset_kid
from metrics.compat.torchmetrics_1_9 import float32_kid, reversed_mifid
from synth.errors import SynthError

Floats = NDArray[np.float64]


class _Same(torch.nn.Module):
    num_features = 16

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features


def _golden() -> tuple[Floats, Floats]:
    stream = RandomState(0)
    return stream.randn(2000, 32), 1.2 * stream.randn(2000, 32) + 0.3


def test_torch_fidelity_prints_its_golden_values() -> None:
    one, two = _golden()
    found = compatible("torch-fidelity", real=one, synthetic=two)
    assert found["frechet_inception_distance"] == pytest.approx(4.869937777342642, rel=1e-9)
    assert found["kernel_inception_distance_mean"] == pytest.approx(0.3726420120559043, rel=1e-9)
    assert found["kernel_inception_distance_std"] == pytest.approx(0.014611969502767592, rel=1e-7)
    assert subset_kid(one, two, size=500) == pytest.approx(
        (0.3761938095432201, 0.025945044183262822), rel=1e-7
    )
    shares = compatible("torch-fidelity", real=one[:1000], synthetic=two[:1000])
    assert (shares["precision"], shares["recall"]) == pytest.approx((0.221, 0.945), abs=1e-6)


def test_torch_fidelity_loses_digits_on_singular_covariances_and_we_do_not() -> None:
    stream = RandomState(2023)
    one, two = stream.randn(128, 256), stream.randn(128, 256)
    theirs = compatible("torch-fidelity", real=one, synthetic=two)["frechet_inception_distance"]
    assert theirs == pytest.approx(228.2222376594533, rel=1e-6)
    ours = frechet_distance(
        real=one, synthetic=two, estimator="plug-in", allow_rank_deficient=True
    ).value
    assert ours == pytest.approx(228.22224543481053, rel=1e-10)


def test_torch_fidelity_regression_case_is_not_nan() -> None:
    stream = RandomState(1)
    one, two = stream.randn(4, 4), stream.randn(4, 4)
    assert np.isfinite(compatible("pytorch-fid", real=one, synthetic=two)["FID"])


def test_inception_score_is_golden() -> None:
    logits = RandomState(0).randn(1000, 10) * 3
    found = inception_score(logits)
    assert found["inception_score_mean"] == pytest.approx(3.8559055006142464, rel=1e-9)
    assert found["inception_score_std"] == pytest.approx(0.1251722593321656, rel=1e-9)
    # Certain of one class: 1, whatever the split. Certain of as many as a split has images: more.
    alike, varied = np.tile(30 * np.eye(10)[:1], (100, 1)), 30 * np.tile(np.eye(10), (200, 1))
    assert inception_score(alike)["inception_score_mean"] == pytest.approx(1.0)
    assert 9.5 < inception_score(varied)["inception_score_mean"] <= 10.0


def test_inception_score_needs_an_image_a_split() -> None:
    with pytest.raises(SynthError, match=r"logits: too few images .got 9; expected at least 10"):
        inception_score(np.zeros((9, 10)))
    with pytest.raises(SynthError, match="NaN or infinite"):
        inception_score(np.full((20, 10), np.nan))


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance`:UserWarning")
@pytest.mark.filterwarnings("ignore:Metric `MemorizationInformed:UserWarning")
def test_torchmetrics_gives_the_same_three_numbers() -> None:
    stream = RandomState(4)
    one, two = stream.randn(150, 16) + 1, 1.2 * stream.randn(150, 16) + 1.3
    found = compatible("torchmetrics", real=one, synthetic=two)
    kid = KernelInceptionDistance(feature=_Same(), subset_size=100, subsets=20)
    fid = FrechetInceptionDistance(feature=_Same()).set_dtype(torch.float64)
    near = MemorizationInformedFrechetInceptionDistance(feature=_Same())
    for metric in (kid, fid, near):
        dtype = torch.float64 if metric is not kid else torch.float32
        metric.update(torch.tensor(one, dtype=dtype), real=True)
        metric.update(torch.tensor(two, dtype=dtype), real=False)
    assert found["FrechetInceptionDistance"] == pytest.approx(float(fid.compute()), rel=1e-5)
    assert found["MemorizationInformedFrechetInceptionDistance"] == pytest.approx(
        float(near.compute()), rel=1e-5
    )
    state = torch.get_rng_state()
    torch.manual_seed(7)
    mean, spread = kid.compute()
    torch.set_rng_state(state)
    ours = float32_kid(one, two, subsets=20, size=100, seed=7)
    assert ours == pytest.approx((float(mean), float(spread)), rel=2e-4)


def test_reversed_mifid_prefers_a_copier_and_the_papers_does_not() -> None:
    train, fresh = RandomState(5).randn(2, 300, 8) + 1.0
    copier = np.vstack([train[:100]] * 3)
    assert reversed_mifid(train, copier) < 50 * reversed_mifid(train, fresh)
    ours, honest = mifid(train=train, synthetic=copier), mifid(train=train, synthetic=fresh)
    assert (ours.value or 0) > 1e6 * (honest.value or 1)


def test_pytorch_fid_is_the_plug_in_distance() -> None:
    one, two = _golden()
    found = compatible("pytorch-fid", real=one, synthetic=two)
    assert found == {"FID": pytest.approx(4.869937777342656, rel=1e-9)}


def test_prdc_prints_its_golden_values_and_zero_for_identical_points() -> None:
    one, two = _golden()
    found = compatible("prdc", real=one[:1000], synthetic=two[:1000])
    expected = {"precision": 0.282, "recall": 0.985, "density": 0.1304, "coverage": 0.393}
    assert found == pytest.approx(expected, abs=1e-9)
    same = compatible("prdc", real=np.ones((20, 3)), synthetic=np.ones((20, 3)))
    assert set(same.values()) == {0.0}


def test_cmmd_is_golden_and_about_ten_times_the_squared_shift() -> None:
    one, two = _golden()
    found = compatible("cmmd", real=one, synthetic=two)["CMMD"]
    assert found == pytest.approx(0.6373693122470048, rel=1e-9)
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (one, two)]
    shift = unit[0].mean(axis=0) - unit[1].mean(axis=0)
    assert found == pytest.approx(10 * shift @ shift, rel=0.02)


def test_chexgenbench_takes_one_subset_and_rounds() -> None:
    one, two = _golden()
    found = compatible("chexgenbench", real=one[:500], synthetic=two[:500])
    assert found["kid_std"] == 0.0
    assert found["kid_mean"] == round(found["kid_mean"], 3)
    assert found["coverage"] == compatible("prdc", real=one[:500], synthetic=two[:500])["coverage"]
    uneven = compatible("chexgenbench", real=one[:500], synthetic=two[:200])
    assert uneven["kid_std"] > 0


def test_every_preset_names_its_defects_and_others_are_refused() -> None:
    for name in PRESETS:
        assert defects(name)
        assert all(
            np.isfinite(
                list(
                    compatible(
                        name,
                        real=RandomState(1).randn(30, 4),
                        synthetic=RandomState(2).randn(30, 4),
                    ).values()
                )
            )
        )
    with pytest.raises(SynthError, match="no such preset"):
        compatible("clean-fid", real=np.eye(9), synthetic=np.eye(9))
    with pytest.raises(SynthError, match="no such preset"):
        defects("clean-fid")
    with pytest.raises(SynthError, match="larger than the set"):
        subset_kid(np.eye(9), np.eye(9), size=10)
