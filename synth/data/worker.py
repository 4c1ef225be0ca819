"""The child's side of :mod:`synth.data.pool`: a loop that works on one item after another.

A worker is a bare interpreter that imports what its work needs and nothing else: the parent's main
module, and torch, stay out. Tasks come in through standard input and answers leave through what
was standard output, both as pickles. The end of the input, which is also what the parent's death
looks like, ends the worker.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

NO_MEMORY = 117  # exit code; a decoder that calls exit() uses small ones
_KEPT_FRAMES = 3


@dataclass(frozen=True)
class DecodeBudget:
    """What one file may cost.

    Where Python has no ``resource`` module or interval timers (Windows), only the wall limit holds;
    macOS ignores the memory limit.

    Attributes:
        cpu_seconds: processor time for one file, all threads of the worker together.
        wall_seconds: time for one file by the clock.
        memory_bytes: address space of a worker, libraries included.
        files_per_worker: files after which a worker is replaced by a fresh one.
    """

    cpu_seconds: float = 30.0
    wall_seconds: float = 60.0
    memory_bytes: int = 4 << 30
    files_per_worker: int = 500


def serve() -> None:
    """Answer tasks until there are no more; the parent runs this in a new interpreter."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    tasks = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)  # what a C library prints is not an answer
    work, budget = pickle.load(tasks)
    os.dup2(nowhere, 2)  # nor is it news: decoders complain about every odd file
    _limit_memory(budget.memory_bytes)
    pickle.dump(None, answers)
    answers.flush()
    with suppress(EOFError, BrokenPipeError):  # the parent is done, or gone
        while True:
            item = pickle.load(tasks)
            with _limited_time(budget):
                answer = _answer(work, item)
            answers.write(answer)
            answers.flush()


def _answer(work: Any, item: Any) -> bytes:
    """The value and no complaint, or no value and where it went wrong."""
    try:
        return pickle.dumps((work(item), ""), pickle.HIGHEST_PROTOCOL)
    except MemoryError:  # whatever else was going on in here has lost memory too: start afresh
        os._exit(NO_MEMORY)
    # One file must not end a run of thousands, whatever a bug in here makes of it
    except Exception as error:  # noqa: BLE001
        return pickle.dumps((None, _trace(error)))


def _trace(error: Exception) -> str:
    """Class and places of an error; its message stays here, it may quote the file."""
    places = []
    step = error.__traceback__
    while step is not None:
        name = step.tb_frame.f_globals.get("__name__", "?")
        places.append(f"{name}:{step.tb_lineno}")
        step = step.tb_next
    return f"{type(error).__name__} at {' > '.join(places[-_KEPT_FRAMES:])}"


def _limit_memory(most: int) -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    with suppress(ValueError, OSError):  # macOS takes the call and refuses the value
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        if soft == resource.RLIM_INFINITY or most < soft:
            resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold a patient's image


@contextmanager
def _limited_time(budget: DecodeBudget) -> Iterator[None]:
    """Let the kernel end this process by SIGPROF or SIGALRM once a file has used up its time.

    Timers with the default action act inside C code too, and if nobody watches any more. The one
    for processor time counts every thread and is finer than RLIMIT_CPU's whole seconds, which also
    could not be raised again for the next file.
    """
    if not hasattr(signal, "setitimer"):  # Windows
        yield
        return
    signal.setitimer(signal.ITIMER_PROF, budget.cpu_seconds)
    signal.setitimer(signal.ITIMER_REAL, budget.wall_seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
