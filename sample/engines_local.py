"""Workers as processes of this machine, on GPUs one each.

They are interpreters of their own, as those of ``synth.data.pool`` and for its reasons. A worker
reads what to do from its standard input, and stops when that ends: as it does when its parent dies.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress

from sample.engines import Ending
from sample.shards_work import Part
from synth.config.schema import Config
from synth.errors import SynthError

_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from sample.engines_local import serve; sys.exit(serve())"
)
FAILED = 3  # exit code: the last line of the output says why
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


class LocalEngine:
    """Starts interpreters.

    Args:
        config: for the workers.
        gpus: names for ``CUDA_VISIBLE_DEVICES``; found by default.
    """

    def __init__(self, config: Config, gpus: list[str] | None = None) -> None:
        self._config = config
        self._gpus = visible_gpus(config) if gpus is None else gpus
        self._workers: list[_Process] = []

    def start(self, part: Part) -> _Process:
        """A worker; the one of part n has GPU n, where there are GPUs."""
        worker = _Process(self._config, part, environment(part, self._gpus, os.environ))
        self._workers.append(worker)
        return worker

    def close(self) -> None:
        """Kill what has not ended when asked to."""
        for worker in self._workers:
            worker.kill()


class _Process:
    def __init__(self, config: Config, part: Part, env: Mapping[str, str]) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-c", _BOOT, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=env,
            start_new_session=True,  # Ctrl-C in a terminal is for the parent
        )
        self.pid = self._child.pid
        assert self._child.stdin is not None
        with suppress(OSError):  # it died: its ending says so
            self._child.stdin.write(pickle.dumps((config, part)))
            self._child.stdin.flush()

    def ending(self) -> Ending | None:
        code = self._child.poll()
        if code is None:
            return None
        if code == 0:
            return Ending("done")
        assert self._child.stdout is not None
        said = "" if self._child.stdout.closed else self._child.stdout.read().decode()
        if code == FAILED:
            return Ending("error", said.strip())
        return Ending("death", f"signal {-code}" if code < 0 else f"exit code {code}")

    def stop(self) -> None:
        with suppress(OSError):
            self._child.send_signal(signal.SIGINT)

    def kill(self) -> None:
        self._child.kill()
        self._child.wait()
        for stream in (self._child.stdin, self._child.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()


def environment(part: Part, gpus: list[str], given: Mapping[str, str]) -> dict[str, str]:
    """A worker's: its GPU, or its share of the cores where the user has not said how many."""
    if gpus:
        return {**given, "CUDA_VISIBLE_DEVICES": gpus[part.number % len(gpus)]}
    cores = str(max(1, (os.cpu_count() or 1) // part.workers))
    return {**dict.fromkeys(_THREADS, cores), **given}


def visible_gpus(config: Config) -> list[str]:
    """Names of the GPUs that workers may use."""
    if config.sample.device not in ("auto", "cuda"):
        return []
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return named[:count] if named else [str(index) for index in range(count)]


def serve() -> int:
    """Be a worker; the exit code."""
    from sample.engines import serve_part

    config, part = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_watch_parent, daemon=True).start()
    try:
        serve_part(config, part)
    except SynthError as error:
        sys.stdout.write(f"{error}\n")
        sys.stdout.flush()
        return FAILED
    except KeyboardInterrupt:
        return 130
    return 0


def _watch_parent() -> None:
    """Stop when the parent is gone: its end of the pipe closes, whatever ended it."""
    while os.read(0, 1024):  # not `sys.stdin`: Python cannot end while a thread is reading that
        pass
    os.kill(os.getpid(), signal.SIGINT)
