"""Work for the pool's tests, importable by name from a worker."""

import ctypes
import os
import signal
import sys
import time
from pathlib import Path


def double(item: int) -> int:
    return 2 * item


def pid(_item: int) -> int:
    return os.getpid()


def with_torch(_item: int) -> tuple[bool, bool]:
    return "torch" in sys.modules, "__mp_main__" in sys.modules


def uneven(item: int) -> int:
    time.sleep(0.05 if item % 5 == 0 else 0)
    return item


def chatty(item: int) -> int:
    os.write(1, b"noise from a C library\n")
    sys.stderr.write("more noise\n")
    return item


def misbehave(item: str) -> str:
    """Do what the item says, or return it."""
    if item == "sleep":
        time.sleep(60)
    elif item == "deaf":  # as if stuck in the kernel
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        time.sleep(60)
    elif item == "burn":
        while True:
            pass
    elif item == "hog":
        return str(len(bytearray(8 << 30)))
    elif item == "segfault":
        ctypes.string_at(0)
    elif item == "exit":
        os._exit(0)
    elif item == "raise":
        raise ValueError("Zyx^Quorra")
    elif item == "unpicklable":
        return lambda: None  # type: ignore[return-value]
    return item


def fall_over_once(item: tuple[str, str]) -> str:
    """Crash the first time only: ``item`` is a name and a folder to remember that in."""
    name, folder = item
    seen = Path(folder) / name
    if name.startswith("crash") and not seen.exists():
        seen.touch()
        ctypes.string_at(0)
    return name


def wait_for(item: tuple[int, str]) -> int:
    """Write down the process, then wait; for tests that end the parent."""
    number, folder = item
    (Path(folder) / f"{os.getpid()}").touch()
    time.sleep(60 if number else 0)
    return number
