"""What a fine-tune will take and see, before it is begun.

The model is loaded, nothing is trained, and one picture is all that stays.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from synth.config.schema import Config
from synth.errors import SynthError
from synth.families.device import select_device
from synth.images import load_images_u8, to_image_u8, to_pixels
from synth.manifest import open_dataset
from synth.progress import Progress
from train.duration import CPU_FLOPS, Duration, duration_of
from train.examples import prompt_of
from train.memory import free_memory, modules_of, tensors_of
from train.needs import Memory, disk_of, fitting_micro_batch, memory_of
from train.pairs import Pair, first_pairs
from train.picture import write_sheet
from train.prospect import Prospect, open_prospect, parameter_groups, precision_of

MARGIN = 1.15  # over the counted bytes: workspaces of libraries, gaps between blocks
TEXTS = 2000  # prompts that are looked at for what does not fit


@dataclass(frozen=True)
class Cut:
    """Prompts that do not fit.

    Attributes:
        looked_at: distinct prompts that were counted.
        prompts: of them, those that are cut.
        tokens: cut from them.
    """

    looked_at: int
    prompts: int
    tokens: int


@dataclass(frozen=True)
class Outlook:
    """What is known of a run before it begins.

    Attributes:
        parameters: trainable numbers by group, largest first.
        all_parameters: numbers of all networks.
        memory: that it needs.
        memory_free: bytes free on its device now; None where that is not here or cannot be told.
        micro_batch: of the configuration.
        fitting: the micro-batch that fits; None where not even one image does.
        precision: it computes in.
        kernel: of attention, as it ran.
        disk: folder and bytes by what is written.
        duration: of a step and of the whole.
        cut: texts that do not fit.
        pairs: the first it will see.
        sheet: their picture.
    """

    parameters: dict[str, int]
    all_parameters: int
    memory: Memory
    memory_free: int | None
    micro_batch: int
    fitting: int | None
    precision: str
    kernel: str
    disk: dict[str, tuple[Path, int]]
    duration: Duration
    cut: Cut
    pairs: list[Pair]
    sheet: Path

    def to_json(self) -> dict[str, Any]:
        """Plain values, bytes and seconds."""
        disk = {name: {"folder": str(f), "bytes": n} for name, (f, n) in self.disk.items()}
        names = ("text", "cut", "findings", "conditions", "wordings")
        pairs = [
            {"sample_id": pair.row.sample_id} | {name: getattr(pair, name) for name in names}
            for pair in self.pairs
        ]
        return {
            "trainable_parameters": sum(self.parameters.values()),
            "all_parameters": self.all_parameters,
            "trainable_by_group": self.parameters,
            "memory": {**asdict(self.memory), "peak": self.memory.peak, "free": self.memory_free},
            "micro_batch": {"asked": self.micro_batch, "fits": self.fitting},
            "precision": self.precision,
            "kernel": self.kernel,
            "disk": disk,
            "seconds": {**asdict(self.duration), "total": self.duration.total},
            "cut": asdict(self.cut),
            "pairs": pairs,
            "sheet": str(self.sheet),
        }


def look_ahead(config: Config, progress: Progress, *, sheet: Path | None = None) -> Outlook:
    """Load the model and find out what a run of this configuration takes and sees.

    Args:
        config: of the run.
        progress: told what is being done.
        sheet: where the picture of the pairs goes; ``<run.out>/check.png`` by default.

    Raises:
        SynthError: the weights or an image are unusable, or the picture cannot be written.
    """
    device = _device(config)
    free = None if device is None else free_memory(device)  # before the model is loaded here
    progress.stage("loading the model")
    prospect = open_prospect(config, open_dataset(config.data.dataset))
    prospect.family.latent_shape(prospect.size)  # an impossible size fails here
    progress.stage("counting memory and disk")
    memory, disk = memory_of(prospect), disk_of(prospect)
    room = math.inf if free is None else free / MARGIN
    fitting = fitting_micro_batch(prospect, memory, room)
    progress.stage("looking at training pairs")
    pairs, cut = first_pairs(config, prospect.dataset, prospect.family), _cut(prospect)
    path = sheet or config.run.out / "check.png"
    _draw(prospect, memory, pairs, path)
    progress.stage("measuring a step")
    kernel, present = prospect.family.kernel, tensors_of(modules_of(prospect.family))
    duration = duration_of(prospect, memory, device if memory.peak <= room else None)
    return Outlook(
        parameters=parameter_groups(prospect),
        all_parameters=sum(tensor.numel() for tensor in present),
        memory=memory,
        memory_free=free,
        micro_batch=prospect.micro,
        fitting=fitting,
        precision=precision_of(config),
        kernel=kernel,
        disk=disk,
        duration=duration,
        cut=cut,
        pairs=pairs,
        sheet=path,
    )


def _device(config: Config) -> torch.device | None:
    try:
        return select_device(config.train.device)
    except SynthError:  # said by another check
        return None


def _cut(prospect: Prospect) -> Cut:
    rows = prospect.dataset.split("train", "val")
    prompts = list(dict.fromkeys(prompt_of(row) for row in rows))
    looked_at = prompts[:: math.ceil(len(prompts) / TEXTS)]
    cut = [tokens for tokens in prospect.family.truncated(looked_at) if tokens]
    return Cut(len(looked_at), len(cut), sum(cut))


def _draw(prospect: Prospect, memory: Memory, pairs: list[Pair], path: Path) -> None:
    """The pairs' images, and what the latents keep of them where that is quickly computed."""
    paths = [prospect.dataset.path(pair.row) for pair in pairs]
    image_u8 = load_images_u8(paths, prospect.size)
    flops = (memory.encode_flops + memory.decode_flops) * len(pairs)
    decoded = _decoded(prospect, image_u8) if flops < 5 * CPU_FLOPS else None
    try:
        write_sheet(path, pairs, image_u8[:, 0].numpy(), decoded)
    except OSError as error:
        raise SynthError(
            "the picture of the training pairs cannot be written",
            where=path,
            got=error.strerror or str(error),
            fix="Name another place with --sheet.",
        ) from None


def _decoded(prospect: Prospect, image_u8: torch.Tensor) -> NDArray[np.uint8]:
    """Encoded and decoded again."""
    latents = prospect.family.encode_images(to_pixels(image_u8)).mean
    return to_image_u8(prospect.family.decode_latents(latents))[:, 0].numpy()
