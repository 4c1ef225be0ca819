from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file

from synth.errors import Interrupted, SynthError, Unavailable, UsageError
from synth.manifest import read_jsonl
from train.run import fine_tune, fit

FILES = ("weights.safetensors", "ema.safetensors", "optimizer.safetensors")


@pytest.mark.parametrize("adapter", ["full", "lora"])
def test_four_steps_equal_two_and_two_bit_for_bit(tmp_path, make_config, same_tensors, adapter):
    model = {"adapter": adapter, "rank": 2, "alpha": 4}
    fine_tune(make_config(tmp_path / "whole", model=model))
    fine_tune(make_config(tmp_path / "parts", model=model, steps=2))
    fine_tune(make_config(tmp_path / "parts", model=model, steps=4))
    for name in FILES:
        whole = tmp_path / "whole/checkpoints/16" / name
        assert same_tensors(whole, tmp_path / "parts/checkpoints/16" / name)
        assert not same_tensors(whole, tmp_path / "parts/checkpoints/8" / name)


def test_two_resumes_in_one_epoch_and_a_kill_repeat_nothing(tmp_path, make_config, same_tensors):
    def config(out):  # an epoch is 14 images: three and a half steps
        return make_config(tmp_path / out, checkpoint_every=1, keep_checkpoints=1, batch=2)

    fine_tune(config("whole"))
    for _ in range(3):
        steps = fit(config("parts"))
        next(steps)
        steps.close()  # as a kill after the step's checkpoint
    fine_tune(config("parts"))
    for name in FILES:
        assert same_tensors(
            tmp_path / f"whole/checkpoints/8/{name}", tmp_path / f"parts/checkpoints/8/{name}"
        )
    rows = list(read_jsonl(tmp_path / "parts/log.jsonl"))
    assert [row["images_seen"] for row in rows if row["kind"] == "resume"] == [2, 4, 6]
    assert [row["images_seen"] for row in rows if row["kind"] == "step"] == [2, 4, 6, 8]


def test_signal_saves_and_the_same_call_continues(tmp_path, make_config, same_tensors):
    fine_tune(make_config(tmp_path / "whole"))
    steps = fit(make_config(tmp_path / "parts"))
    next(steps)
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(
        Interrupted, match=r"SIGTERM after 4 images.*same command continues"
    ) as stop:
        list(steps)
    assert stop.value.exit_code == 130
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert [p.name for p in (tmp_path / "parts/checkpoints").iterdir()] == ["4"]
    fine_tune(make_config(tmp_path / "parts"))
    for name in FILES:
        assert same_tensors(
            tmp_path / f"whole/checkpoints/16/{name}", tmp_path / f"parts/checkpoints/16/{name}"
        )


def test_a_finished_run_is_returned_as_it_is(tmp_path, make_config):
    first = fine_tune(make_config(tmp_path, steps=1))
    stamp = (tmp_path / "run.json").stat().st_mtime_ns
    again = fine_tune(make_config(tmp_path, steps=1))
    assert again == first
    assert (tmp_path / "run.json").stat().st_mtime_ns == stamp


def test_run_folder_and_facts(tmp_path, make_config):
    result = fine_tune(make_config(tmp_path, validate_every=2, preview_every=4))
    facts = json.loads((tmp_path / "run.json").read_text())
    assert facts["attention"]["requested"] == "auto"
    assert "scaled_dot_product" in facts["attention"]["ran"]
    assert facts["dataset"]["terms"] == ["made by the tests"]
    (source,) = facts["dataset"]["sources"]
    assert (source["licence"], source["commercial"]) == ("CC-BY-NC-4.0", False)
    card = (tmp_path / "weights/README.md").read_text()
    assert "- made by the tests" in card
    assert "| [The Test Collection](https://example.org/tests) | CC-BY-NC-4.0 | yes | no |" in card
    assert facts["truncated"] == {"prompts": 0, "tokens": 0}
    assert facts["images_seen"] == 16
    assert facts["weights_sha256"] != facts["base_weights_sha256"]
    assert result.weights == tmp_path / "weights"
    assert sorted(p.name for p in (tmp_path / "previews").glob("*.png")) == ["0.png", "16.png"]
    rows = list(read_jsonl(tmp_path / "log.jsonl"))
    assert [r["images_seen"] for r in rows if r["kind"] == "validation"] == [0, 8, 16]
    first = next(r for r in rows if r["kind"] == "validation")
    assert first["loss"] == first["loss_ema"]  # the average begins as the weights
    step = next(r for r in rows if r["kind"] == "step")
    assert step.keys() == {"kind", "step", "images_seen", "loss", "lr", "grad_norm", "seconds"}


