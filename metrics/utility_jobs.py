"""Run the trainings of an evaluation, side by side where that pays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Protocol, TypeVar

from metrics.utility_arms import Arm
from synth.cores import usable_cores
from synth.progress import Progress

J = TypeVar("J", bound="OfArm")
R = TypeVar("R")
_WORTH_PROCESSES = 10_000  # images shown in all, about as long as starting the processes


class OfArm(Protocol):
    """A job, as far as it must be known to sort its result."""

    @property
    def arm(self) -> Arm:
        """What it trains."""


def by_arm(
    jobs: Sequence[J], done: Iterable[R], *, progress: Progress, what: str
) -> dict[str, list[R]]:
    """Results by the arms' names, in the order of the jobs.

    Args:
        jobs: what is trained.
        done: each job's result, as it comes.
        progress: told of every one.
        what: is trained, in words.
    """
    found: dict[str, list[R]] = {job.arm.name: [] for job in jobs}
    for count, (job, result) in enumerate(zip(jobs, done, strict=True), 1):
        found[job.arm.name].append(result)
        progress.update(count, len(jobs), f"{what} on {job.arm.name}")
    return found


def results(run: Callable[[J], R], jobs: Sequence[J], *, shown: int, on_cpu: bool) -> Iterator[R]:
    """Each job's result, in order.

    On the CPU there is one job a core, each with one thread of its own: the same bits on any
    machine. On an accelerator the jobs follow one another in this process.

    Args:
        run: trains one; a function of a module, so that another process finds it.
        jobs: what to train.
        shown: images that all jobs together are shown: few are not worth other processes.
        on_cpu: whether the jobs may run in other processes.
    """
    workers = min(len(jobs), usable_cores())
    if not on_cpu or workers <= 1 or shown < _WORTH_PROCESSES:
        yield from map(run, jobs)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(run, jobs)
