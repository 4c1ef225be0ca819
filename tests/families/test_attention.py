from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from cases import CASES
from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0
from torch.nn.functional import scaled_dot_product_attention
from torch.profiler import ProfilerActivity, profile
from transformers import CLIPTokenizer

from synth.config import parse_config
from synth.config.schema import ModelSection
from synth.errors import SynthError, Unavailable, UsageError
from synth.families import attention, fused, load_family, sliced
from synth.families.device import select_device, select_precision
from synth.manifest import open_dataset
from synth.progress import Silent
from synth.seeding import torch_generator
from train import loop
from train.examples import build_examples
from train.order import Order, sampling_probabilities

CPU = torch.device("cpu")
no_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")


@pytest.fixture(scope="module", params=CASES, ids=[case.name for case in CASES])
def folder(request, tiny_pipeline, tmp_path_factory):
    """A tiny pipeline of each family."""
    if request.param.build is None:
        return tiny_pipeline
    path = tmp_path_factory.mktemp(request.param.name) / "pipeline"
    request.param.build(path, CLIPTokenizer.from_pretrained(tiny_pipeline, subfolder="tokenizer"))
    return path


def load(folder: Path, kernel: str, **model):
    section = ModelSection(weights=str(folder), attention=kernel, **model)
    return load_family(section, device=CPU, dtype=torch.float32)


def run(family) -> tuple[torch.Tensor, set[str]]:
    """Output and the operators the profiler saw in the whole UNet."""
    latents = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    cond = family.encode_prompts(["edema"])
    with torch.no_grad(), profile(activities=[ProfilerActivity.CPU]) as record:
        output = family.denoise(latents, torch.tensor([500]), cond)
    return output, {event.name for event in record.events()}


def test_sdpa_and_math_agree_and_another_kernel_ran(tiny_pipeline):
    sdpa, math = load(tiny_pipeline, "auto"), load(tiny_pipeline, "math")
    fused, fused_names = run(sdpa)
    explicit, explicit_names = run(math)
    torch.testing.assert_close(fused, explicit, rtol=0, atol=1e-5)
    assert "aten::scaled_dot_product_attention" in fused_names
    assert "aten::scaled_dot_product_attention" not in explicit_names
    assert "aten::baddbmm" in explicit_names
    assert "scaled_dot_product" in sdpa.kernel
    assert sdpa.kernel in fused_names  # what is reported is what ran
    assert math.kernel == "aten::_softmax"


def test_every_layer_gets_the_processor(tiny_pipeline):
    for kernel, kind in (("sdpa", AttnProcessor2_0), ("math", AttnProcessor)):
        processors = load(tiny_pipeline, kernel).denoiser.attn_processors
        assert len(processors) > 1
        assert {type(p) for p in processors.values()} == {kind}


@no_cuda
def test_xformers_on_the_cpu_is_unavailable(folder):
    reason = "no kernel with gradients for device `cpu`|a transformer denoiser"
    with pytest.raises(Unavailable, match=rf"`xformers` is not available.*({reason})"):
        load(folder, "xformers")


def prediction_and_gradients(family):
    """Output for two prompts, and every trainable parameter's gradient, by fixed noise."""
    x = torch.randn(2, *family.latent_shape(family.size), generator=torch_generator("x"))
    times = family.process.sample_times(torch.tensor([0.3, 0.6]))
    cond = family.encode_prompts(["edema", "large left pleural effusion"])
    trainable = family.trainable()
    output = family.denoise(x, times, cond)
    output.square().sum().backward()
    return output.detach(), {n: p.grad for n, p in trainable if p.grad is not None}


