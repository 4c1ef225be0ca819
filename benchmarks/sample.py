r"""Images per second and peak memory of the sampler, beside loops over diffusers' own pipeline.

    python benchmarks/sample.py --rounds 3

The peer is the ``StableDiffusionPipeline`` of the installed diffusers, as its documentation calls
it: loaded with ``from_pretrained`` without a safety checker, its scheduler replaced by
``DPMSolverMultistepScheduler`` with the Karras spacing, and then, one prompt at a time or a list of
``--batch`` prompts,

    pipeline(prompts, num_inference_steps=20, guidance_scale=3.0, latents=noise).images

with ``--threads`` threads. Ours, with the same weights, solver, steps, guidance and batch:

    ours      synth.generate, nothing written, the same threads
    dataset   synth sample: PNG files, rows, digests and checks, the same threads
    workers   synth sample --workers THREADS: the same files, a process for every thread
    interval  as ours, guided at relative times 0.1 to 0.8 only: other mathematics, so no bar

Every side starts from the same noise and makes ``--images`` images of ``--distinct`` texts in one
shuffled order; the images of the two are compared. Every measurement is a process of its own; sides
take turns; loading and the first batch of a process do not count, on any side; what ``workers``
make a second with the start of their processes in it is printed below the table. The one-at-a-time
loop makes fewer images (``--alone``): its speed does not depend on them. ``--memory 2000`` writes
that many images at 2 steps and shows what the process holds on the way.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

if Path(sys.path[0]).resolve() == Path(__file__).resolve().parent:
    del sys.path[0]  # or this file would be found under the name of the package that it measures

import numpy as np
import torch

BARS = {"batched": 1.5, "alone": 3.0}  # ours over each peer
SAME_WORK = ("ours", "dataset", "workers")
OURS = (*SAME_WORK, "interval")
INTERVAL = (0.1, 0.8)
FLAT = 1.05  # of memory held after a fifth of the images
SAME = {"fp32": 1, "bf16": 32}  # grey levels by which rounding may move a pixel
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Work:
    """What every side makes.

    Attributes:
        weights: ``builtin:NAME`` or a pipeline folder.
        images: how many.
        distinct: texts among them.
        batch: images at a time.
        steps: of the solver.
        guidance: weight of classifier-free guidance.
        alone: images that the one-at-a-time loop makes.
        precision: of the networks, on both sides.
        threads: of every side; or its processes.
    """

    weights: str = "builtin:tiny"
    images: int = 256
    distinct: int = 64
    batch: int = 16
    steps: int = 20
    guidance: float = 3.0
    alone: int = 32
    precision: str = "fp32"
    threads: int = 2

    @property
    def prompts(self) -> list[str]:
        """One text an image: all of them as often, in an order drawn once, as a plan has them."""
        findings = ("pleural effusion", "pneumothorax", "consolidation", "atelectasis")
        texts = [
            f"There is {degree} {side} {finding}. {heart}"
            for finding in findings
            for degree in ("small", "moderate", "large", "no")
            for side in ("left", "right")
            for heart in ("The heart is of normal size.", "The heart is enlarged.")
        ]
        if self.distinct > len(texts):
            raise SystemExit(f"at most {len(texts)} distinct texts")
        rows = [texts[i % self.distinct] for i in range(self.images)]
        random.Random(0).shuffle(rows)
        return rows


def say(text: str) -> None:
    """One line, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


# ------------------------------------------------------------------------------ the peer


def peer(work: Work, *, at_a_time: int) -> Callable[[int, int], list[Any]]:
    """The stock pipeline: images from one index to another, as it gives them."""
    from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

    from synth.families.weights import resolve_weights

    pipeline = StableDiffusionPipeline.from_pretrained(
        resolve_weights(work.weights), dtype=DTYPES[work.precision], safety_checker=None
    )
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(
        pipeline.scheduler.config, use_karras_sigmas=True
    )
    pipeline.set_progress_bar_config(disable=True)
    unet = pipeline.unet
    side, prompts = unet.config.sample_size, work.prompts
    latents = noise(range(work.images), (unet.config.in_channels, side, side))

    def make(start: int, stop: int) -> list[Any]:
        images: list[Any] = []
        for first in range(start, stop, at_a_time):
            chosen = slice(first, min(first + at_a_time, stop))
            images += pipeline(
                prompts[chosen],
                num_inference_steps=work.steps,
                guidance_scale=work.guidance,
                latents=latents[chosen].to(unet.dtype),
            ).images
        return images

    return make


def noise(seeds: Sequence[int], shape: tuple[int, ...]) -> torch.Tensor:
    """What ``sample.solve.initial_noise`` draws."""
    from synth.seeding import torch_generator

    return torch.stack([torch.randn(shape, generator=torch_generator("noise", s)) for s in seeds])


# ------------------------------------------------------------------------------ ours


