from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0
from torch.profiler import ProfilerActivity, profile

from synth.config.schema import ModelSection
from synth.errors import SynthError, Unavailable, UsageError
from synth.families import attention, load_family
from synth.families.device import select_device, select_precision

CPU = torch.device("cpu")
no_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")


def load(folder: Path, kernel: str):
    section = ModelSection(weights=str(folder), attention=kernel)
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
def test_xformers_on_the_cpu_is_unavailable(tiny_pipeline):
    with pytest.raises(Unavailable, match="no kernel with gradients for device `cpu`"):
        load(tiny_pipeline, "xformers")


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
    assert set(states) == {"auto", "sdpa", "math", "xformers"}
    assert states["sdpa"][0] == states["math"][0] == "ok"
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