@pytest.mark.parametrize("checkpointing", [False, True])
def test_every_kernel_gives_the_same_prediction_and_gradients(folder, checkpointing, monkeypatch):
    monkeypatch.setattr(sliced, "SLICE", 4000)  # several slices even here
    output, gradients = prediction_and_gradients(load(folder, "sdpa"))
    for kernel in ("math", "sliced"):
        family = load(folder, kernel, gradient_checkpointing=checkpointing)
        other, others = prediction_and_gradients(family)
        torch.testing.assert_close(other, output, rtol=0, atol=1e-5)
        assert others.keys() == gradients.keys()
        for name, gradient in gradients.items():
            scale = max(1.0, float(gradient.abs().max()))
            assert float((others[name] - gradient).abs().max()) < 1e-4 * scale, name


def watched_step(watch, folder: Path, dataset: Path, cache: Path, **model):
    """Run one whole training step inside ``watch``, texts and images encoded before."""
    config = parse_config(
        {
            "model": {"weights": str(folder), **model},
            "data": {"dataset": str(dataset)},
            "train": {"steps": 1, "batch": 2, "device": "cpu"},
        }
    )
    opened = open_dataset(dataset)
    family = load_family(config.model, device=CPU, dtype=torch.float32)
    examples = build_examples(config, opened, family, folder=cache, device=CPU, progress=Silent())
    labels = [row.labels for row in opened.split("train")]
    order = Order(sampling_probabilities(labels, 0.0), seed=0)
    training = loop.Training(family, config.train, Accelerator(cpu=True))
    with watch:
        list(loop.fit(training, examples.train, order, examples.batches))
    return watch


@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_training_step_runs_the_kernel_asked_for(folder, checkpointing, tiny_dataset, tmp_path):
    def has_fused(kernel: str) -> bool:
        model = {"attention": kernel, "gradient_checkpointing": checkpointing}
        names = watched_step(attention.Operators(), folder, tiny_dataset, tmp_path, **model).names
        assert any("softmax" in name for name in names) or kernel == "sdpa"
        return any("scaled_dot_product" in name for name in names)

    assert [has_fused(kernel) for kernel in ("sdpa", "math", "sliced")] == [True, False, False]


def test_the_profiler_sees_another_kernel_in_training(tiny_pipeline, tiny_dataset, tmp_path):
    seen = {}
    for kernel in ("sdpa", "math"):
        watch = profile(activities=[ProfilerActivity.CPU])
        record = watched_step(watch, tiny_pipeline, tiny_dataset, tmp_path, attention=kernel)
        seen[kernel] = {event.name for event in record.events()}
    backward = "aten::_scaled_dot_product_flash_attention_for_cpu_backward"
    assert backward in seen["sdpa"]
    assert not any("scaled_dot_product" in name for name in seen["math"])
    assert {"aten::baddbmm", "aten::_softmax_backward_data"} <= seen["math"]
    assert "aten::_softmax_backward_data" not in seen["sdpa"]