def ours(work: Work, *, interval: tuple[float, float] = (0.0, 1.0)) -> Callable[[int, int], Any]:
    """``synth.generate``: images from one index to another, in batches."""
    import synth
    from synth.config.schema import ModelSection, SampleSection
    from synth.families import load_family

    model = ModelSection(weights=work.weights)
    family = load_family(model, device=torch.device("cpu"), dtype=DTYPES[work.precision])
    prompts = work.prompts
    settings = SampleSection(
        batch=work.batch, steps=work.steps, guidance=work.guidance, guidance_interval=interval
    )

    def make(start: int, stop: int) -> list[Any]:
        chosen, seeds = prompts[start:stop], range(start, stop)
        batches = synth.generate(family, chosen, seeds=seeds, settings=settings)
        return [image[0].numpy() for batch in batches for image in batch]

    return make


class Watch:
    """A ``Progress`` that notes when images were done, and what the process held then."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, float, float]] = []

    def stage(self, text: str) -> None:
        """Nothing to note."""

    def update(self, done: int, total: int, text: str = "") -> None:
        """Note the images done, the time and the memory held in MiB."""
        self.seen.append((done, time.perf_counter(), held_mib()))

    def note(self, text: str) -> None:
        """Nothing to note."""


def configuration(work: Work, folder: Path, **sample: Any) -> Any:
    """Of ``synth sample`` for the texts in their order."""
    from synth.config.schema import Config

    texts = folder / "texts.txt"
    texts.write_text("\n".join(work.prompts) + "\n", "utf-8")
    chosen = {
        "weights": work.weights,
        "count": work.images,
        "batch": work.batch,
        "steps": work.steps,
        "guidance": work.guidance,
        "precision": work.precision,
        "device": "cpu",
        "plan": {"kind": "prompts", "prompts": texts},
    }
    return Config.model_validate(
        {
            "run": {"out": folder / "run"},
            "data": {"dataset": make_real(folder / "real")},
            "sample": chosen | sample,
        }
    )


def write_dataset(work: Work, folder: Path) -> Watch:
    """``synth sample``: files, rows, digests and checks."""
    from sample.run import generate_dataset

    watch = Watch()
    generate_dataset(configuration(work, folder), watch)
    return watch


def write_with_workers(work: Work, folder: Path) -> dict[str, float]:
    """The same by one process a thread, each starting and loading the model for itself."""
    from sample.engines import generate_with_workers
    from sample.engines_local import LocalEngine

    shard = max(work.batch, work.images // (2 * work.threads))
    config = configuration(work, folder, workers=work.threads, shard=shard)
    made = generate_with_workers(config, LocalEngine(config))
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {
        "images_per_second": steady(made.out, first=work.threads * work.batch),
        "with_start": made.images_per_second,
        "peak_mib": work.threads * child,
    }


def steady(dataset: Path, *, first: int) -> float:
    """Images a second after the first ones, by the times at which their files were written."""
    written = sorted(path.stat().st_mtime_ns for path in dataset.glob("images/**/*.png"))
    if len(written) <= first:
        raise SystemExit(f"more than {first} images are needed: the first ones do not count")
    return (len(written) - first) / ((written[-1] - written[first - 1]) / 1e9)


def make_real(folder: Path) -> Path:
    """The dataset that a plan belongs to: a few phantoms."""
    from synth.data.phantom import write_cohort
    from synth.data.prepare import prepare

    write_cohort(folder / "cohort", patients=12, seed=0)
    prepare(folder / "cohort", folder / "dataset", size=128)
    return folder / "dataset"


# ------------------------------------------------------------------------------ measuring


def measure(side: str, work: Work, folder: Path) -> dict[str, float]:
    """One measurement in this process; the first images are kept in ``folder`` for comparison."""
    torch.set_num_threads(work.threads)
    if side == "workers":
        return write_with_workers(work, folder)
    if side == "dataset":
        seen = write_dataset(work, folder).seen
        (first, began, _), (last, ended, _) = seen[1], seen[-1]
        return _facts(last - first, ended - began)
    makers: dict[str, Callable[[], Callable[[int, int], Any]]] = {
        "batched": lambda: peer(work, at_a_time=work.batch),
        "alone": lambda: peer(work, at_a_time=1),
        "ours": lambda: ours(work),
        "interval": lambda: ours(work, interval=INTERVAL),
    }
    make = makers[side]()
    count = min(work.alone, work.images) if side == "alone" else work.images
    make(0, 1 if side == "alone" else work.batch)
    start = time.perf_counter()
    images = make(0, count)
    seconds = time.perf_counter() - start
    np.save(folder / f"{side}.npy", np.stack([np.asarray(i) for i in images[: work.batch]]))
    return _facts(count, seconds)


def _facts(images: int, seconds: float) -> dict[str, float]:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"images_per_second": images / seconds, "peak_mib": peak}


def held_mib() -> float:
    """Memory that the process holds now, where Linux says it; else the most it ever held."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return pages * resource.getpagesize() / 2**20


