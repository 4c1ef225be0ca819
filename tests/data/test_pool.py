import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from synth.data import pool
from synth.data.pool import DecodeBudget, Outcome, run_pool
from synth.errors import SynthError

HERE = Path(__file__).parent
TIGHT = DecodeBudget(cpu_seconds=0.3, wall_seconds=2.0, memory_bytes=1 << 30)


@pytest.fixture(autouse=True)
def _victims_importable(monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))


@pytest.fixture
def victims():
    import pool_victims

    return pool_victims


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until(condition, seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


def values(outcomes) -> list:
    return [outcome.value for outcome in outcomes]


@pytest.mark.parametrize("workers", [1, 3])
def test_values_come_in_the_order_of_the_items(victims, workers):
    outcomes = list(run_pool(victims.uneven, range(60), workers=workers))
    assert outcomes == [Outcome(item, item) for item in range(60)]


def test_no_items_start_no_process(victims, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", None)
    assert list(run_pool(victims.double, [], workers=2)) == []


def test_one_worker_is_another_process_too(victims):
    assert values(run_pool(victims.pid, range(3), workers=1))[0] != os.getpid()


def test_no_more_workers_than_items(victims):
    assert len(set(values(run_pool(victims.pid, range(2), workers=8)))) <= 2


def test_workers_import_neither_torch_nor_the_main_module(victims):
    import torch  # noqa: F401

    assert values(run_pool(victims.with_torch, [0], workers=1)) == [(False, False)]


def test_what_the_work_prints_is_no_answer(victims, capfd):
    assert values(run_pool(victims.chatty, range(5), workers=1)) == list(range(5))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("item", "kind", "detail"),
    [
        ("sleep", "timeout", "not done after 2 s"),
        ("burn", "timeout", "took more than 0.3 s of CPU time"),
        ("hog", "memory", "needs more than 1073741824 bytes of memory"),
        ("segfault", "crash", "the decoder was ended by SIGSEGV"),
        ("exit", "crash", "the decoder ended its process (exit code 0)"),
        ("raise", "error", "ValueError at"),
        ("unpicklable", "error", "at synth.data.worker"),
        ("deaf", "timeout", "not done after 2 s"),
    ],
)
@pytest.mark.parametrize("workers", [1, 2])
def test_a_bad_item_costs_only_itself(victims, monkeypatch, item, kind, detail, workers):
    monkeypatch.setattr(pool, "_GRACE", 0.2)
    items = ["a", "b", item, "c", "d", "e", "f"]
    outcomes = list(run_pool(victims.misbehave, items, workers=workers, budget=TIGHT))
    assert [outcome.item for outcome in outcomes] == items
    assert [outcome.value for outcome in outcomes if outcome.item != item] == list("abcdef")
    failure = outcomes[2].failure
    assert failure is not None
    assert failure.kind == kind
    assert detail in failure.detail
    assert "Quorra" not in failure.detail  # messages of errors may quote the file


def test_bad_items_side_by_side(victims):
    items = ["segfault", "burn", "hog", "exit", "ok", "segfault", "raise", "fine"]
    outcomes = list(run_pool(victims.misbehave, items, workers=2, budget=TIGHT))
    kinds = [outcome.failure.kind if outcome.failure else "" for outcome in outcomes]
    assert kinds == ["crash", "timeout", "memory", "crash", "", "crash", "error", ""]


def test_an_item_that_crashes_once_is_tried_again(victims, tmp_path):
    names = ["a", "crash-1", "b", "crash-2", "c"]
    items = [(name, str(tmp_path)) for name in names]
    assert values(run_pool(victims.fall_over_once, items, workers=2)) == names


def test_workers_are_replaced_after_their_share(victims):
    budget = DecodeBudget(files_per_worker=4)
    pids = values(run_pool(victims.pid, range(10), workers=1, budget=budget))
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [4, 4, 2]


def test_look_ahead_is_bounded(victims):
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    outcomes = run_pool(victims.double, items(), workers=2)
    for number, outcome in enumerate(outcomes, 1):
        assert outcome.value == 2 * number
        assert taken - number < 64
        if number == 500:
            break
    outcomes.close()


def test_slow_consumer_is_no_timeout(victims):
    budget = DecodeBudget(wall_seconds=0.5)
    outcomes = run_pool(victims.uneven, range(100), workers=1, budget=budget)
    assert next(outcomes).value == 0
    time.sleep(1.0)
    assert values(outcomes) == list(range(1, 100))


def test_closing_ends_the_workers(victims, tmp_path):
    items = [(number, str(tmp_path)) for number in (0, 1, 1, 1)]
    outcomes = run_pool(victims.wait_for, items, workers=2)
    assert next(outcomes).value == 0
    assert wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
    pids = [int(path.name) for path in tmp_path.iterdir()]
    assert all(alive(pid) for pid in pids)
    outcomes.close()
    assert not any(alive(pid) for pid in pids)


def test_killed_worker_costs_nothing(victims):
    outcomes = run_pool(victims.pid, range(100), workers=1)
    first = next(outcomes).value
    os.kill(first, signal.SIGKILL)
    rest = list(outcomes)
    assert [outcome.failure for outcome in rest] == [None] * 99
    assert rest[-1].value != first


def test_work_that_cannot_be_imported_is_an_error(victims, monkeypatch, capfd):
    outcomes = run_pool(victims.double, [1], workers=1)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(HERE)])
    with pytest.raises(SynthError, match="do not start"):
        next(outcomes)
    assert "pool_victims" in capfd.readouterr().err


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
import pool_victims
from synth.data.pool import DecodeBudget, run_pool
items = [(n, sys.argv[1]) for n in range(4)]
budget = DecodeBudget(wall_seconds=2)
for outcome in run_pool(pool_victims.wait_for, items, workers=2, budget=budget):
    print(outcome.value, flush=True)
"""


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_workers_do_not_outlive_their_parent(tmp_path, ending):
    """The script has no ``__main__`` guard, which must not matter either."""
    code = textwrap.dedent(SCRIPT).format(here=str(HERE))
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=HERE.parents[1],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"0\n"
        assert wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
        pids = [int(path.name) for path in tmp_path.iterdir()]
        parent.send_signal(ending)
        assert parent.wait(10) != 0
    # After SIGINT at once; else a worker at work sees it when that is done, or its time is up.
    assert wait_until(lambda: not any(map(alive, pids)), 1 if ending == signal.SIGINT else 6)