MASKS = {
    "none": None,
    "bool": torch.arange(70).expand(2, 1, 1, 70) < torch.tensor([70, 9]).view(2, 1, 1, 1),
    "added": torch.randn(2, 3, 50, 70, generator=torch_generator("mask")),
}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("size", [1, 70 * 7, 70 * 50 * 2, 2**24])  # rows, heads, all at once
def test_slices_make_up_the_whole(mask, size, monkeypatch):
    monkeypatch.setattr(sliced, "SLICE", size)
    draw = torch_generator("sliced")
    q, k, v = (torch.randn(2, 3, n, 8, generator=draw, requires_grad=True) for n in (50, 70, 70))
    expected = scaled_dot_product_attention(q, k, v, attn_mask=MASKS[mask], scale=0.3)
    got = sliced.sliced_attention(q, k, v, attn_mask=MASKS[mask], scale=0.3)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-5)
    wanted = torch.autograd.grad(expected.square().sum(), (q, k, v))
    for one, other in zip(torch.autograd.grad(got.square().sum(), (q, k, v)), wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        again = sliced.sliced_attention(q, k, v, attn_mask=MASKS[mask], scale=0.3)
    torch.testing.assert_close(again, got, rtol=0, atol=1e-6)


def saved_for_backward(call) -> int:
    """Bytes that the backward pass keeps."""
    kept: dict[int, int] = {}

    def note(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        held = call()  # alive while counted, or addresses repeat
    assert held.requires_grad
    return sum(kept.values())


def test_slicing_keeps_no_square_of_the_tokens(monkeypatch):
    monkeypatch.setattr(sliced, "SLICE", 2**12)
    q, k, v = torch.randn(3, 1, 2, 512, 8, generator=torch_generator("long")).unbind()
    q = q.requires_grad_()
    with fused._math():
        whole = saved_for_backward(lambda: scaled_dot_product_attention(q, k, v))
    parts = saved_for_backward(lambda: sliced.sliced_attention(q, k, v))
    assert whole > 2 * 512 * 512 * 4  # the softmax of two heads
    assert parts < 5 * 2 * 512 * 8 * 4  # queries, keys, values and little more


def test_sliced_refuses_what_it_does_not_do():
    q = torch.zeros(1, 1, 2, 4)
    for wrong in ({"dropout_p": 0.1}, {"is_causal": True}, {"enable_gqa": True}):
        with pytest.raises(UsageError, match="no dropout, causal mask"):
            sliced.sliced_attention(q, q, q, **wrong)


def test_setting_a_kernel_twice_wraps_once(folder):
    family = load(folder, "sliced").to(CPU)
    layers = [m for m in family.denoiser.modules() if isinstance(m, attention.Attention)]
    assert layers
    for layer in layers:
        assert not isinstance(layer.processor.inner, attention.Within)


def test_a_kernel_that_lies_is_refused(monkeypatch):
    class Wrong(AttnProcessor):
        def __call__(self, *args, **kwargs):
            return super().__call__(*args, **kwargs) * 1.01

    monkeypatch.setitem(attention._PROCESSORS, "math", Wrong)
    with pytest.raises(SynthError, match="disagrees with SDPA"):
        attention.probe("math", device=CPU)


def test_unknown_kernel():
    with pytest.raises(UsageError, match="unknown attention kernel"):
        attention.probe("magic", device=CPU)


@no_cuda
def test_kernel_states_on_the_cpu():
    states = {name: (state, reason) for name, state, reason in attention.kernel_states()}
    assert set(states) == {"auto", "sdpa", "math", "sliced", "xformers"}
    assert states["sdpa"][0] == states["math"][0] == states["sliced"][0] == "ok"
    assert states["sliced"][1] == "aten::_softmax, in slices on cpu"
    assert states["xformers"][0] == "unavailable"


def test_probing_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    attention.probe("math", device=CPU)
    assert torch.equal(torch.random.get_rng_state(), before)


@no_cuda
def test_device_and_precision():
    assert select_device("auto").type in ("cpu", "mps")
    with pytest.raises(Unavailable, match="`cuda` was asked for and is not available"):
        select_device("cuda")
    with pytest.raises(UsageError, match="unknown device"):
        select_device("tpu")
    assert select_precision("auto", CPU) == "fp32"
    assert select_precision("bf16", CPU) == "bf16"


@pytest.fixture
def benchmark():
    path = Path(__file__).parents[2] / "benchmarks/attention.py"
    spec = importlib.util.spec_from_file_location("benchmark_attention", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@no_cuda
def test_the_benchmark_measures_a_tiny_model(benchmark, capsys):
    options = ["--size=tiny", "--kernels=sdpa,math,xformers", "--batches=1", "--steps=1"]
    assert benchmark.main([*options, "--compile=off"]) == 0
    rows = [line.split("|") for line in capsys.readouterr().out.splitlines() if "| o" in line]
    assert len(rows) == 3 * 2
    assert {len(row) for row in rows} == {10}
    for row in rows[:4]:
        assert float(row[6]) > 0
        assert float(row[8]) > 0
    assert float(rows[1][8]) < float(rows[0][8])  # checkpointing
    assert "is not available" in rows[4][6]


@no_cuda
def test_the_benchmark_says_what_it_needs(benchmark, capsys):
    assert benchmark.main([]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "needs a CUDA device" in line
