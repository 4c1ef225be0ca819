from __future__ import annotations

import math

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.training_utils import compute_density_for_timestep_sampling

from synth.diffusion.process import Process, scaled_linear, zero_terminal_snr
from synth.diffusion.times import TimeDensity
from synth.errors import UsageError


def grid(count: int = 20_001) -> torch.Tensor:
    return (torch.arange(count, dtype=torch.float64) + 0.5) / count


def test_uniform_changes_nothing():
    assert torch.equal(TimeDensity()(grid()), grid())


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (-0.5, 0.6)])
def test_logit_normal_has_its_moments(mean, std):
    logits = torch.logit(TimeDensity("logit_normal", mean, std)(grid()))
    assert float(logits.mean()) == pytest.approx(mean, abs=1e-3)
    assert float(logits.std()) == pytest.approx(std, rel=2e-3)


def test_logit_normal_is_the_density_that_diffusers_draws_from():
    generator = torch.Generator().manual_seed(0)
    theirs = compute_density_for_timestep_sampling(
        "logit_normal", 50_000, 0.3, 0.8, generator=generator
    )
    ours = TimeDensity("logit_normal", 0.3, 0.8)(grid())
    for q in (0.05, 0.25, 0.5, 0.75, 0.95):
        want = float(torch.quantile(theirs.double(), q))
        assert float(torch.quantile(ours, q)) == pytest.approx(want, abs=0.01)


def test_the_shift_is_that_of_the_flow_scheduler():
    sigmas = FlowMatchEulerDiscreteScheduler(shift=3.0).sigmas[:-1]
    plain = FlowMatchEulerDiscreteScheduler(shift=1.0).sigmas[:-1]
    shifted = TimeDensity(shift=3.0)(plain.double().clamp_max(1 - 1e-9))
    torch.testing.assert_close(shifted[1:].float(), sigmas[1:], rtol=0, atol=1e-6)


def test_the_ends_stay_inside():
    ends = torch.tensor([0.0, math.nextafter(1.0, 0.0)], dtype=torch.float64)
    for density in (TimeDensity("logit_normal", 5.0, 4.0), TimeDensity(shift=12.0)):
        t = density(ends)
        assert bool(torch.isfinite(t).all())
        assert bool(((t >= 0) & (t < 1)).all())
        assert (
            int(Process("v_prediction", scaled_linear(1e-3, 1e-2, 10)).sample_times(t).max()) < 10
        )


def test_zero_terminal_snr_equals_diffusers():
    from diffusers import DDPMScheduler

    plain = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    theirs = DDPMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        rescale_betas_zero_snr=True,
    )
    ours = zero_terminal_snr(plain.alphas_cumprod.double())
    torch.testing.assert_close(ours, theirs.alphas_cumprod.double(), rtol=0, atol=1e-6)
    assert float(ours[-1]) == 0.0
    assert float(ours[0]) == pytest.approx(float(plain.alphas_cumprod[0]), abs=1e-9)


def test_min_snr_is_finite_and_not_zero_for_v_at_zero_terminal_snr():
    process = Process("v_prediction", zero_terminal_snr(scaled_linear(0.00085, 0.012, 1000)))
    weights = process.min_snr(torch.arange(1000), 5.0)
    assert bool(torch.isfinite(weights).all())
    with pytest.raises(UsageError, match="cannot be inverted"):
        Process("epsilon", zero_terminal_snr(scaled_linear(0.00085, 0.012, 1000)))
