from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

from synth.config.schema import ModelSection
from synth.errors import UsageError
from synth.families import load_family
from train.reweight import export_average
from train.run import fine_tune

EVERYTHING = {
    "ema": {"profiles": [0.05, 0.1], "snapshot_every": 2},
    "times": {"density": "logit_normal", "shift": 2.0},
    "caption_variants": 2,
    "micro_batch": 2,
    "min_snr_gamma": 5.0,
}
V_ZERO = {"prediction": "v_prediction", "zero_terminal_snr": True}


def test_every_option_of_the_recipe_resumes_bit_for_bit(tmp_path, make_config, same_tensors):
    model = {**V_ZERO, "adapter": "lora", "rank": 2}
    fine_tune(make_config(tmp_path / "whole", model=model, **EVERYTHING))
    for steps in (1, 3, 4):
        fine_tune(make_config(tmp_path / "parts", model=model, **EVERYTHING, steps=steps))
    for name in ("weights", "ema", "optimizer"):
        file = f"checkpoints/16/{name}.safetensors"
        assert same_tensors(tmp_path / "whole" / file, tmp_path / "parts" / file)
    averages = load_file(tmp_path / "whole/checkpoints/16/ema.safetensors")
    assert {name.partition("@")[0] for name in averages if "@" in name} == {"0.05", "0.1"}
    assert same_tensors(
        tmp_path / "whole/ema/0.1-16.safetensors", tmp_path / "parts/ema/0.1-16.safetensors"
    )


def test_the_export_carries_prediction_and_terminal_snr(tmp_path, make_config):
    from diffusers import StableDiffusionPipeline

    run = fine_tune(make_config(tmp_path / "run", model=V_ZERO, steps=1))
    config = json.loads((run.weights / "scheduler/scheduler_config.json").read_text())
    assert config["prediction_type"] == "v_prediction"
    assert config["rescale_betas_zero_snr"] is True
    assert config["timestep_spacing"] == "trailing"
    again = load_family(
        ModelSection(weights=str(run.weights)), device=torch.device("cpu"), dtype=torch.float32
    )
    assert float(again.process.alphas_cumprod[-1]) == pytest.approx(0.0, abs=1e-9)
    stock = StableDiffusionPipeline.from_pretrained(run.weights)
    assert float(stock.scheduler.alphas_cumprod[-1]) < 1e-9


def test_epsilon_with_zero_terminal_snr_is_refused(tmp_path, make_config):
    with pytest.raises(UsageError, match="expected v_prediction or flow"):
        fine_tune(make_config(tmp_path / "run", model={"zero_terminal_snr": True}))


def test_an_average_of_another_length_is_a_pipeline(tmp_path, make_config):
    config = make_config(tmp_path / "run", **EVERYTHING)
    run = fine_tune(config)
    export_average(config, tmp_path / "narrow", width=0.05)
    export_average(config, tmp_path / "wide", width=0.12)
    unet = "unet/diffusion_pytorch_model.safetensors"
    narrow, wide = load_file(tmp_path / "narrow" / unet), load_file(tmp_path / "wide" / unet)
    assert any(not torch.equal(narrow[name], wide[name]) for name in narrow)
    tracked = load_file(run.folder / "checkpoints/16/ema.safetensors")
    for name, tensor in narrow.items():  # a tracked width comes back, at half precision
        torch.testing.assert_close(tensor, tracked[f"0.05@{name}"], rtol=2e-3, atol=2e-4)
    with pytest.raises(UsageError, match="the folder exists"):
        export_average(config, tmp_path / "wide", width=0.12)


@pytest.mark.parametrize("adapter", ["full", "lora"])
def test_the_text_encoder_trains_resumes_and_is_exported(
    tmp_path, make_config, same_tensors, tiny_pipeline, adapter
):
    from transformers import CLIPTextModel

    model = {"train_text_encoder": True, "adapter": adapter, "rank": 2}
    run = fine_tune(make_config(tmp_path / "whole", model=model))
    fine_tune(make_config(tmp_path / "parts", model=model, steps=1))
    fine_tune(make_config(tmp_path / "parts", model=model))
    for name in ("weights", "ema", "optimizer"):
        file = f"checkpoints/16/{name}.safetensors"
        assert same_tensors(tmp_path / "whole" / file, tmp_path / "parts" / file)
    trained = load_file(tmp_path / "whole/checkpoints/16/weights.safetensors")
    assert any(name.startswith("text_encoder.") for name in trained)
    assert not (run.folder / "cache/texts").exists()
    before = CLIPTextModel.from_pretrained(tiny_pipeline, subfolder="text_encoder").state_dict()
    after = CLIPTextModel.from_pretrained(run.weights, subfolder="text_encoder").state_dict()
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_micro_batches_are_the_batch_with_a_text_encoder_too(tmp_path, make_config):
    model = {"train_text_encoder": True}
    whole = fine_tune(make_config(tmp_path / "whole", model=model, steps=2))
    parts = fine_tune(make_config(tmp_path / "parts", model=model, steps=2, micro_batch=1))
    one, other = (load_file(r.folder / "checkpoints/8/weights.safetensors") for r in (whole, parts))
    for name, tensor in one.items():
        torch.testing.assert_close(other[name], tensor, rtol=1e-3, atol=1e-5)