def measured_apart(side: str, work: Work, folder: Path) -> dict[str, float]:
    """The same in a process of its own; a dataset goes into a folder of its own."""
    with tempfile.TemporaryDirectory(dir=folder) as own:
        place = own if side in ("dataset", "workers") else str(folder)
        command = [sys.executable, __file__, "--side", side, "--folder", place]
        command += ["--work", json.dumps(asdict(work))]
        env = {name: value for name, value in os.environ.items() if name not in THREADS}
        if side != "workers":  # which give each of their processes its share of the cores
            env |= dict.fromkeys(THREADS, str(work.threads))
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=env)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def difference(folder: Path) -> int:
    """Grey levels between our first images and the batched peer's, at most."""
    mine, stock = (np.load(folder / f"{side}.npy").astype(int) for side in ("ours", "batched"))
    return int(np.abs(mine - stock.reshape(mine.shape)).max())


def compare(work: Work, folder: Path, rounds: int) -> dict[str, dict[str, float]]:
    """Sides in turns; medians over rounds, and the largest memory."""
    found: dict[str, list[dict[str, float]]] = {side: [] for side in (*BARS, *OURS)}
    for number in range(rounds):
        for side, results in found.items():
            results.append(measured_apart(side, work, folder))
            say(f"round {number + 1}, {side}: {results[-1]['images_per_second']:.2f} images/s")
    return {
        side: {
            **{
                key: statistics.median(r[key] for r in results)
                for key in ("images_per_second", "with_start")
                if key in results[0]
            },
            "peak_mib": max(r["peak_mib"] for r in results),
        }
        for side, results in found.items()
    }


def report(summary: dict[str, dict[str, float]], apart: int, precision: str = "fp32") -> int:
    """The table; 0 if a setting of ours that makes the same images holds every bar."""
    say(f"\n{'':10}{'images/s':>10}{'over batched':>14}{'over alone':>12}{'MiB':>8}  bars")
    same, holding, started = apart <= SAME[precision], False, 0.0
    for side, facts in summary.items():
        speed = facts["images_per_second"]
        ratios = {peer: speed / summary[peer]["images_per_second"] for peer in BARS}
        held = all(ratios[peer] >= bar for peer, bar in BARS.items())
        words = [f"{peer} {'yes' if ratios[peer] >= bar else 'no'}" for peer, bar in BARS.items()]
        holding |= side in SAME_WORK and held
        say(
            f"{side:10}{speed:10.2f}{ratios['batched']:14.2f}{ratios['alone']:12.2f}"
            f"{facts['peak_mib']:8.0f}  {', '.join(words) if side in SAME_WORK else ''}"
        )
        if "with_start" in facts:
            started = facts["with_start"]
    if started:
        say(f"workers with the start of their processes: {started:.2f} images/s")
    say(f"bars: {', '.join(f'{bar:g} x {peer}' for peer, bar in BARS.items())}")
    say(f"our images and the batched peer's: {apart} grey levels apart at most")
    return 0 if same and holding else 1


def memory(work: Work, folder: Path) -> int:
    """Write a large dataset and show what the process holds after every fifth of it."""
    torch.set_num_threads(work.threads)
    images, seen = work.images, write_dataset(work, folder).seen
    fifths = [images * part // 5 for part in range(1, 6)]
    held = [next(mib for done, _, mib in seen if done >= fifth) for fifth in fifths]
    for fifth, mib in zip(fifths, held, strict=True):
        say(f"held after {fifth} images: {mib:.0f} MiB")
    late = max(mib for done, _, mib in seen if done >= fifths[0])
    say(f"from the first fifth on at most {late / held[0]:.2f} times as much; bar: {FLAT}")
    return 0 if late <= held[0] * FLAT else 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, watch memory, or take one measurement."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, kind in (("weights", str), ("guidance", float)):
        parser.add_argument(f"--{name}", type=kind, default=getattr(Work, name))
    for name in ("images", "distinct", "batch", "steps", "alone", "threads"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Work, name))
    parser.add_argument("--precision", choices=tuple(DTYPES), default=Work.precision)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", type=int, metavar="IMAGES", help="watch memory instead")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--side", choices=(*BARS, *OURS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.side:
        say(json.dumps(measure(given.side, Work(**json.loads(given.work)), given.folder)))
        return 0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        work = Work(**{field.name: getattr(given, field.name) for field in fields(Work)})
        if given.memory:
            return memory(replace(work, images=given.memory, steps=2), folder)
        say(_versions(work))
        summary = compare(work, folder, given.rounds)
        apart = difference(folder)
    if given.json:
        given.json.write_text(json.dumps({**summary, "apart": apart}, indent=2) + "\n")
    return report(summary, apart, work.precision)


def _versions(work: Work) -> str:
    from diffusers import __version__

    made = f"{work.images} images of {work.distinct} texts, {work.precision}"
    return f"diffusers {__version__}, torch {torch.__version__}; {made}, {work.threads} threads"


if __name__ == "__main__":
    sys.exit(main())
