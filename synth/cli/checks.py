"""The checks of ``synth check``: each says what it found, and one failure does not hide another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from synth.config import Config
from synth.errors import SynthError, Unavailable
from synth.progress import Progress

if TYPE_CHECKING:
    from train.check import Outlook


@dataclass(frozen=True)
class Check:
    """One thing looked at before a long run."""

    name: str
    ok: bool
    detail: str


def run_checks(config: Config) -> list[Check]:
    """Look at everything the configuration needs; run and write nothing."""
    named: tuple[tuple[str, Callable[[Config], str]], ...] = (
        ("dataset", _dataset),
        ("family", _family),
        ("weights", _weights),
        ("device", _device),
        ("attention", _attention),
        ("train", _train),
        ("plan", _plan),
        ("run folder", _run_folder),
    )
    return [_run(name, check, config) for name, check in named]


def look(
    config: Config, progress: Progress, sheet: Path | None
) -> tuple[Outlook | None, list[Check]]:
    """Load the model and look ahead; what kept from it in place of an outlook."""
    from synth.cores import use_all_cores
    from train.check import look_ahead

    use_all_cores()
    try:
        return look_ahead(config, progress, sheet=sheet), []
    except SynthError as error:
        return None, [Check("outlook", False, error.render())]


def _run(name: str, check: Callable[[Config], str], config: Config) -> Check:
    try:
        return Check(name, True, check(config))
    except SynthError as error:
        return Check(name, False, error.render())


def _dataset(config: Config) -> str:
    from synth.manifest import open_dataset

    dataset = open_dataset(config.data.dataset)
    counts = ", ".join(f"{len(dataset.split(name))} {name}" for name in ("train", "val", "test"))
    if not dataset.split("train"):
        raise SynthError("no image in the training split", where=config.data.dataset, got=counts)
    return f"{config.data.dataset}: {counts}; {len(dataset.findings)} findings"


def _family(config: Config) -> str:
    from synth.families import FAMILIES

    if config.model.family != "auto":
        FAMILIES.get(config.model.family)
    adapter = config.model.adapter
    detail = f"LoRA rank {config.model.rank}" if adapter == "lora" else "all weights train"
    return f"{config.model.family}, {detail}"


def _weights(config: Config) -> str:
    from synth.families.weights import resolve_weights

    return str(resolve_weights(config.model.weights))


def _device(config: Config) -> str:
    from synth.families.device import select_device

    names = {"train": config.train.device, "sample": config.sample.device}
    names["metrics"] = config.metrics.device
    return ", ".join(f"{verb} on {select_device(name)}" for verb, name in names.items())


def _attention(config: Config) -> str:
    from synth.families.attention import kernel_states

    wanted = config.model.attention
    for name, state, reason in kernel_states():
        if name == wanted:
            if state != "ok":
                raise Unavailable(f"attention kernel `{name}` is {state}", got=reason)
            return f"{name}: {reason}"
    raise Unavailable("attention kernel is not known here", got=wanted)


def _train(config: Config) -> str:
    from synth.manifest import open_dataset

    train = config.train
    images = train.steps * train.batch
    rows = len(open_dataset(config.data.dataset).split("train"))
    passes = f", {images / rows:.1f} times each of {rows}" if rows else ""
    micro = f" in micro-batches of {train.micro_batch}" if train.micro_batch else ""
    return f"{train.steps} steps of {train.batch}{micro} = {images} images{passes}"


def _plan(config: Config) -> str:
    from sample.plan import make_plan
    from synth.manifest import open_dataset

    plan = make_plan(config, open_dataset(config.data.dataset))
    raised = ", ".join(f"{c.finding} {c.real} → {c.total}" for c in plan.table()[:3])
    return f"{len(plan.rows)} images, {config.sample.plan.kind}; {raised}"


def _run_folder(config: Config) -> str:
    return f"{config.run.out} ({'; '.join(_run_state(config))})"


def _run_state(config: Config) -> Iterator[str]:
    out = config.run.out
    if not out.exists():
        yield "new"
        return
    if not out.is_dir():
        raise SynthError("run.out is a file", where=out)
    if (out / "weights").is_dir():
        yield "finished: has weights"
    else:
        yield "exists: would resume" if (out / "config.yaml").is_file() else "new"
