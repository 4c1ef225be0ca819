from __future__ import annotations

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, FlowMatchEulerDiscreteScheduler
from diffusers.training_utils import compute_snr

from synth.diffusion.process import Process, scaled_linear
from synth.errors import UsageError
from synth.seeding import torch_generator

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
TIMES = torch.tensor([0, 1, 250, 500, 998, 999])


def draws(count: int = 3) -> list[torch.Tensor]:
    generator = torch_generator("process")
    return [torch.randn(6, 4, 8, 8, generator=generator) for _ in range(count)]


def vp(prediction: str, *, zero_snr: bool = False) -> tuple[Process, DDPMScheduler]:
    scheduler = DDPMScheduler(
        **BETAS, prediction_type=prediction, rescale_betas_zero_snr=zero_snr, clip_sample=False
    )
    return Process(prediction, scheduler.alphas_cumprod.double()), scheduler


def test_scaled_linear_is_the_schedule_of_stable_diffusion():
    expected = DDPMScheduler(**BETAS).alphas_cumprod.double()
    torch.testing.assert_close(scaled_linear(0.00085, 0.012, 1000), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("zero_snr", [False, True])
def test_noise_and_velocity_equal_ddpm(zero_snr):
    x0, noise, _ = draws()
    process, scheduler = vp("v_prediction", zero_snr=zero_snr)
    noisy = scheduler.add_noise(x0, noise, TIMES)
    velocity = scheduler.get_velocity(x0, noise, TIMES)
    torch.testing.assert_close(process.add_noise(x0, noise, TIMES), noisy, rtol=0, atol=1e-6)
    torch.testing.assert_close(process.target(x0, noise, TIMES), velocity, rtol=0, atol=1e-6)


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
def test_inverting_and_noising_again_is_a_ddim_step(prediction):
    noisy, output, _ = draws()
    process, _ = vp(prediction)
    ddim = DDIMScheduler(**BETAS, prediction_type=prediction, clip_sample=False)
    ddim.set_timesteps(50)
    for time in (980, 500, 20):
        times = torch.full((6,), time)
        expected = ddim.step(output, time, noisy).prev_sample
        x0, noise = process.invert(noisy, output, times)
        got = process.add_noise(x0, noise, times - 20)
        scale = expected.abs().max()
        torch.testing.assert_close(got / scale, expected / scale, rtol=0, atol=1e-6)


def test_flow_equals_flow_match_euler():
    x0, noise, output = draws()
    scheduler = FlowMatchEulerDiscreteScheduler(shift=1.0)
    scheduler.set_timesteps(sigmas=[0.9, 0.6, 0.3])
    process = Process("flow")
    times, later = torch.full((6,), 0.9), torch.full((6,), 0.6)
    noisy = process.add_noise(x0, noise, times)
    torch.testing.assert_close(process.target(x0, noise, times), noise - x0, rtol=0, atol=0)
    scaled = scheduler.scale_noise(x0, scheduler.timesteps[:1].expand(6), noise)
    torch.testing.assert_close(noisy, scaled, rtol=0, atol=1e-6)
    expected = scheduler.step(output, scheduler.timesteps[0], noisy).prev_sample
    got = process.add_noise(*process.invert(noisy, output, times), later)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction", "flow"])
def test_invert_undoes_noising(prediction):
    x0, noise, _ = (draw.double() for draw in draws())
    process = Process("flow") if prediction == "flow" else vp(prediction)[0]
    times = torch.linspace(0.05, 0.95, 6) if prediction == "flow" else TIMES
    noisy, target = process.add_noise(x0, noise, times), process.target(x0, noise, times)
    back = process.invert(noisy, target, times)
    torch.testing.assert_close(back[0], x0, rtol=0, atol=1e-9)
    torch.testing.assert_close(back[1], noise, rtol=0, atol=1e-9)


@pytest.mark.parametrize("gamma", [1.0, 5.0])
@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
def test_min_snr_equals_the_weights_from_compute_snr(prediction, gamma):
    process, scheduler = vp(prediction)
    snr = compute_snr(scheduler, TIMES)
    clipped = torch.clamp(snr, max=gamma)
    divisor = {"epsilon": snr, "sample": torch.ones_like(snr), "v_prediction": snr + 1}[prediction]
    expected = (clipped / divisor).double()
    torch.testing.assert_close(process.min_snr(TIMES, gamma), expected, rtol=2e-5, atol=1e-6)


def test_min_snr_is_finite_at_zero_terminal_snr():
    weights = vp("v_prediction", zero_snr=True)[0].min_snr(TIMES, 5.0)
    assert weights.isfinite().all()
    assert weights[-1] == 0


def test_epsilon_is_refused_at_zero_terminal_snr():
    with pytest.raises(UsageError, match="cannot be inverted"):
        vp("epsilon", zero_snr=True)


def test_times_cover_the_range_evenly():
    uniform = torch.linspace(0, 1 - 1e-9, 5000, dtype=torch.float64)
    times = vp("epsilon")[0].sample_times(uniform)
    counts = torch.bincount(times, minlength=1000)
    assert counts.shape == (1000,)
    assert counts.min() >= 4
    assert counts.max() <= 6
    assert torch.equal(Process("flow").sample_times(uniform), uniform)
