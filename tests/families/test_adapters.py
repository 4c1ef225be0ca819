from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from diffusers import DiffusionPipeline, StableDiffusionPipeline

from synth.config.schema import ModelSection
from synth.errors import SynthError
from synth.families import adapters, load_family

CPU = torch.device("cpu")


def load(folder: Path, **model):
    section = ModelSection(weights=str(folder), **model)
    return load_family(section, device=CPU, dtype=torch.float32)


@pytest.fixture
def lora(tiny_pipeline: Path):
    """A family with rank-4 LoRA, alpha 8, whose B is no longer zero."""
    family = load(tiny_pipeline, adapter="lora", rank=4, alpha=8)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in family.trainable():
            if ".lora_B." in name:
                parameter.normal_(0, 0.5, generator=generator)
    return family


def inputs(family):
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(1, 4, 16, 16, generator=generator)
    return latents, torch.tensor([500]), family.encode_prompts(["edema"])


@torch.no_grad()
def test_lora_begins_as_the_base_and_reproducibly(tiny_pipeline):
    base, one, other = (load(tiny_pipeline, adapter="lora", rank=4) for _ in range(3))
    x = inputs(base)
    before = base.denoise(*x)
    for family in (one, other):
        assert torch.equal(family.denoise(*x), before)
        torch.random.manual_seed(id(family) % 1000)
        family.trainable()
        assert torch.equal(family.denoise(*x), before)
    pairs = zip(one.trainable(), other.trainable(), strict=True)
    assert all(a[0] == b[0] and torch.equal(a[1], b[1]) for a, b in pairs)
    assert one.trainable() is one.trainable()
    assert all("lora_" in name for name, _ in one.trainable())


@torch.no_grad()
def test_lora_round_trip_in_the_stock_pipeline(lora, tiny_pipeline, tmp_path):
    x, times, cond = inputs(lora)
    expected = lora.denoise(x, times, cond)
    adapters.save_lora({"unet": lora.denoiser}, tmp_path, StableDiffusionPipeline)
    stock = DiffusionPipeline.from_pretrained(tiny_pipeline, local_files_only=True)
    before = stock.unet(x, times, encoder_hidden_states=cond.tokens).sample
    stock.load_lora_weights(tmp_path)
    after = stock.unet(x, times, encoder_hidden_states=cond.tokens).sample
    assert (before - expected).abs().max() > 1e-3
    torch.testing.assert_close(after, expected, rtol=0, atol=1e-6)


@torch.no_grad()
def test_lora_loads_back_and_refuses_another_rank(lora, tiny_pipeline, tmp_path):
    adapters.save_lora({"unet": lora.denoiser}, tmp_path, StableDiffusionPipeline)
    again = load(tiny_pipeline, adapter="lora", rank=4, alpha=8)
    again.trainable()
    adapters.load_lora({"unet": again.denoiser}, tmp_path, StableDiffusionPipeline)
    x = inputs(lora)
    assert torch.equal(again.denoise(*x), lora.denoise(*x))
    narrow = load(tiny_pipeline, adapter="lora", rank=2)
    narrow.trainable()
    with pytest.raises(SynthError, match="does not fit the model"):
        adapters.load_lora({"unet": narrow.denoiser}, tmp_path, StableDiffusionPipeline)
    with pytest.raises(SynthError, match="no pytorch_lora_weights"):
        adapters.load_lora({}, tmp_path / "nowhere", StableDiffusionPipeline)


@torch.no_grad()
def test_export_merges_lora_and_leaves_the_model_alone(lora, tmp_path):
    x, times, cond = inputs(lora)
    expected = lora.denoise(x, times, cond)
    names = copy.deepcopy([name for name, _ in lora.denoiser.named_parameters()])
    lora.export(tmp_path / "out")
    assert names == [name for name, _ in lora.denoiser.named_parameters()]
    assert torch.equal(lora.denoise(x, times, cond), expected)
    plain = load(tmp_path / "out")
    torch.testing.assert_close(plain.denoise(x, times, cond), expected, rtol=0, atol=1e-5)
    assert not any("lora" in name for name, _ in plain.denoiser.named_parameters())
    assert (tmp_path / "out" / adapters.LORA_FILE).is_file()


def test_full_trains_every_parameter_in_float32(tiny_pipeline):
    section = ModelSection(weights=str(tiny_pipeline))
    family = load_family(section, device=CPU, dtype=torch.bfloat16)
    trainable = family.trainable()
    assert len(trainable) == len(list(family.denoiser.parameters()))
    assert all(p.requires_grad and p.dtype == torch.float32 for _, p in trainable)
