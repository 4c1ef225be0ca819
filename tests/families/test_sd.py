from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, DiffusionPipeline

from synth.config.schema import ModelSection
from synth.errors import SynthError, UsageError
from synth.families import load_family
from synth.families.base import Conditioning
from synth.families.clip import MAX_WINDOWS
from synth.seeding import torch_generator

CPU = torch.device("cpu")
SHORT = "small nodule in the left lung"
LONG = "mild cardiomegaly and edema " * 40  # 160 words of one token each


def load(folder: Path, **model):
    section = ModelSection(weights=str(folder), **model)
    return load_family(section, device=CPU, dtype=torch.float32)


@pytest.fixture(scope="module")
def family(tiny_pipeline: Path):
    return load(tiny_pipeline)


@pytest.fixture(scope="module")
def pipeline(tiny_pipeline: Path):
    return DiffusionPipeline.from_pretrained(tiny_pipeline, local_files_only=True)


def randn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch_generator("family", *shape))


@torch.no_grad()
def test_prompts_and_null_equal_encode_prompt(family, pipeline):
    expected, null = pipeline.encode_prompt(["edema", SHORT], CPU, 1, True)
    cond = family.encode_prompts(["edema", SHORT])
    assert cond.mask is None
    assert torch.equal(cond.tokens, expected)
    torch.testing.assert_close(family.null_conditioning(2).tokens, null, rtol=0, atol=1e-6)


@torch.no_grad()
def test_denoise_equals_the_pipeline_s_unet_call(family, pipeline):
    latents, times = randn(2, 4, 16, 16), torch.tensor([3, 900])
    cond = family.encode_prompts(["edema", SHORT])
    expected = pipeline.unet(latents, times, encoder_hidden_states=cond.tokens).sample
    assert torch.equal(family.denoise(latents, times, cond), expected)


@torch.no_grad()
def test_latents_are_scaled_and_unscaled(family, pipeline):
    grey = randn(2, 1, 32, 32).clamp(-1, 1)
    moments = family.encode_images(grey)
    posterior = pipeline.vae.encode(grey.repeat(1, 3, 1, 1)).latent_dist
    scale = pipeline.vae.config.scaling_factor
    assert scale != 1
    torch.testing.assert_close(moments.mean, posterior.mean * scale, rtol=0, atol=1e-6)
    torch.testing.assert_close(moments.std, posterior.std * scale, rtol=0, atol=1e-6)
    expected = pipeline.vae.decode(posterior.mean).sample.mean(1, keepdim=True)
    torch.testing.assert_close(family.decode_latents(moments.mean), expected, rtol=0, atol=1e-5)
    assert moments.mean.shape[1:] == family.latent_shape(32) == (4, 16, 16)


def test_grey_autoencoder_with_a_shift(tmp_path, tiny_pipeline):
    folder = tmp_path / "grey"
    shutil.copytree(tiny_pipeline, folder)
    with torch.random.fork_rng():
        vae = AutoencoderKL(
            in_channels=1,
            out_channels=1,
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            block_out_channels=(8, 16),
            norm_num_groups=4,
            scaling_factor=0.5,
            shift_factor=0.25,
        )
    shutil.rmtree(folder / "vae")
    vae.save_pretrained(folder / "vae")
    family = load(folder)
    assert family.channels == 1
    pixels = randn(2, 1, 32, 32).clamp(-1, 1)
    with torch.no_grad():
        moments, mean = family.encode_images(pixels), vae.eval().encode(pixels).latent_dist.mean
        torch.testing.assert_close(moments.mean, (mean - 0.25) * 0.5, rtol=0, atol=1e-6)
        decoded, expected = family.decode_latents(moments.mean), vae.decode(mean).sample
    torch.testing.assert_close(decoded, expected, rtol=0, atol=1e-5)


@torch.no_grad()
def test_long_prompts_are_windows_of_the_stock_encoding(family, pipeline):
    ids = pipeline.tokenizer(LONG, add_special_tokens=False, verbose=False).input_ids
    assert len(ids) > 150
    windows = [pipeline.tokenizer.decode(ids[i : i + 75]) for i in range(0, len(ids), 75)]
    expected = pipeline.encode_prompt(windows, CPU, 1, False)[0]
    cond = family.encode_prompts([LONG])
    torch.testing.assert_close(cond.tokens[0], expected.flatten(0, 1), rtol=0, atol=1e-5)
    assert family.truncated([SHORT, LONG, "and " * 1000]) == [0, 0, 1000 - MAX_WINDOWS * 75]


@torch.no_grad()
def test_a_prompt_means_the_same_beside_a_longer_one(family):
    latents, times = randn(2, 4, 16, 16), torch.tensor([3, 900])
    alone = family.denoise(latents[:1], times[:1], family.encode_prompts([SHORT]))
    beside = family.denoise(latents, times, family.encode_prompts([SHORT, LONG]))
    torch.testing.assert_close(beside[:1], alone, rtol=0, atol=1e-5)


@torch.no_grad()
def test_conditioning_cat_and_index(family):
    one, other = family.encode_prompts([SHORT]), family.encode_prompts([LONG])
    both = Conditioning.cat([one, other])
    together = family.encode_prompts([SHORT, LONG])
    torch.testing.assert_close(both.tokens, together.tokens, rtol=0, atol=1e-6)
    assert torch.equal(both.mask, together.mask)
    assert both.mask.sum(1).tolist() == [77, both.tokens.shape[1]]
    assert torch.equal(both.index([1, 0]).tokens[0], both.tokens[1])


def test_process_follows_the_scheduler(tmp_path, tiny_pipeline):
    folder = tmp_path / "v"
    shutil.copytree(tiny_pipeline, folder)
    path = folder / "scheduler/scheduler_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "prediction_type": "v_prediction"}))
    assert load(folder).process.prediction == "v_prediction"
    path.write_text(json.dumps({**config, "rescale_betas_zero_snr": True}))
    with pytest.raises(UsageError, match="cannot be inverted"):
        load(folder)
    path.write_text(json.dumps({**config, "prediction_type": "magic"}))
    with pytest.raises(SynthError, match="unknown prediction type"):
        load(folder)


def test_hashes_follow_content(tmp_path, tiny_pipeline, family):
    folder = tmp_path / "copy"
    shutil.copytree(tiny_pipeline, folder)
    assert load(folder).weights_sha256 == family.weights_sha256
    (folder / "vae/extra.json").write_text("{}")
    changed = load(folder)
    assert changed.weights_sha256 != family.weights_sha256
    assert changed.image_encoder_sha256 != family.image_encoder_sha256
    assert changed.text_encoder_sha256 == family.text_encoder_sha256


def test_wrong_size_and_wrong_folders_are_clear(tmp_path, tiny_pipeline, family):
    with pytest.raises(UsageError, match=r"a multiple of 4"):
        family.latent_shape(30)
    with pytest.raises(SynthError, match="no such weights folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(SynthError, match=r"no model_index\.json"):
        load(tmp_path)
    with pytest.raises(SynthError, match="no such built-in model"):
        load(Path("builtin:magic"))
    with pytest.raises(SynthError, match="neither a folder nor a model in the local"):
        load(Path("owner/name"))
    broken = tmp_path / "broken"
    shutil.copytree(tiny_pipeline, broken)
    shutil.rmtree(broken / "unet")
    with pytest.raises(SynthError, match="cannot load the unet"):
        load(broken)
    with pytest.raises(UsageError, match="unknown model family"):
        load(tiny_pipeline, family="magic")
