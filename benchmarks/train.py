r"""Images per second and peak memory of a full fine-tune, beside diffusers' own training loop.

    python benchmarks/train.py --rounds 3

The peer is the loop of diffusers' ``examples/text_to_image/train_text_to_image.py``, which is not
part of the package: it is written out below from the public parts that it calls, in its order and
with its defaults (a DataLoader that decodes and tokenizes every image every time; autoencoder and
text encoder in every step; accelerate, AdamW, clipping at 1, constant rate, no EMA), as run by

    accelerate launch train_text_to_image.py --pretrained_model_name_or_path=base \
        --train_data_dir=dataset --resolution=128 --train_batch_size=16 --learning_rate=1e-4 \
        --lr_scheduler=constant --max_grad_norm=1

Its torchvision transforms (resize, crop, normalize) are the same operations in Pillow and numpy.
The model is ``builtin:tiny`` with the autoencoder that every Stable Diffusion 1 and 2 has (83.7 M
parameters, random here: speed does not depend on them); ``--autoencoder builtin`` keeps its own,
of 1.1 M, which leaves little to cache. Both sides train all weights of the UNet on the same images
in float32. Every measurement is a process of its own; sides take turns; the first steps do not
count. The cached side's one-time cost is shown beside what it saves in every epoch.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

if Path(sys.path[0]).resolve() == Path(__file__).resolve().parent:
    del sys.path[0]  # or this file would be found under the name of the package that it measures

import numpy as np
import torch
from accelerate import Accelerator
from diffusers import AutoencoderKL, DDPMScheduler, StableDiffusionPipeline, __version__
from diffusers.optimization import get_scheduler
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from synth import load_config
from synth.data.phantom import write_cohort
from synth.data.prepare import prepare
from synth.families.weights import resolve_weights
from synth.manifest import open_dataset
from train.examples import prompt_of
from train.run import fit

BATCH, RATE, SIZE, WARM = 16, 1e-4, 128, 2
BARS = {"cached": 4.0, "uncached": 1.0}


def say(text: str) -> None:
    """One line, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


# ------------------------------------------------------------------------------ the peer


class Pairs(Dataset[dict[str, Tensor]]):
    """Images and captions, decoded and tokenized every time, as ``with_transform`` does."""

    def __init__(self, folder: Path, tokenizer: Any, mode: str) -> None:
        dataset = open_dataset(folder)
        rows = dataset.split("train")
        self.items = [(dataset.path(row), prompt_of(row)) for row in rows]
        self.tokenizer, self.mode = tokenizer, mode

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        path, caption = self.items[index]
        image = Image.open(path).convert(self.mode)
        if min(image.size) != SIZE:
            image = image.resize((SIZE, SIZE), Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(image, dtype=np.float32) / 255.0)
        pixels = pixels.reshape(SIZE, SIZE, -1).permute(2, 0, 1)
        tokens = self.tokenizer(
            caption,
            max_length=self.tokenizer.model_max_length,
            padding="max_length",
            truncation=True,
            return_tensors="pt",
        )
        return {"pixel_values": (pixels - 0.5) / 0.5, "input_ids": tokens.input_ids[0]}


