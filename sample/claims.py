"""Who works on which shard, agreed upon by files in a folder that all workers see.

A claim is a file made so that only one maker succeeds. It says who the holder is, and its time of
change is the holder's heartbeat. A claim whose holder is gone is not removed but followed by one of
the next generation, again a file that one maker gets: nothing is ever decided between a look and a
deed. A holder that was only thought dead finds the later claim and gives way.
"""

from __future__ import annotations

import json
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from synth.manifest import write_bytes

BEAT = 10.0  # seconds between two heartbeats
STALE = 120.0  # without one for so long, a holder elsewhere is taken for dead
_NAME = re.compile(r"(\d+)\.(\d+)\.claim")


@dataclass(frozen=True)
class Holder:
    """A process, told apart from every other.

    Attributes:
        host: its machine's name.
        space: what of it can look each other's process ids up: this boot of the machine, and the
            process namespace of the container.
        pid: process id.
        started: when it started, in ticks of the kernel; None where that is not to be had.
    """

    host: str
    space: str
    pid: int
    started: int | None

    @classmethod
    def this_process(cls) -> Holder:
        """The holder that this process is."""
        return cls(socket.gethostname(), _space(), os.getpid(), _started(os.getpid()))

    def is_gone(self, here: Holder) -> bool:
        """Whether ``here`` can tell that this process has ended."""
        if os.name != "posix" or (self.host, self.space) != (here.host, here.space):
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:  # of another user: alive
            return False
        return self.started != _started(self.pid)


@dataclass(frozen=True)
class Claim:
    """The right to work on a shard.

    Attributes:
        shard: its number.
        generation: how many holders it had before.
        path: the file.
    """

    shard: int
    generation: int
    path: Path


class Claims:
    """The claims of a folder, as one worker sees and makes them.

    Args:
        folder: shared by all workers; must exist.
        stale: seconds without a heartbeat after which a holder is taken for dead. Measured by this
            process' clock between two looks, as clocks of machines differ.
    """

    def __init__(self, folder: Path, *, stale: float = STALE) -> None:
        self._folder, self._stale = folder, stale
        self._me = Holder.this_process()
        self._beats: dict[Path, tuple[int, float]] = {}  # last heartbeat seen, and when

    def take(self, shard: int) -> Claim | None:
        """Claim a shard that nobody holds, or whose holder let go or is dead."""
        last = max(self._generations(shard), default=-1)
        if last >= 0 and not self._is_free(self._path(shard, last)):
            return None
        claim = Claim(shard, last + 1, self._path(shard, last + 1))
        try:
            with claim.path.open("xb") as file:
                file.write(_content(asdict(self._me)))
                file.flush()
                os.fsync(file.fileno())
        except (FileExistsError, FileNotFoundError):  # another was faster; or all work is done
            return None
        return claim

    def holds(self, claim: Claim) -> bool:
        """Whether nobody took the claim over."""
        return claim.path.exists() and not self._path(claim.shard, claim.generation + 1).exists()

    def release(self, claim: Claim) -> None:
        """Let go, for another to continue at once."""
        if self.holds(claim):
            with suppress(OSError):  # it will be found stale
                write_bytes(claim.path, _content({"released": True}))

    @contextmanager
    def beating(self, claim: Claim, *, every: float = BEAT) -> Iterator[None]:
        """Within the block a thread shows that this process is alive."""
        end = threading.Event()

        def beat() -> None:
            while not end.wait(every):
                with suppress(OSError):
                    os.utime(claim.path)

        thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()

    def _generations(self, shard: int) -> list[int]:
        names = [path.name for path in self._folder.glob(f"{shard:05d}.*.claim")]
        return [int(found[2]) for name in names if (found := _NAME.fullmatch(name))]

    def _path(self, shard: int, generation: int) -> Path:
        return self._folder / f"{shard:05d}.{generation}.claim"

    def _is_free(self, path: Path) -> bool:
        try:
            content, beat = json.loads(path.read_bytes()), path.stat().st_mtime_ns
        except FileNotFoundError:
            return False
        except ValueError:  # being written, or its writer died at it: time will tell
            content, beat = {}, path.stat().st_mtime_ns
        if content.get("released"):
            return True
        with suppress(TypeError):
            if Holder(**content).is_gone(self._me):
                return True
        seen, since = self._beats.get(path, (None, 0.0))
        if seen != beat:
            self._beats[path] = (beat, time.monotonic())
            return False
        return time.monotonic() - since > self._stale


def _content(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode()


def _space() -> str:
    parts = []
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(str(Path("/proc/self/ns/pid").stat().st_ino))
    return "/".join(parts)


def _started(pid: int) -> int | None:
    """Field 22 of proc(5)'s ``stat``: the name before it may hold spaces and brackets."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])
