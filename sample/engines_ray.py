"""Workers as tasks of a Ray cluster; the extra ``ray``.

A task holds a model and works on shards until none is left, as any other worker: Ray finds it a
machine and says when it died. All machines must see the dataset's folder under the same path.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sample.engines import Ending, serve_part
from sample.shards_work import Part
from synth.config.schema import Config
from synth.errors import SynthError, Unavailable


class RayEngine:
    """Starts tasks in the cluster of ``RAY_ADDRESS``, or in one of this machine alone.

    Args:
        config: for the workers.

    Raises:
        Unavailable: Ray is not installed.
    """

    def __init__(self, config: Config) -> None:
        try:
            import ray
        except ImportError:
            raise Unavailable(
                "Ray is not installed",
                fix="pip install 'medical-image-synthesis[ray]', or sample.engine=local.",
            ) from None
        self._ray: Any = ray
        self._own = not ray.is_initialized()
        if self._own:
            cores = None if os.environ.get("RAY_ADDRESS") else config.sample.workers
            with _own_signals():
                ray.init(log_to_driver=False, include_dashboard=False, num_cpus=cores)
        resources = self._ray.cluster_resources()
        gpus = config.sample.device in ("auto", "cuda") and resources.get("GPU", 0)
        path = os.pathsep.join(name for name in sys.path if name)
        self._config = ray.put(config)
        self._serve = ray.remote(_serve).options(
            num_cpus=1,
            num_gpus=1 if gpus else 0,
            max_retries=0,  # `supervise` starts another one, and counts
            runtime_env={"env_vars": {"PYTHONPATH": path}},
        )

    def start(self, part: Part) -> _Task:
        """A task; Ray starts it where there is room."""
        return _Task(self._ray, self._serve.remote(self._config, part))

    def close(self) -> None:
        """Leave the cluster; end it where it was started here."""
        if self._own:
            self._ray.shutdown()


@contextmanager
def _own_signals() -> Iterator[None]:
    """Ray exits at SIGTERM with a handler of its own; ours saves and says how to go on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Task:
    def __init__(self, ray: Any, reference: Any) -> None:
        self._ray, self._reference = ray, reference

    def ending(self) -> Ending | None:
        done, _ = self._ray.wait([self._reference], timeout=0)
        if not done:
            return None
        try:
            problem = self._ray.get(self._reference)
        except self._ray.exceptions.TaskCancelledError:
            return Ending("done")
        except self._ray.exceptions.RayTaskError as error:  # a bug: it would be one again
            return Ending("error", str(error.cause))
        except self._ray.exceptions.RayError as error:
            return Ending("death", type(error).__name__)
        return Ending("error", problem) if problem else Ending("done")

    def stop(self) -> None:
        self._ray.cancel(self._reference, force=False)  # raises KeyboardInterrupt in it


def _serve(config: Config, part: Part) -> str:
    """Be a worker; what is wrong, or nothing."""
    try:
        serve_part(config, part)
    except SynthError as error:
        return str(error)
    return ""