def peer_steps(folder: Path) -> Iterator[int]:
    """The loop of ``train_text_to_image.py``; yields the images of every optimiser step."""
    accelerator = Accelerator(gradient_accumulation_steps=1, cpu=True)
    pipeline = StableDiffusionPipeline.from_pretrained(
        folder / "base", dtype=torch.float32, safety_checker=None
    )
    noise_scheduler = DDPMScheduler.from_config(pipeline.scheduler.config)
    unet, vae, text_encoder = pipeline.unet, pipeline.vae, pipeline.text_encoder
    vae.requires_grad_(False)
    text_encoder.requires_grad_(False)
    unet.train()
    optimizer = torch.optim.AdamW(unet.parameters(), lr=RATE, weight_decay=1e-2, eps=1e-8)
    mode = "L" if vae.config.in_channels == 1 else "RGB"
    pairs = Pairs(folder / "dataset", pipeline.tokenizer, mode)
    loader = DataLoader(pairs, batch_size=BATCH, shuffle=True)
    lr_scheduler = get_scheduler("constant", optimizer=optimizer)
    unet, optimizer, loader, lr_scheduler = accelerator.prepare(
        unet, optimizer, loader, lr_scheduler
    )
    while True:
        for batch in loader:
            with accelerator.accumulate(unet):
                loss = _peer_loss(batch, unet, vae, text_encoder, noise_scheduler)
                accelerator.gather(loss.repeat(BATCH)).mean()
                accelerator.backward(loss)
                accelerator.clip_grad_norm_(unet.parameters(), 1.0)
                optimizer.step()
                lr_scheduler.step()
                optimizer.zero_grad()
            loss.detach().item()
            yield len(batch["input_ids"])  # the last batch of an epoch is smaller


def _peer_loss(
    batch: dict[str, Tensor], unet: Any, vae: Any, text_encoder: Any, noise_scheduler: Any
) -> Tensor:
    latents = vae.encode(batch["pixel_values"]).latent_dist.sample() * vae.config.scaling_factor
    noise = torch.randn_like(latents)
    count = noise_scheduler.config.num_train_timesteps
    timesteps = torch.randint(0, count, (len(latents),), device=latents.device).long()
    noisy = noise_scheduler.add_noise(latents, noise, timesteps)
    states = text_encoder(batch["input_ids"], return_dict=False)[0]
    target = noise
    if noise_scheduler.config.prediction_type == "v_prediction":
        target = noise_scheduler.get_velocity(latents, noise, timesteps)
    predicted = unet(noisy, timesteps, states, return_dict=False)[0]
    return torch.nn.functional.mse_loss(predicted.float(), target.float(), reduction="mean")


# ------------------------------------------------------------------------------ ours


def our_steps(folder: Path, *, cached: bool, steps: int) -> Iterator[int]:
    """``synth train`` of the same base; yields the images of every optimiser step."""
    overrides = [
        *(f"data.dataset={folder / 'dataset'}", f"data.size={SIZE}", "data.balance=0"),
        *(f"model.weights={folder / 'base'}", f"run.out={folder / f'run-{os.getpid()}'}"),
        *(f"train.steps={steps + 1}", f"train.batch={BATCH}", "train.precision=fp32"),
        *(f"train.cached={str(cached).lower()}", f"train.cache={folder / 'cache'}"),
        *("train.optim.schedule=constant", "train.optim.warmup_steps=0"),
        *(f"train.optim.learning_rate={RATE}", "train.validate_every=100000"),
        *("train.preview_every=null", "train.checkpoint_every=100000", "train.device=cpu"),
    ]
    config = load_config(Path(__file__).parents[1] / "configs/demo.yaml", overrides)
    for _ in fit(config):
        yield BATCH


# ------------------------------------------------------------------------------ measuring


