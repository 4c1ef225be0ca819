"""Work on untrusted files in worker processes that have CPU, memory and time limits.

A file can make a decoder hang, eat all memory or crash. Here that costs one worker, and its file an
explanation; the run goes on. Results come in the order of the items with a bounded look-ahead, so
memory is flat however many there are.

Workers are interpreters of their own, started by ``subprocess`` rather than ``multiprocessing``:
those would import the caller's main module again, which fails for a script without a
``__main__`` guard, and may drag torch into every worker.
"""

from __future__ import annotations

import json
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from synth.data.worker import NO_MEMORY, DecodeBudget
from synth.errors import SynthError

__all__ = ["DecodeBudget", "Failure", "Outcome", "run_pool"]

Item = TypeVar("Item")
Value = TypeVar("Value")

_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from synth.data.worker import serve; serve()"
)
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_DEPTH = 4  # items a worker has at hand, so that it never waits for the parent
_LOOK_AHEAD = 32  # items a worker between the oldest unfinished and the newest begun one
_TICK = 0.5  # seconds between two looks at the clock
_GRACE = 5.0  # seconds for a worker to be ended by its own timer before the parent does it
_START_SECONDS = 120.0  # a cold network file system takes its time
_START_TRIES = 3
_END_SECONDS = 5.0


@dataclass(frozen=True)
class Failure:
    """Why an item has no value.

    Attributes:
        kind: ``timeout``, ``memory``, ``crash`` (the process died) or ``error`` (the work raised).
        detail: in words, without anything that the item contains.
    """

    kind: Literal["timeout", "memory", "crash", "error"]
    detail: str


@dataclass(frozen=True)
class Outcome(Generic[Item, Value]):
    """An item with its value or with its failure."""

    item: Item
    value: Value | None
    failure: Failure | None = None


def run_pool(
    work: Callable[[Item], Value],
    items: Iterable[Item],
    *,
    workers: int,
    budget: DecodeBudget | None = None,
) -> Generator[Outcome[Item, Value], None, None]:
    """Apply ``work`` to every item in limited processes; yield outcomes in the items' order.

    An item that ends its process by a crash or for want of memory is tried once more, first in a
    fresh process: its outcome must not depend on what came before it. Closing the generator, an
    exception and an interrupt end the workers; so does the end of this process, however it ends.

    Args:
        work: picklable by name, from a module that a bare interpreter can import.
        items: small and picklable, such as paths; taken as they are needed.
        workers: processes, at least 1.
        budget: what one item may cost.

    Raises:
        SynthError: workers do not start.
    """
    pool = _Pool(pickle.dumps((work, budget or DecodeBudget())), workers, budget or DecodeBudget())
    try:
        yield from pool.run(items)
    finally:
        pool.close()


@dataclass
class _Task:
    item: Any
    outcome: Outcome[Any, Any] | None = None
    tried: bool = False  # has ended a process once


