"""Time and peak memory of one training step for each attention kernel.

    python benchmarks/attention.py                     SD 2.1's UNet at 512 pixels, a CUDA device
    python benchmarks/attention.py --size tiny         a small UNet on the CPU, to see that it runs

A step is what a fine-tune of all weights does: forward and backward of the denoiser (bf16 autocast
on CUDA) with random weights and inputs, clipping, AdamW, zeroed gradients. Text and images come out
of caches in a real run and are left out. Time is the median over steps after warm-up; memory is the
allocator's own peak, weights and optimiser included (on the CPU: the bytes of live tensors).
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from synth.errors import SynthError
from synth.families.attention import Kernel, use_attention
from train.backoff import is_out_of_memory
from train.memory import Storages

UNETS: dict[str, dict[str, Any]] = {
    "sd21": {  # stabilityai/stable-diffusion-2-1-base, unet/config.json
        "sample_size": 64,
        "block_out_channels": (320, 640, 1280, 1280),
        "attention_head_dim": (5, 10, 20, 20),
        "cross_attention_dim": 1024,
        "use_linear_projection": True,
    },
    "tiny": {
        "sample_size": 16,
        "block_out_channels": (32, 64),
        "attention_head_dim": (2, 4),
        "cross_attention_dim": 32,
        "layers_per_block": 1,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "norm_num_groups": 8,
        "use_linear_projection": True,
    },
}
TOKENS = 77
KERNELS = ("sdpa", "math", "sliced", "xformers")
WARM_UP = 3


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    kernel: str
    batch: int
    checkpointing: bool
    compiled: bool


@dataclass(frozen=True)
class Result:
    """What a case took, or why there is nothing.

    Attributes:
        ran: the attention operator that the probe saw.
        seconds: of a step.
        peak: bytes.
        problem: in place of numbers.
    """

    ran: str = ""
    seconds: float = 0.0
    peak: int = 0
    problem: str = ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every case and print a Markdown table; 2 where a CUDA device is needed and missing."""
    options = _options(arguments)
    if options.size == "sd21" and not torch.cuda.is_available():
        sys.stderr.write(
            "benchmarks/attention.py needs a CUDA device for SD 2.1 at 512 pixels; "
            "--size tiny runs on the CPU\n"
        )
        return 2
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    print(f"UNet {options.size}, {8 * UNETS[options.size]['sample_size']} px, {name}, "
          f"torch {torch.__version__}, median of {options.steps} steps\n")  # fmt: skip
    print("| kernel | ran | batch | checkpointing | compile | s/step | images/s | peak MiB |")
    print("|---|---|---:|---|---|---:|---:|---:|")
    for case in _cases(options):
        print(_line(case, measure(case, options.size, options.steps, device)), flush=True)
    return 0


def measure(case: Case, size: str, steps: int, device: torch.device) -> Result:
    """Time and peak of one case; what is not there or does not fit is said, not raised."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    try:
        with Storages() if device.type == "cpu" and not case.compiled else nullcontext() as seen:
            step, kernel = _prepare(case, size, device)
            seconds = _median(step, steps, device)
    except SynthError as error:
        return Result(problem=f"{error.problem}: {error.got}" if error.got else error.problem)
    except RuntimeError as error:  # torch.compile's errors are some, too
        problem = "out of memory" if is_out_of_memory(error) else str(error).splitlines()[0]
        return Result(problem=problem)
    finally:
        torch._dynamo.reset()
    peak = torch.cuda.max_memory_allocated() if device.type == "cuda" else 0
    return Result(kernel.ran, seconds, seen.peak if seen is not None else peak)


def _prepare(case: Case, size: str, device: torch.device) -> tuple[Callable[[], None], Kernel]:
    """A whole training step to call, on a fresh model."""
    config = UNETS[size]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        unet: Any = UNet2DConditionModel(**config)
    unet.eval().requires_grad_(True).to(device)
    kernel = use_attention(unet, case.kernel, device=device)
    if case.checkpointing:
        unet.enable_gradient_checkpointing()
    optimizer = torch.optim.AdamW(unet.parameters(), lr=1e-5, fused=True)
    x, times, tokens, target = _inputs(case.batch, config, device)
    run: Any = torch.compile(unet) if case.compiled else unet
    precision = _precision(device)

    def step() -> None:
        with precision():
            output = run(x, times, encoder_hidden_states=tokens, return_dict=False)[0]
        (output.float() - target).square().mean().backward()
        nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step, kernel


def _inputs(batch: int, config: dict[str, Any], device: torch.device) -> tuple[Tensor, ...]:
    side, width = config["sample_size"], config["cross_attention_dim"]
    generator = torch.Generator().manual_seed(0)
    x, target = torch.randn(2, batch, 4, side, side, generator=generator).unbind()
    tokens = torch.randn(batch, TOKENS, width, generator=generator)
    times = torch.linspace(0, 999, batch).long()
    return x.to(device), times.to(device), tokens.to(device), target.to(device)


def _precision(device: torch.device) -> Callable[[], AbstractContextManager[Any]]:
    if device.type == "cuda":
        return lambda: torch.autocast("cuda", torch.bfloat16)
    return nullcontext


def _median(step: Callable[[], None], steps: int, device: torch.device) -> float:
    times = []
    for index in range(WARM_UP + steps):
        started = time.perf_counter()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        if index >= WARM_UP:
            times.append(time.perf_counter() - started)
    return statistics.median(times)


def _cases(options: argparse.Namespace) -> Iterator[Case]:
    compiled = {"both": (False, True), "on": (True,), "off": (False,)}[options.compile]
    for kernel, batch, checkpointing, compile_it in product(
        options.kernels, options.batches, (False, True), compiled
    ):
        yield Case(kernel, batch, checkpointing, compile_it)


def _line(case: Case, result: Result) -> str:
    switches = f"{_word(case.checkpointing)} | {_word(case.compiled)}"
    head = f"| {case.kernel} | {result.ran or '–'} | {case.batch} | {switches} |"
    if result.problem:
        return f"{head} {result.problem} | | |"
    speed = case.batch / result.seconds
    return f"{head} {result.seconds:.3f} | {speed:.1f} | {result.peak / 2**20:.0f} |"


def _word(switch: bool) -> str:
    return "on" if switch else "off"


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", choices=sorted(UNETS), default="sd21")
    parser.add_argument("--kernels", type=lambda s: s.split(","), default=list(KERNELS))
    parser.add_argument(
        "--batches", type=lambda s: [int(n) for n in s.split(",")], default=[1, 8, 32]
    )
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--compile", choices=("on", "off", "both"), default="both")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
