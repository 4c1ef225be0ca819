"""A configuration's model, loaded to be looked at: what trains, and one micro-batch of the run."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from synth.config.schema import Config
from synth.families import load_family
from synth.families.base import Conditioning, Family
from synth.families.device import select_precision
from synth.manifest import Dataset
from synth.seeding import torch_generator
from train.batches import Batch
from train.examples import prompt_of
from train.loop import batch_loss

_KINDS = {  # part of a parameter's name: kind of layer
    "attn": "attention",
    ".ff": "feed-forward",
    "mlp": "feed-forward",
    "resnets": "convolutions",
}


@dataclass(frozen=True)
class Prospect:
    """A run that has not begun.

    Attributes:
        config: of the run.
        dataset: it trains on.
        family: the model on the CPU, its adapter added.
        trainable: as ``family.trainable`` gives them.
    """

    config: Config
    dataset: Dataset
    family: Family
    trainable: list[tuple[str, nn.Parameter]]

    @property
    def size(self) -> int:
        """Image side in pixels."""
        return self.config.data.size or self.family.size

    @property
    def micro(self) -> int:
        """Images a forward pass."""
        return self.config.train.micro_batch or self.config.train.batch

    @property
    def micro_batches(self) -> int:
        """Forward passes an optimiser step."""
        return self.config.train.batch // self.micro

    @property
    def numbers(self) -> int:
        """Trainable numbers."""
        return sum(parameter.numel() for _, parameter in self.trainable)


def open_prospect(config: Config, dataset: Dataset) -> Prospect:
    """Load the model on the CPU, whatever device it will train on.

    Raises:
        SynthError: the weights are unusable, or no layer is called as ``model.targets`` says.
    """
    model = config.model
    if model.attention == "xformers":  # CUDA only; it takes the memory that SDPA takes
        model = model.model_copy(update={"attention": "auto"})
    family = load_family(model, device=torch.device("cpu"), dtype=torch.float32)
    return Prospect(config, dataset, family, family.trainable())


def precision_of(config: Config) -> str:
    """``fp32``, ``bf16`` or ``fp16`` on the device of the run, which need not be here."""
    train = config.train
    if train.precision != "auto":
        return train.precision
    if train.device == "cuda" and not torch.cuda.is_available():
        return "bf16"
    name = train.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return select_precision("auto", torch.device(name))


def parameter_groups(prospect: Prospect) -> dict[str, int]:
    """Trainable numbers by network and kind of layer, largest first."""
    denoiser = "unet" if "UNet" in type(prospect.family.denoiser).__name__ else "transformer"
    counts: Counter[str] = Counter()
    for name, parameter in prospect.trainable:
        counts[_group(name, denoiser)] += parameter.numel()
    return dict(counts.most_common())


def _group(name: str, denoiser: str) -> str:
    first = name.split(".")[0]
    if first == "conditions":
        return "conditions beside the text"
    network = first if first.startswith("text_encoder") else denoiser
    kind = next((kind for part, kind in _KINDS.items() if part in name), "other layers")
    return f"{network} {kind}{' LoRA' if '.lora_' in name else ''}"


def example_batch(prospect: Prospect, device: torch.device, *, images: int | None = None) -> Batch:
    """A micro-batch of the run's shapes, or of so many images, with its longest text each."""
    family, n = prospect.family, images or prospect.micro
    generator = torch_generator("example-batch")
    shape = (2, n, *family.latent_shape(prospect.size))
    x0, noise = torch.randn(shape, generator=generator).unbind()
    times = torch.linspace(0.05, 0.95, n, dtype=torch.float64)
    with torch.no_grad():
        cond = family.encode_prompts([_longest(prospect)]).index([0] * n)
    conditions = len(prospect.config.model.conditions)
    facts = torch.zeros(n, conditions, dtype=torch.int64) if conditions else None
    return Batch(
        x0=x0.to(device),
        noise=noise.to(device),
        times=family.process.sample_times(times).to(device),
        cond=replace(cond, facts=facts).to(device),
    )


def one_micro_batch(prospect: Prospect, batch: Batch) -> Tensor:
    """Gradients of a micro-batch as in a step of the run, in its precision; returns the loss."""
    family, train = prospect.family, prospect.config.train
    if family.text_trains:  # encoded one by one, as the run does
        text = _longest(prospect)
        rows = [family.encode_prompts([text]) for _ in range(len(batch.x0))]
        batch = replace(batch, cond=replace(Conditioning.cat(rows), facts=batch.cond.facts))
    precision = precision_of(prospect.config)
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    with torch.autocast(batch.x0.device.type, dtype, enabled=dtype is not None):
        loss = batch_loss(family, batch, train.min_snr_gamma).sum() / train.batch
    loss.backward()
    return loss.detach()


def _longest(prospect: Prospect) -> str:
    return max((prompt_of(row) for row in prospect.dataset.split("train")), key=len)