@dataclass(eq=False)
class _Worker:
    """A process, the tasks it was given and has not answered, and the thread that listens to it."""

    process: subprocess.Popen[bytes]
    pending: deque[_Task] = field(default_factory=deque)
    given: int = 0
    ready: bool = False
    age: float = 0.0  # seconds that the parent has watched it at work on its first pending task

    @classmethod
    def start(cls, setup: bytes, events: queue.SimpleQueue[tuple[_Worker, Any]]) -> _Worker:
        process = subprocess.Popen(
            [sys.executable, "-c", _BOOT, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | dict.fromkeys(_THREADS, "1"),  # the files are what is parallel
            start_new_session=True,  # Ctrl-C in a terminal is for the parent
        )
        worker = cls(process)
        threading.Thread(target=worker.listen, args=(events,), daemon=True).start()
        worker.write(setup)
        return worker

    def listen(self, events: queue.SimpleQueue[tuple[_Worker, Any]]) -> None:
        """Pass on what the worker answers, and at last an ``EOFError``."""
        stream = self.process.stdout
        assert stream is not None
        with stream:
            while True:
                try:
                    events.put((self, pickle.load(stream)))
                # A process that died while writing leaves a torn pickle: any class of error
                except Exception:  # noqa: BLE001
                    events.put((self, EOFError()))
                    return

    def give(self, task: _Task) -> None:
        self.pending.append(task)
        self.given += 1
        self.write(pickle.dumps(task.item))

    def write(self, message: bytes) -> None:
        stream = self.process.stdin
        assert stream is not None
        with suppress(OSError):  # it has died: the listener will say so
            stream.write(message)
            stream.flush()

    def end(self) -> int | None:
        """Kill the process; its exit code, ``None`` if not even that ends it."""
        self.process.kill()
        with suppress(OSError):
            assert self.process.stdin is not None
            self.process.stdin.close()
        with suppress(subprocess.TimeoutExpired):  # stuck in the kernel, on a dead network disk
            return self.process.wait(_END_SECONDS)
        return None


class _Pool:
    def __init__(self, setup: bytes, limit: int, budget: DecodeBudget) -> None:
        self.setup, self.limit, self.budget = setup, max(1, limit), budget
        self.workers: list[_Worker] = []
        self.events: queue.SimpleQueue[tuple[_Worker, Any]] = queue.SimpleQueue()
        self.window: deque[_Task] = deque()  # begun or about to be, oldest first
        self.todo: deque[_Task] = deque()  # of them, in no worker's hands
        self.failed_starts = 0

    def run(self, items: Iterable[Any]) -> Iterator[Outcome[Any, Any]]:
        source = iter(items)
        while self._fill(source):
            self._hand_out()
            outcome = self.window[0].outcome
            if outcome is None:
                self._wait()
            else:
                self.window.popleft()
                yield outcome

    def _fill(self, source: Iterator[Any]) -> bool:
        """Take items up to the look-ahead; whether anything is left to do."""
        while len(self.window) < self.limit * _LOOK_AHEAD:
            try:
                task = _Task(next(source))
            except StopIteration:
                break
            self.window.append(task)
            self.todo.append(task)
        return bool(self.window)

    def _hand_out(self) -> None:
        while self.todo:
            worker = self._least_busy(fresh=self.todo[0].tried)
            if worker is None:
                return
            worker.give(self.todo.popleft())

    def _least_busy(self, *, fresh: bool) -> _Worker | None:
        """Who gets the next task: an idle worker, a new one, one with room, in this order."""
        most = self.budget.files_per_worker
        able = [w for w in self.workers if w.given < most and len(w.pending) < _DEPTH]
        best = min(able, key=lambda w: len(w.pending), default=None)
        if (best is None or best.pending or fresh) and len(self.workers) < self.limit:
            best = _Worker.start(self.setup, self.events)
            self.workers.append(best)
        return best

    def _wait(self) -> None:
        """Wait a tick for an answer or a death, then look at the clock."""
        before = time.monotonic()
        with suppress(queue.Empty):
            worker, answer = self.events.get(timeout=_TICK)
            if worker in self.workers:  # else it was killed, and this is its last word
                self._hear(worker, answer)
        # Only time spent waiting here counts, not what the caller, or a laptop asleep, took.
        self._watch(min(time.monotonic() - before, 2 * _TICK))

    def _hear(self, worker: _Worker, answer: Any) -> None:
        worker.age = 0.0
        if isinstance(answer, EOFError):
            self._bury(worker)
        elif not worker.ready:
            worker.ready, self.failed_starts = True, 0
        else:
            self._accept(worker, answer)

    def _watch(self, passed: float) -> None:
        """End workers that their own timers do not: no timers here, or stuck in the kernel."""
        most = self.budget.wall_seconds + _GRACE
        for worker in list(self.workers):
            worker.age += passed if worker.pending else 0.0
            if worker.age > (most if worker.ready else _START_SECONDS):
                self._bury(worker, overdue=True)

    def _accept(self, worker: _Worker, answer: tuple[Any, str]) -> None:
        task, (value, complaint) = worker.pending.popleft(), answer
        failure = Failure("error", complaint) if complaint else None
        task.outcome = Outcome(task.item, value, failure)
        if worker.given >= self.budget.files_per_worker and not worker.pending:
            self.workers.remove(worker)
            worker.end()

    def _bury(self, worker: _Worker, *, overdue: bool = False) -> None:
        """A worker is dead, or will be: blame the task it was at, take the others back."""
        self.workers.remove(worker)
        code = worker.end()
        if not worker.ready:
            self._failed_start()
        elif worker.pending:
            task = worker.pending[0]
            failure = self._late() if overdue else self._cause(code)
            if failure.kind == "timeout" or task.tried:
                task.outcome = Outcome(task.item, None, failure)
                worker.pending.popleft()
            task.tried = True
        self.todo.extendleft(reversed(worker.pending))

    def _failed_start(self) -> None:
        self.failed_starts += 1
        if self.failed_starts >= _START_TRIES:
            raise SynthError(
                "the processes that decode images do not start",
                where=sys.executable,
                fix="What they print is above; `synth doctor` checks the installation.",
            )

    def _late(self) -> Failure:
        return Failure("timeout", f"not done after {self.budget.wall_seconds:g} s")

    def _cause(self, code: int | None) -> Failure:
        """What an exit code, or minus the number of a signal, says about the item."""
        if code == NO_MEMORY:
            return Failure("memory", f"needs more than {self.budget.memory_bytes} bytes of memory")
        if code is not None and code == -getattr(signal, "SIGALRM", 0):
            return self._late()
        if code is not None and code == -getattr(signal, "SIGPROF", 0):
            return Failure("timeout", f"took more than {self.budget.cpu_seconds:g} s of CPU time")
        if code is None or code >= 0:
            return Failure("crash", f"the decoder ended its process (exit code {code})")
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return Failure("crash", f"the decoder was ended by {name}")

    def close(self) -> None:
        for worker in self.workers:
            worker.process.kill()  # all at once, then one by one
        for worker in self.workers:
            worker.end()
        self.workers.clear()
