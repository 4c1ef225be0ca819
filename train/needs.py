"""What a run will take: memory on its device and bytes on its disks.

Memory is counted on fake tensors (``train.memory``), and disk follows from shapes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from sample.generate import DECODE_PIXELS
from synth.data.cache import encoded_at_once
from train.backoff import next_micro
from train.batches import Batch, conditioning_entry
from train.captions import variants
from train.examples import live_at_once, prompt_of
from train.memory import Cost, cost_of, fake, modules_of, tensors_of
from train.prospect import Prospect, example_batch, one_micro_batch

TEXTS = 64  # distinct prompts whose embeddings' shapes stand for all
STEP = "a micro-batch, forward and backward"
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Memory:
    """Bytes on the training device.

    Attributes:
        lasting: what is there all the time, by name: weights, gradients, optimiser, averages.
        passing: the peak of each piece of work on top, by name.
        flops: floating-point operations of an optimiser step.
        encode_flops: of encoding one image.
        decode_flops: of decoding one.
    """

    lasting: Mapping[str, int]
    passing: Mapping[str, int]
    flops: int
    encode_flops: int
    decode_flops: int

    @property
    def peak(self) -> int:
        """At its most; gradients and moments are counted during every piece of work."""
        return sum(self.lasting.values()) + max(self.passing.values())


def memory_of(prospect: Prospect) -> Memory:
    """Count what a run needs; see ``train.memory`` for what a device takes besides."""
    config, family, numbers = prospect.config, prospect.family, prospect.numbers
    present = tensors_of(modules_of(family))
    size, drawn = prospect.size, config.sample.batch
    images = encoded_at_once(size)
    if not config.train.cached:
        images = min(live_at_once(size), prospect.micro)
    decoded = max(1, min(DECODE_PIXELS // size**2, drawn))
    latents = (decoded, *family.latent_shape(size))

    def denoise(batch: Batch) -> None:
        family.denoise(batch.x0, batch.times, batch.cond)

    step = step_cost(prospect)
    with torch.no_grad():
        encoding = cost_of(
            family.encode_images, present, lambda: torch.zeros(images, 1, size, size)
        )
        denoising = cost_of(denoise, present, lambda: example_batch(prospect, CPU, images=drawn))
        decoding = cost_of(family.decode_latents, present, lambda: torch.zeros(latents))
    moment = 1 if config.train.optim.kind == "adamw8bit" else 4
    return Memory(
        lasting={
            "weights": sum(t.numel() * t.element_size() for t in present),
            "gradients": 4 * numbers,
            "optimiser": 2 * moment * numbers,
            "averages": 4 * (1 + len(config.train.ema.profiles)) * numbers,
        },
        passing={
            STEP: step.peak,
            "encoding images": encoding.peak,
            "previews, denoising": denoising.peak,
            "previews, decoding": decoding.peak,
        },
        flops=step.flops * prospect.micro_batches,
        encode_flops=encoding.flops // images,
        decode_flops=decoding.flops // decoded,
    )


def step_cost(prospect: Prospect) -> Cost:
    """What one micro-batch takes, forward and backward."""

    def step(batch: Batch) -> None:
        one_micro_batch(prospect, batch)

    present = tensors_of(modules_of(prospect.family))
    cost = cost_of(step, present, lambda: example_batch(prospect, CPU))
    for _, parameter in prospect.trainable:
        parameter.grad = None  # a fake one
    return cost


def fitting_micro_batch(prospect: Prospect, memory: Memory, room: float) -> int | None:
    """The micro-batch that back-off would end at; None where not even one image fits.

    Args:
        prospect: of the run.
        memory: that it needs.
        room: bytes there are.
    """
    micro, train = prospect.micro, prospect.config.train
    others = max(peak for name, peak in memory.passing.items() if name != STEP)
    lasting = sum(memory.lasting.values())
    while memory.peak > room:
        if micro == 1 or lasting + others > room:
            return None
        micro = next_micro(train.batch, micro)
        smaller = train.model_copy(update={"micro_batch": micro})
        config = prospect.config.model_copy(update={"train": smaller})
        peak = step_cost(replace(prospect, config=config)).peak
        memory = replace(memory, passing={**memory.passing, STEP: peak})
    return micro


def disk_of(prospect: Prospect) -> dict[str, tuple[Path, int]]:
    """Folder and bytes of everything that a whole run keeps at the same time, by name."""
    config, train, numbers = prospect.config, prospect.config.train, prospect.numbers
    out, profiles = config.run.out, len(train.ema.profiles)
    moment = 1 if train.optim.kind == "adamw8bit" else 4
    checkpoint = numbers * (4 * (2 + profiles) + 2 * moment)
    snapshots = math.ceil(train.steps / (train.ema.snapshot_every or train.checkpoint_every))
    pipeline = sum(t.numel() * t.element_size() for t in tensors_of(modules_of(prospect.family)))
    cache = train.cache or out / "cache"
    parts = {
        # one more than are kept: nothing older goes before the newer one verifies
        "checkpoints": (out / "checkpoints", checkpoint * (train.keep_checkpoints + 1)),
        "snapshots of averages": (out / "ema", profiles * snapshots * 2 * numbers),
        "exported pipeline": (out / "weights", pipeline),
        "cached images": (cache, latent_bytes(prospect)),
        "cached texts": (cache, text_bytes(prospect)),
        "synthetic images, at most": (
            config.sample.out or out / "synthetic",
            config.sample.count * prospect.size**2,
        ),
    }
    return {name: part for name, part in parts.items() if part[1]}


def latent_bytes(prospect: Prospect) -> int:
    """Mean and standard deviation of every distinct image's latents."""
    train = prospect.config.train
    if not train.cached:
        return 0
    rows = prospect.dataset.split("train", "val")
    distinct = len({row.sha256 or row.file_name for row in rows})
    numbers = 2 * math.prod(prospect.family.latent_shape(prospect.size))
    return distinct * numbers * (2 if train.cache_dtype == "fp16" else 4)


def text_bytes(prospect: Prospect) -> int:
    """Embeddings of every distinct wording, by the shapes of those of ``TEXTS`` prompts."""
    train, family = prospect.config.train, prospect.family
    if not train.cached or family.text_trains:
        return 0
    rows = prospect.dataset.split("train", "val")
    prompts = list(dict.fromkeys(prompt_of(row) for row in rows))
    looked_at = prompts[:: math.ceil(len(prompts) / TEXTS)]
    numbers = 0
    with torch.no_grad(), fake():
        null = conditioning_entry(family.null_conditioning(1))
        for prompt in looked_at:
            for wording in (prompt, *variants(prompt, train.caption_variants)):
                entry = conditioning_entry(family.encode_prompts([wording]))
                numbers += sum(tensor.numel() for tensor in entry.values())
    numbers = numbers * len(prompts) // len(looked_at) + sum(t.numel() for t in null.values())
    return numbers * (2 if train.cache_dtype == "fp16" else 4)
