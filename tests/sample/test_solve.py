import pytest
import torch

from sample.solve import initial_noise, solve
from sample.solvers import build_scheduler
from synth.errors import UsageError


def kept_texture(family, solver, *, steps=20, guidance=1.0):
    """Standard deviation of the samples over the true one."""
    prompts = ["texture"] * 40
    latents = solve(
        family,
        family.encode_prompts(prompts),
        seeds=range(40),
        size=32,
        steps=steps,
        guidance=guidance,
        solver=solver,
    )
    return float(latents.std()) / family.std


# Ratios of the table in the anchors of this design, measured at 40,000 samples with diffusers'
# own schedulers and the exact denoiser at 20 steps; ± 0.02 covers their sampling error here.
@pytest.mark.parametrize(
    ("solver", "std", "expected"),
    [
        ("dpm++2m", 0.1, 0.966),
        ("dpm++2m", 1.0, 1.014),
        ("unipc", 0.1, 0.969),
        ("unipc", 1.0, 1.007),
        ("euler", 0.1, 0.870),
        ("euler", 1.0, 0.923),
        ("ddim", 0.1, 0.741),
        ("ddim", 1.0, 0.939),
    ],
)
def test_an_exact_denoiser_keeps_its_texture(exact_family, solver, std, expected):
    ratio = kept_texture(exact_family(std), solver)
    assert ratio == pytest.approx(expected, abs=0.02)


def test_the_default_solver_keeps_95_percent_of_fine_texture(exact_family, config):
    settings = type(config.sample)()
    assert kept_texture(exact_family(0.1), settings.solver, steps=settings.steps) >= 0.95


@pytest.mark.parametrize("solver", ["dpm++2m", "unipc", "euler", "ddim"])
def test_flow_solvers_reach_the_distribution(exact_family, solver):
    family = exact_family(0.5, flow=True)
    cond = family.encode_prompts(["somewhere"] * 40)
    latents = solve(family, cond, seeds=range(40), size=32, steps=100, guidance=1.0, solver=solver)
    assert float(latents.mean()) == pytest.approx(float(cond.tokens[0]), abs=0.02)
    assert float(latents.std()) == pytest.approx(0.5, rel=0.05)


def test_shift_of_a_flow_model_reaches_its_scheduler(exact_family):
    plain, shifted = (
        build_scheduler("euler", exact_family(flow=True, shift=shift).scheduler_config)
        for shift in (1.0, 3.0)
    )
    plain.set_timesteps(4)
    shifted.set_timesteps(4)
    sigmas = plain.sigmas[:-1].double()
    # Esser et al. 2024, eq. 23; once, not twice, at the noisy end where both grids start from 1.
    assert shifted.sigmas[0] == pytest.approx(1.0)
    assert shifted.sigmas[1] > sigmas[1]


def test_guidance_extrapolates_between_null_and_prompt(exact_family):
    family = exact_family(0.05)
    cond = family.encode_prompts(["far"] * 16)
    mean = float(cond.tokens[0])
    means = {}
    for guidance in (1.0, 2.0, 3.0):
        latents = solve(
            family, cond, seeds=range(16), size=16, steps=20, guidance=guidance, solver="dpm++2m"
        )
        means[guidance] = float(latents.mean())
    # Both conditionals share one variance, so the guided score is that of N(w·mean, std²).
    for guidance, got in means.items():
        assert got == pytest.approx(guidance * mean, abs=0.02)


def test_guidance_one_skips_the_unconditional_pass(family):
    for guidance, rows in ((1.0, 4), (1.5, 8)):
        family.rows = 0
        cond = family.encode_prompts(["x"])
        solve(family, cond, seeds=[0], size=16, steps=4, guidance=guidance, solver="ddim")
        assert family.rows == rows


@pytest.mark.parametrize("solver", ["dpm++2m", "unipc", "euler", "ddim"])
def test_a_sample_depends_on_its_seed_not_on_its_neighbours(family, solver):
    def images(seeds):
        cond = family.encode_prompts(["same"] * len(seeds))
        return solve(family, cond, seeds=seeds, size=16, steps=5, guidance=2.0, solver=solver)

    together = images([5, 6, 7, 8])
    assert torch.equal(together, images([5, 6, 7, 8]))
    assert torch.equal(together[[2, 1, 0, 3]], images([7, 6, 5, 8]))
    torch.testing.assert_close(together[2:3], images([7]), rtol=0, atol=1e-5)
    assert not torch.allclose(together[0], together[1], atol=1e-2)


def test_initial_noise_is_a_function_of_the_seed(family):
    first, second = initial_noise(family, [1, 2], size=16), initial_noise(family, [2, 9], size=16)
    assert torch.equal(first[1], second[0])
    assert float(initial_noise(family, range(50), size=32).std()) == pytest.approx(1, abs=0.02)


def test_the_denoiser_returns_to_its_mode(family):
    family.denoiser.train()
    cond = family.encode_prompts(["x"])
    solve(family, cond, seeds=[0], size=16, steps=2, guidance=1.0, solver="ddim")
    assert family.denoiser.training


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"solver": "dpm++"}, "Did you mean `dpm\\+\\+2m`"),
        ({"guidance": 0.5}, "sample.guidance"),
        ({"steps": 0}, "sample.steps"),
        ({"seeds": [1, 2]}, "one seed"),
    ],
)
def test_wrong_requests_are_explained(family, change, message):
    request = {"seeds": [0], "size": 16, "steps": 2, "guidance": 1.0, "solver": "ddim"} | change
    with pytest.raises(UsageError, match=message):
        solve(family, family.encode_prompts(["x"]), **request)


def test_a_model_of_zero_terminal_snr_starts_from_its_noisiest_time(exact_family):
    config = exact_family().scheduler_config | {
        "rescale_betas_zero_snr": True,
        "prediction_type": "v_prediction",
    }
    scheduler = build_scheduler("ddim", config)
    scheduler.set_timesteps(10)
    assert int(scheduler.timesteps[0]) == 999
    assert float(scheduler.alphas_cumprod[-1]) == pytest.approx(0, abs=1e-6)
