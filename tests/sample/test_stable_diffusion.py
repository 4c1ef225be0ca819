"""The sampler with a real model family: a tiny random Stable Diffusion pipeline on disk."""

import pytest
import torch

from sample.generate import generate_images
from sample.run import generate_dataset
from sample.solve import initial_noise, solve
from sample.solvers import build_scheduler
from synth.config.schema import ModelSection, SampleSection
from synth.errors import SynthError, Unavailable
from synth.families import load_family
from synth.images import load_images_u8
from synth.manifest import open_dataset

PROMPTS = ["large left pleural effusion", "no acute finding"]


@pytest.fixture(scope="module")
def diffusion(tiny_pipeline):
    model = ModelSection(weights=str(tiny_pipeline))
    return load_family(model, device=torch.device("cpu"), dtype=torch.float32)


def with_sample(config, **values):
    return config.model_copy(update={"sample": config.sample.model_copy(update=values)})


@pytest.mark.parametrize(("guidance", "tolerance"), [(1.0, 0.0), (5.0, 1e-4)])
def test_family_and_loop_are_the_stock_pipeline(
    diffusion, tiny_pipeline, monkeypatch, guidance, tolerance
):
    from diffusers import StableDiffusionPipeline

    # both sides by torch's layers
    monkeypatch.setattr("synth.families.packed._possible", lambda: False)
    pipeline = StableDiffusionPipeline.from_pretrained(
        tiny_pipeline, safety_checker=None, local_files_only=True
    )
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = build_scheduler("dpm++2m", diffusion.scheduler_config)
    noise = initial_noise(diffusion, [1, 2], size=32)
    reference = pipeline(
        PROMPTS,
        num_inference_steps=6,
        guidance_scale=guidance,
        latents=noise,
        output_type="latent",
    ).images
    ours = solve(
        diffusion,
        diffusion.encode_prompts(PROMPTS),
        seeds=[1, 2],
        size=32,
        steps=6,
        guidance=guidance,
        solver="dpm++2m",
    )
    assert float((ours - reference).abs().max()) <= tolerance


def test_the_same_image_whatever_the_batch(diffusion):
    prompts = [*PROMPTS, "hernia", PROMPTS[0], "a " * 100]  # the last one fills two windows

    def images(batch):
        settings = SampleSection(batch=batch, steps=4, guidance=3.0)
        parts = generate_images(diffusion, prompts, seeds=range(5), settings=settings)
        return torch.cat(list(parts)).int()

    small, large = images(2), images(5)
    assert torch.equal(images(2), small)
    assert (small - large).abs().max() <= 1
    assert len({tuple(image.flatten().tolist()) for image in small}) == 5


def test_a_dataset_from_a_weights_folder(config, tiny_pipeline):
    asked = with_sample(config, weights=str(tiny_pipeline), count=6, batch=4)
    summary = generate_dataset(asked)
    assert (summary.made, summary.kept) == (6, 0)
    dataset = open_dataset(summary.out)
    images = load_images_u8([dataset.path(row) for row in dataset.rows], 32)
    assert images.shape == (6, 1, 32, 32)
    assert len({row.weights_sha256 for row in dataset.rows}) == 1
    assert generate_dataset(asked).kept == 6


def test_base_and_fine_tuned_share_a_plan(config, tiny_pipeline, family, tmp_path):
    before = with_sample(config, weights=str(tiny_pipeline), out=tmp_path / "before", count=4)
    after = with_sample(config, out=tmp_path / "after", count=4)
    generate_dataset(before)
    generate_dataset(after, family=family)
    first, second = (open_dataset(tmp_path / name).rows for name in ("before", "after"))
    for one, two in zip(first, second, strict=True):
        assert (one.sample_id, one.text, one.labels, one.seed) == (
            two.sample_id,
            two.text,
            two.labels,
            two.seed,
        )
        assert one.weights_sha256 != two.weights_sha256


def test_weights_that_are_not_there(config, tmp_path):
    with pytest.raises(SynthError, match="no such weights folder"):
        generate_dataset(with_sample(config, weights=str(tmp_path / "none")))


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_missing_gpu_is_one_line(config, tiny_pipeline):
    with pytest.raises(Unavailable, match="device `cuda` was asked for"):
        generate_dataset(with_sample(config, weights=str(tiny_pipeline), device="cuda"))
