"""The loop against diffusers' own Stable Diffusion pipeline: same noise, same scheduler."""

import numpy as np
import pytest
import torch

from sample.solve import initial_noise, solve
from sample.solvers import build_scheduler
from synth.diffusion.process import Process, scaled_linear
from synth.families.base import Conditioning

PROMPTS = ["large left pleural effusion", "no acute finding"]


class PipelineFamily:
    """The parts of a pipeline behind the interface that the loop uses."""

    size = 32

    def __init__(self, pipeline):
        self.pipeline = pipeline
        self.denoiser = pipeline.unet
        self.scheduler_config = dict(pipeline.scheduler.config)
        self.process = Process("epsilon", scaled_linear(0.00085, 0.012, 1000))

    def latent_shape(self, size):
        return 4, size // 2, size // 2

    def encode_prompts(self, prompts):
        tokens, _ = self.pipeline.encode_prompt(list(prompts), "cpu", 1, False)
        return Conditioning(tokens=tokens, mask=None, pooled=None)

    def null_conditioning(self, n):
        return self.encode_prompts([""] * n)

    def denoise(self, latents, times, cond):
        return self.denoiser(latents, times, encoder_hidden_states=cond.tokens).sample


@pytest.fixture(autouse=True)
def _torch_layers(monkeypatch):
    """Both sides through the same layers: ``synth.families.packed`` has tests of its own."""
    monkeypatch.setattr("synth.families.packed._possible", lambda: False)


@pytest.fixture(scope="module")
def pipeline(tiny_pipeline):
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(
        tiny_pipeline, safety_checker=None, local_files_only=True
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def theirs(pipeline, noise, *, guidance, solver, config):
    pipeline.scheduler = build_scheduler(solver, config)
    result = pipeline(
        PROMPTS,
        num_inference_steps=6,
        guidance_scale=guidance,
        latents=noise,
        output_type="latent",
    )
    return result.images


def ours_and_theirs(family, *, guidance, solver):
    noise = initial_noise(family, [11, 12], size=32)
    ours = solve(
        family,
        family.encode_prompts(PROMPTS),
        seeds=[11, 12],
        size=32,
        steps=6,
        guidance=guidance,
        solver=solver,
    )
    reference = theirs(
        family.pipeline, noise, guidance=guidance, solver=solver, config=family.scheduler_config
    )
    assert float(reference.std()) > 0.1
    return ours, reference


SOLVERS = ["dpm++2m", "ddim", "euler", "unipc"]


@pytest.mark.parametrize("solver", SOLVERS)
def test_without_guidance_the_loop_is_the_pipeline_bit_for_bit(pipeline, solver):
    ours, reference = ours_and_theirs(PipelineFamily(pipeline), guidance=1.0, solver=solver)
    assert torch.equal(ours, reference)


@pytest.mark.parametrize("solver", SOLVERS)
def test_with_guidance_it_is_too(pipeline, solver):
    ours, reference = ours_and_theirs(PipelineFamily(pipeline), guidance=5.0, solver=solver)
    assert torch.equal(ours, reference)


@pytest.mark.parametrize("solver", SOLVERS)
def test_two_passes_differ_from_one_by_rounding(pipeline, solver, monkeypatch):
    monkeypatch.setattr(Conditioning, "like", lambda *_: False)  # as on a GPU
    ours, reference = ours_and_theirs(PipelineFamily(pipeline), guidance=5.0, solver=solver)
    # The test above shows that only the batch shape of the matrix products differs here; guidance
    # multiplies its float32 rounding by up to 2·5 − 1 a step.
    torch.testing.assert_close(ours, reference, rtol=0, atol=1e-4)


def test_a_wrong_guidance_formula_would_be_seen(pipeline):
    family = PipelineFamily(pipeline)
    noise = initial_noise(family, [11, 12], size=32)
    config = family.scheduler_config
    five = theirs(pipeline, noise, guidance=5.0, solver="ddim", config=config)
    six = theirs(pipeline, noise, guidance=6.0, solver="ddim", config=config)
    assert float((five - six).abs().max()) > 1e-3


@pytest.mark.parametrize("batch", [2, 3, 5])
def test_the_same_sample_whatever_the_batch(pipeline, batch):
    family = PipelineFamily(pipeline)

    def make(seeds):
        cond = family.encode_prompts([PROMPTS[0]] * len(seeds))
        return solve(
            family, cond, seeds=seeds, size=32, steps=6, guidance=5.0, solver="dpm++2m"
        ).numpy()

    alone, many = make([40]), make(range(40, 40 + batch))
    np.testing.assert_allclose(many[:1], alone, rtol=0, atol=1e-4)
    np.testing.assert_array_equal(many, make(range(40, 40 + batch)))
    assert torch.tensor(many).std() > 0.1