@pytest.mark.parametrize("adapter", ["full", "lora"])
def test_export_is_a_plain_pipeline_with_the_averaged_weights(tmp_path, make_config, adapter):
    from diffusers import DiffusionPipeline

    from synth.families import load_family

    config = make_config(tmp_path, model={"adapter": adapter, "rank": 2}, steps=2)
    fine_tune(config)
    pipeline = DiffusionPipeline.from_pretrained(tmp_path / "weights", local_files_only=True)
    assert type(pipeline).__name__ == "StableDiffusionPipeline"
    if adapter == "full":
        ema = load_file(tmp_path / "checkpoints/8/ema.safetensors")
        state = pipeline.unet.state_dict()
        assert all(torch.equal(state[name], tensor) for name, tensor in ema.items())
    else:
        base = DiffusionPipeline.from_pretrained(config.model.weights, local_files_only=True)
        base.load_lora_weights(tmp_path / "weights")
        x, t, c = torch.randn(1, 4, 16, 16), torch.tensor([10]), torch.randn(1, 77, 32)
        fused, loaded = pipeline.unet(x, t, c).sample, base.unet(x, t, c).sample
        torch.testing.assert_close(fused, loaded, rtol=0, atol=1e-5)
        base.unload_lora_weights()
        assert (base.unet(x, t, c).sample - fused).abs().max() > 1e-5
    model = config.model.model_copy(update={"weights": str(tmp_path / "weights")})
    family = load_family(model, device=torch.device("cpu"), dtype=torch.float32)
    facts = json.loads((tmp_path / "run.json").read_text())
    assert family.weights_sha256 == facts["weights_sha256"]


def test_damaged_checkpoint_falls_back(tmp_path, make_config, same_tensors):
    class Notes:
        def __init__(self):
            self.lines = []

        def stage(self, text): ...
        def update(self, done, total, text=""): ...
        def note(self, text):
            self.lines.append(text)

    fine_tune(make_config(tmp_path / "whole", steps=3))
    fine_tune(make_config(tmp_path / "parts", steps=2, checkpoint_every=1))
    file = tmp_path / "parts/checkpoints/8/weights.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    notes = Notes()
    fine_tune(make_config(tmp_path / "parts", steps=3), notes)
    assert any(
        "8: checkpoint skipped, weights.safetensors does not match" in n for n in notes.lines
    )
    assert "continuing after 4 images" in notes.lines
    for name in FILES:
        assert same_tensors(
            tmp_path / f"whole/checkpoints/12/{name}", tmp_path / f"parts/checkpoints/12/{name}"
        )


def test_another_configuration_is_refused(tmp_path, make_config):
    fine_tune(make_config(tmp_path, steps=1))
    with pytest.raises(UsageError, match=r"another `train.optim.learning_rate`") as refused:
        fine_tune(make_config(tmp_path, steps=2, optim={"learning_rate": 5e-4}))
    assert (refused.value.got, refused.value.expected) == ("0.0005", "0.001")


def test_another_training_split_is_refused(tmp_path, make_config, tiny_dataset):
    data = tmp_path / "data"
    shutil.copytree(tiny_dataset, data)
    config = make_config(tmp_path / "run", steps=1)
    config = config.model_copy(update={"data": config.data.model_copy(update={"dataset": data})})
    fine_tune(config)
    table = data / "metadata.jsonl"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[1:]))
    longer = config.train.model_copy(update={"steps": 2})
    with pytest.raises(SynthError, match="training split is not the one"):
        fine_tune(config.model_copy(update={"train": longer}))


def test_a_moved_dataset_goes_on_and_another_in_its_place_does_not(
    tmp_path, make_config, tiny_dataset
):
    def at(data, steps):
        config = make_config(tmp_path / "run", steps=steps)
        moved = config.data.model_copy(update={"dataset": data})
        return config.model_copy(update={"data": moved})

    fine_tune(at(tiny_dataset, 1))
    data = tmp_path / "moved"
    shutil.copytree(tiny_dataset, data)
    assert fine_tune(at(data, 1)).steps == 1
    assert fine_tune(at(data, 2)).steps == 2
    other = tmp_path / "other"
    shutil.copytree(tiny_dataset, other)
    table = other / "metadata.jsonl"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[1:]))
    with pytest.raises(SynthError, match="training split is not the one"):
        fine_tune(at(other, 2))  # finished: no checkpoint is read that would tell


@pytest.mark.skipif(os.name != "posix", reason="a process cannot be asked after elsewhere")
def test_a_start_clears_what_dead_processes_left(tmp_path, make_config):
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    left = tmp_path / f".weights.{process.pid}.staging"
    half = tmp_path / "checkpoints" / f".4.{process.pid}.staging"
    for folder in (left, half):
        folder.mkdir(parents=True)
    fine_tune(make_config(tmp_path, steps=1))
    assert not left.exists()
    assert not half.exists()


def test_one_run_at_a_time(tmp_path, make_config):
    with FileLock(tmp_path / ".lock"), pytest.raises(SynthError, match="another process"):
        fine_tune(make_config(tmp_path))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_on_a_machine_without_is_one_clear_line(tmp_path, make_config):
    with pytest.raises(Unavailable, match="`cuda` was asked for and is not available"):
        fine_tune(make_config(tmp_path, device="cuda"))


def test_xformers_on_the_cpu_is_one_clear_line(tmp_path, make_config):
    with pytest.raises(Unavailable, match="`xformers` is not available"):
        fine_tune(make_config(tmp_path, model={"attention": "xformers"}))


def test_global_random_state_is_left_alone(tmp_path, make_config):
    before = torch.random.get_rng_state()
    fine_tune(make_config(tmp_path, model={"adapter": "lora"}, steps=1))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_previews_can_be_left_out(tmp_path, make_config):
    fine_tune(make_config(tmp_path, preview_every=None))
    assert not (tmp_path / "previews").exists()
