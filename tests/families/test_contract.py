"""What every family promises, on a tiny random pipeline of its own class."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from cases import CASES
from diffusers import DiffusionPipeline
from peft import PeftModel
from transformers import CLIPTokenizer

from sample.solve import initial_noise, solve
from sample.solvers import build_scheduler
from synth.config import parse_config
from synth.config.schema import ModelSection
from synth.errors import UsageError
from synth.families import load_family
from synth.seeding import torch_generator
from train.run import fine_tune

CPU = torch.device("cpu")
PROMPTS = ["large left pleural effusion", "no acute finding"]
LONG = "mild cardiomegaly and edema " * 60


@pytest.fixture(scope="module", params=CASES, ids=[case.name for case in CASES])
def case(request):
    return request.param


@pytest.fixture(scope="module")
def folder(case, tiny_pipeline, tmp_path_factory):
    if case.build is None:
        return tiny_pipeline
    path = tmp_path_factory.mktemp(case.name) / "pipeline"
    case.build(path, CLIPTokenizer.from_pretrained(tiny_pipeline, subfolder="tokenizer"))
    return path


@pytest.fixture(scope="module")
def family(folder):
    return load(folder)


@pytest.fixture(scope="module")
def stock(folder):
    return open_stock(folder)


def load(folder, **model):
    section = ModelSection(weights=str(folder), **model)
    return load_family(section, device=CPU, dtype=torch.float32)


def open_stock(folder):
    pipeline = DiffusionPipeline.from_pretrained(folder, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def latents_of(family, *, guidance, solver, prompts=PROMPTS):
    return solve(
        family,
        family.encode_prompts(prompts),
        seeds=list(range(len(prompts))),
        size=family.size,
        steps=5,
        guidance=guidance,
        solver=solver,
    )


@pytest.mark.parametrize("prompts", [PROMPTS, [LONG, PROMPTS[1]]], ids=["short", "long"])
@pytest.mark.parametrize("guidance", [1.0, 5.0])
def test_packed_layers_and_shared_halves_change_nothing(
    case, family, monkeypatch, guidance, prompts
):
    found = latents_of(family, guidance=guidance, solver=case.solver, prompts=prompts)
    again = latents_of(family, guidance=guidance, solver=case.solver, prompts=prompts)
    pixels = family.decode_latents(found)
    monkeypatch.setattr("synth.families.packed._possible", lambda: False)
    monkeypatch.setattr("sample.halves._before_the_text", lambda denoiser: [])
    expected = latents_of(family, guidance=guidance, solver=case.solver, prompts=prompts)
    assert torch.equal(found, again)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(pixels, family.decode_latents(found), rtol=1e-4, atol=1e-4)
    assert not any("forward" in part.__dict__ for part in family.denoiser.modules())


@pytest.mark.parametrize("guidance", [1.0, 5.0])
def test_equals_the_stock_pipeline(case, family, stock, guidance, monkeypatch):
    # both sides by torch's layers
    monkeypatch.setattr("synth.families.packed._possible", lambda: False)
    ours = latents_of(family, guidance=guidance, solver=case.solver)
    stock.scheduler = build_scheduler(case.solver, family.scheduler_config)
    theirs = stock(
        PROMPTS,
        num_inference_steps=5,
        guidance_scale=guidance,
        latents=initial_noise(family, [0, 1], size=family.size),
        height=family.size,
        width=family.size,
        output_type="latent",
        **case.call,
    ).images
    assert float(theirs.std()) > 0.1
    # with guidance the stock pipeline runs both passes in one batch, which rounds otherwise
    tolerance = max(case.tolerance, 0.0 if guidance == 1.0 else 1e-4)
    assert float((ours - theirs).abs().max() / theirs.std()) <= tolerance


@torch.no_grad()
def test_scaling_is_inverted(family, stock):
    pixels = torch.rand(2, 1, family.size, family.size, generator=torch_generator("pixels")) * 2 - 1
    moments = family.encode_images(pixels)
    assert moments.mean.shape == (2, *family.latent_shape(family.size))
    assert moments.std.shape == moments.mean.shape
    encoded = stock.vae.encode(pixels.expand(-1, family.channels, -1, -1))
    plain = encoded.latent_dist.mean if hasattr(encoded, "latent_dist") else encoded.latent
    expected = stock.vae.decode(plain).sample.mean(dim=1, keepdim=True)
    decoded = family.decode_latents(moments.mean)
    assert decoded.shape == pixels.shape
    torch.testing.assert_close(decoded, expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_prompt_means_the_same_beside_a_longer_one(family):
    latents = torch.randn(1, *family.latent_shape(family.size), generator=torch_generator("x"))
    times = family.process.sample_times(torch.tensor([0.5]))
    alone = family.denoise(latents, times, family.encode_prompts([PROMPTS[0]]))
    company = family.encode_prompts([PROMPTS[0], LONG]).index([0])
    torch.testing.assert_close(family.denoise(latents, times, company), alone, rtol=0, atol=1e-5)
    other = family.denoise(latents, times, family.encode_prompts([LONG]))
    assert float((other - alone).abs().max()) > 1e-4


def test_what_is_cut_is_counted(family):
    assert family.truncated(["edema", ""]) == [0, 0]
    endless = LONG * 20
    assert family.truncated([endless])[0] > 0


@torch.no_grad()
def test_null_rows_are_equal_and_not_a_prompt(family):
    null = family.null_conditioning(2)
    assert torch.equal(null.tokens[0], null.tokens[1])
    prompt = family.encode_prompts(PROMPTS[:1])
    assert prompt.tokens.shape[-1] == null.tokens.shape[-1]
    width = min(prompt.tokens.shape[1], null.tokens.shape[1])
    assert not torch.equal(prompt.tokens[:, :width], null.tokens[:1, :width])


@torch.no_grad()
@pytest.mark.parametrize("dora", [False, True])
def test_lora_round_trip_in_the_stock_pipeline(case, folder, tmp_path, dora):
    family = load(folder, adapter="lora", rank=2, alpha=4, dora=dora)
    before = latents_of(family, guidance=1.0, solver=case.solver)
    generator = torch_generator("lora-test")
    for name, parameter in family.trainable():
        if ".lora_B." in name:
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    after = latents_of(family, guidance=1.0, solver=case.solver)
    assert float((after - before).abs().max()) > 1e-3
    digest = family.export(tmp_path / "out")
    exported = load(tmp_path / "out")
    assert exported.weights_sha256 == digest
    merged = latents_of(exported, guidance=1.0, solver=case.solver)
    torch.testing.assert_close(merged, after, rtol=0, atol=1e-3)
    stock = open_stock(folder)
    bare = getattr(stock, "transformer", None) or stock.unet
    if case.loads_lora:
        stock.load_lora_weights(tmp_path / "out")
    else:
        PeftModel.from_pretrained(bare, tmp_path / "out/lora")
    x = torch.randn(1, *family.latent_shape(family.size), generator=generator)
    times = family.process.sample_times(torch.tensor([0.5]))
    cond = family.encode_prompts(PROMPTS[:1])
    expected = family.denoise(x, times, cond)
    plain = load(folder)
    plain.denoiser = bare
    torch.testing.assert_close(plain.denoise(x, times, cond), expected, rtol=0, atol=1e-5)


def config(folder, dataset, out, **changes):
    model = {"weights": str(folder), "adapter": "lora", "rank": 4, "alpha": 8}
    train = {"steps": 4, "batch": 4, "device": "cpu", "log_every": 1, "validate_every": 1000}
    train |= {"preview_every": 1000, "checkpoint_every": 1000, "caption_dropout": 0.3}
    train |= {"optim": {"learning_rate": 2e-3, "schedule": "constant", "warmup_steps": 0}}
    return parse_config(
        {
            "run": {"out": str(out), "seed": 1},
            "model": model | changes.pop("model", {}),
            "data": {"dataset": str(dataset)},
            "train": train | changes,
            "sample": {"steps": 1, "batch": 4},
        }
    )


def test_resume_is_bit_for_bit(folder, tiny_dataset, tmp_path):
    fine_tune(config(folder, tiny_dataset, tmp_path / "whole"))
    fine_tune(config(folder, tiny_dataset, tmp_path / "parts", steps=1))
    fine_tune(config(folder, tiny_dataset, tmp_path / "parts"))
    for name in ("weights", "ema", "optimizer"):
        path = f"checkpoints/16/{name}.safetensors"
        assert (tmp_path / "whole" / path).read_bytes() == (tmp_path / "parts" / path).read_bytes()


def test_loss_falls(folder, tiny_dataset, tmp_path):
    settings = config(folder, tiny_dataset, tmp_path / "run", steps=25, model={"adapter": "full"})
    fine_tune(settings)
    rows = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    validation = [row["loss"] for row in rows if row["kind"] == "validation"]
    assert validation[-1] < 0.97 * validation[0]


def test_another_family_s_name_is_refused(case, folder):
    other = "sdxl" if case.name == "sd" else "sd"
    with pytest.raises(UsageError, match="the weights are of another family"):
        load(folder, family=other)


def test_the_family_is_found_by_the_pipeline_s_class(case, folder, tmp_path):
    assert type(load(folder)) is type(load(folder, family=case.name))
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    index = copy / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"_class_name": "FluxPipeline"}))
    with pytest.raises(Exception, match="no family for this pipeline"):
        load(copy)
