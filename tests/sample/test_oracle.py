"""Every shipped default, judged with a denoiser that is exact: fine texture must survive."""

import pytest

from sample.solve import initial_noise, solve
from sample.solvers import _FLOW, _VP
from sample.spacing import LAST_TIME, effective, flow_times
from synth.config.schema import SOLVER_STEPS, SampleSection

WITH_STEPS = [name for name, steps in SOLVER_STEPS.items() if steps is not None]
MODELS = {
    "epsilon": {},
    "v": {"v": True},
    "flow": {"flow": True},
    "flow of shift 3": {"flow": True, "shift": 3.0},
    "flow of shift 6": {"flow": True, "shift": 6.0},
}


def kept(family, settings, **change):
    """Standard deviation over the true one; less the noise's own sampling error where it is all."""
    options = {
        "steps": settings.steps,
        "solver": settings.solver,
        "spacing": settings.spacing,
    } | change
    cond = family.encode_prompts(["texture"] * 20)
    latents = solve(family, cond, seeds=range(20), size=32, guidance=1.0, **options)
    noise = 1.0
    if options["solver"] not in ("ddpm", "euler_ancestral"):  # the others are linear in the noise
        noise = float(initial_noise(family, range(20), size=32).std())
    return float(latents.std()) / family.std / noise


def test_every_solver_has_its_steps_in_the_configuration():
    assert set(SOLVER_STEPS) == set(_VP)
    assert set(_FLOW) <= set(WITH_STEPS)


@pytest.mark.parametrize("std", [0.1, 0.5, 1.0])
@pytest.mark.parametrize(
    ("solver", "model"),
    [(s, m) for s in WITH_STEPS for m in MODELS if s in _FLOW or not m.startswith("flow")],
)
def test_a_default_keeps_95_percent(exact_family, solver, model, std):
    ratio = kept(exact_family(std, **MODELS[model]), SampleSection(solver=solver))
    assert 0.95 <= ratio <= 1.05


@pytest.mark.parametrize("solver", ["dpm++2m", "unipc"])
def test_the_stock_grid_of_a_flow_loses_texture(exact_family, solver):
    family, settings = exact_family(0.1, flow=True, shift=3.0), SampleSection(solver=solver)
    assert kept(family, settings, spacing="model") < 0.6


def test_the_ancestral_solver_keeps_more_on_the_karras_grid(exact_family):
    settings = SampleSection(solver="euler_ancestral", steps=40)
    stock, ours = (kept(exact_family(0.1), settings, spacing=s) for s in ("model", "auto"))
    assert stock < 0.6
    assert ours > 0.8


def test_flow_times_fall_from_noise_to_the_last_time():
    for shift in (1.0, 3.0, 6.0):
        times = flow_times(20, shift=shift)
        assert times[0] == pytest.approx(1.0)
        assert times[-1] == pytest.approx(LAST_TIME)
        assert (times[1:] < times[:-1]).all()
    assert flow_times(1).tolist() == [1.0]


def test_a_spacing_that_changes_nothing_is_called_the_models(exact_family):
    noising, flow = (exact_family(flow=f).scheduler_config for f in (False, True))
    assert effective("auto", "dpm++2m", noising) == "model"
    assert effective("auto", "euler_ancestral", noising) == "auto"
    assert effective("auto", "dpm++2m", flow) == "auto"
    assert effective("model", "dpm++2m", flow) == "model"


def test_a_solver_brings_its_own_steps():
    assert SampleSection().steps == 20
    assert SampleSection(solver="ddim").steps == 150
    assert SampleSection(solver="ddim", steps=None).steps == 150
    assert SampleSection(solver="ddim", steps=7).steps == 7
    with pytest.raises(ValueError, match="needs `steps`"):
        SampleSection(solver="euler_ancestral")