def measure(side: str, folder: Path, steps: int) -> dict[str, float]:
    """One measurement in this process: images a second by clock and by processor, MiB at most."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    total = WARM + steps
    makers: dict[str, Callable[[], Iterator[int]]] = {
        "peer": lambda: peer_steps(folder),
        "cached": lambda: our_steps(folder, cached=True, steps=total),
        "uncached": lambda: our_steps(folder, cached=False, steps=total),
    }
    stream, began = makers[side](), time.perf_counter()
    next(stream)
    ready = time.perf_counter() - began
    for _ in range(WARM - 1):
        next(stream)
    start, processor = time.perf_counter(), time.process_time()
    images = sum(next(stream) for _ in range(steps))
    seconds, busy = time.perf_counter() - start, time.process_time() - processor
    return {
        "images_per_second": images / seconds,
        "images_per_processor_second": images / busy,
        "first_step_after": ready,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def measured_apart(side: str, folder: Path, steps: int) -> dict[str, float]:
    """The same in a process of its own."""
    command = [sys.executable, __file__, "--side", side, "--folder", str(folder)]
    done = subprocess.run(
        [*command, "--steps", str(steps)], check=True, capture_output=True, text=True
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def make_dataset(folder: Path, patients: int) -> int:
    """Phantoms, prepared; returns how many train."""
    write_cohort(folder / "cohort", patients=patients, seed=0)
    prepare(folder / "cohort", folder / "dataset", size=SIZE)
    return len(open_dataset(folder / "dataset").split("train"))


def make_base(folder: Path, autoencoder: str) -> None:
    """``builtin:tiny``, with the autoencoder asked for."""
    pipeline = StableDiffusionPipeline.from_pretrained(
        resolve_weights("builtin:tiny"), dtype=torch.float32, safety_checker=None
    )
    if autoencoder == "sd":
        pipeline.vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(128, 256, 512, 512),
            layers_per_block=2,
            sample_size=SIZE,
        )
    pipeline.save_pretrained(folder / "base")


def compare(folder: Path, steps: int, rounds: int) -> dict[str, dict[str, float]]:
    """Sides in turns; medians over rounds, and the largest memory."""
    found: dict[str, list[dict[str, float]]] = {side: [] for side in ("peer", *BARS)}
    first = measured_apart("cached", folder, 1)["first_step_after"]
    for number in range(rounds):
        for side, results in found.items():
            results.append(measured_apart(side, folder, steps))
            say(f"round {number + 1}, {side}: {results[-1]['images_per_second']:.1f} images/s")
    summary = {
        side: {
            name: (max if name == "peak_mib" else statistics.median)(r[name] for r in results)
            for name in results[0]
        }
        for side, results in found.items()
    }
    again = summary["cached"]["first_step_after"]
    summary["cached"]["caching_seconds"] = max(first - again, 0.0)
    return summary


def report(summary: dict[str, dict[str, float]], images: int) -> int:
    """The table and whether every bar holds; 0 if so."""
    peer = summary["peer"]
    say(f"\n{'':10}{'images/s':>10}{'ratio':>8}{'bar':>6}{'per CPU s':>11}{'ratio':>8}{'MiB':>8}")
    held = True
    for side, facts in summary.items():
        clock, busy = (
            facts[name] / peer[name]
            for name in ("images_per_second", "images_per_processor_second")
        )
        bar = BARS.get(side)
        held &= bar is None or (clock >= bar and facts["peak_mib"] <= peer["peak_mib"])
        say(
            f"{side:10}{facts['images_per_second']:10.1f}{clock:8.2f}{bar or '':>6}"
            f"{facts['images_per_processor_second']:11.1f}{busy:8.2f}{facts['peak_mib']:8.0f}"
        )
    spent = summary["cached"]["caching_seconds"]
    saved = images / peer["images_per_second"] - images / summary["cached"]["images_per_second"]
    say(f"caches of {images} images: {spent:.1f} s once, {saved:.1f} s saved an epoch")
    say("every bar holds" if held else "a bar does not hold")
    return 0 if held else 1


def main() -> int:
    """Compare, or take one measurement."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=6, help="that count, a measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--patients", type=int, default=60, help="of the phantom cohort")
    parser.add_argument("--autoencoder", choices=("sd", "builtin"), default="sd")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--side", choices=("peer", *BARS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        say(json.dumps(measure(arguments.side, arguments.folder, arguments.steps)))
        return 0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        images = make_dataset(folder, arguments.patients)
        make_base(folder, arguments.autoencoder)
        say(f"diffusers {__version__}, torch {torch.__version__}; {images} images of {SIZE} px")
        summary = compare(folder, arguments.steps, arguments.rounds)
    if arguments.json:
        arguments.json.write_text(json.dumps(summary, indent=2) + "\n")
    return report(summary, images)


if __name__ == "__main__":
    sys.exit(main())
