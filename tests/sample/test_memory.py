"""The allocator's settings, in processes of their own: they last as long as the process."""

import os
import platform
import subprocess
import sys

import pytest

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator")

# Page faults of a block of 64 MiB that is taken, touched and freed ten times.
FAULTS = """
import resource, sys
import numpy as np
from sample.memory import keep_freed_memory
done = keep_freed_memory() if sys.argv[1] == "keep" else None
np.ones(2**26, np.uint8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    np.ones(2**26, np.uint8)
print(done, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def run(mode, **env):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_TUNABLES"))}
    clean |= {"NUMPY_MADVISE_HUGEPAGE": "0", **env}
    command = [sys.executable, "-c", FAULTS, mode]
    done, faults = subprocess.run(
        command, env=clean, capture_output=True, text=True, check=True
    ).stdout.split()
    return done, int(faults)


@glibc
def test_freed_memory_is_used_again_without_faults():
    done, kept = run("keep")
    _, given_back = run("leave")
    assert done == "True"
    assert kept * 10 < given_back


@glibc
def test_the_users_own_settings_are_left_alone():
    done, faults = run("keep", MALLOC_ARENA_MAX="4")
    assert done == "False"
    assert faults > 10_000


def test_other_systems_are_left_alone(monkeypatch):
    from sample import memory

    monkeypatch.setattr(memory.sys, "platform", "darwin")
    assert memory.keep_freed_memory() is False
